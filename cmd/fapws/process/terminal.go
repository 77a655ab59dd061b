package process

import (
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// ChangeTerminal clears local flags of a terminal, such as unix.ECHO. restore sets them again and ends the line of the
// terminal's output w. A signal that ends this process restores the terminal, too.
func ChangeTerminal(fd int, flags uint32, w io.Writer) (restore func(), err error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	changed := *before
	changed.Lflag &^= flags
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &changed); err != nil {
		return nil, err
	}
	reset := func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, before) // an error means that the terminal was closed
		fmt.Fprintln(w)
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	go func() {
		if sig, caught := <-stopped; caught {
			reset()
			os.Exit(128 + int(sig.(unix.Signal)))
		}
	}()
	return func() {
		signal.Stop(stopped)
		close(stopped)
		reset()
	}, nil
}
