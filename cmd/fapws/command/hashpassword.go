package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/runtime/auth"
)

const hashHelp = `Usage: fapws hash-password [USER] >> FILE
Asks for a password, or reads it from standard input, and writes a line for the
password file of auth, in the format of htpasswd.

Exit status: 0 written; 2 no password, or one that cannot be used.
`

// hashPassword writes a line of a file of users, as htpasswd would, or without a
// user the hash alone. The password is asked for twice on a terminal; otherwise
// it is the first line of standard input.
func hashPassword(args []string, stdin *os.File, stdout, stderr io.Writer) error {
	user := ""
	switch {
	case len(args) > 1:
		return process.ExitUsage(errors.New("hash-password: one user at a time"))
	case len(args) == 1 && (args[0] == "--help" || args[0] == "-h"):
		_, err := io.WriteString(stdout, hashHelp)
		return err
	case len(args) == 1:
		user = args[0]
		if user == "" || strings.HasPrefix(user, "-") || strings.ContainsAny(user, ":#\r\n\x00") {
			return process.ExitUsage(fmt.Errorf("hash-password: %q cannot be the name of a user", user))
		}
		user += ":"
	}
	password, err := askPassword(stdin, stderr)
	if err != nil {
		return process.ExitUsage(fmt.Errorf("hash-password: %w", err))
	}
	hash, err := auth.Hash(password)
	if err != nil {
		return process.ExitUsage(fmt.Errorf("hash-password: %w", err))
	}
	_, err = fmt.Fprintf(stdout, "%s%s\n", user, hash)
	return err
}

// askPassword reads a password.
func askPassword(in *os.File, prompt io.Writer) (string, error) {
	r := bufio.NewReader(io.LimitReader(in, 4096))
	if _, err := unix.IoctlGetTermios(int(in.Fd()), getTermios); err != nil { // no terminal
		return readPassword(r)
	}
	first, err := askHidden(in, r, prompt, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := askHidden(in, r, prompt, "Again: ")
	if err == nil && first != second {
		err = errors.New("the two passwords differ")
	}
	return first, err
}

// askHidden reads a line that the terminal does not show.
func askHidden(in *os.File, r *bufio.Reader, prompt io.Writer, text string) (string, error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return "", err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, setTermios, &hidden); err != nil {
		return "", err
	}
	restore := func() {
		_ = unix.IoctlSetTermios(fd, setTermios, before) // or the terminal has gone
		fmt.Fprintln(prompt)
	}
	defer restore()
	stopped, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(stopped, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(stopped)
	defer close(done)
	go func() {
		select {
		case sig := <-stopped:
			restore()
			os.Exit(128 + int(sig.(unix.Signal)))
		case <-done:
		}
	}()
	fmt.Fprint(prompt, text)
	return readPassword(r)
}

func readPassword(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil && (err != io.EOF || line == "") {
		if err == io.EOF {
			err = errors.New("no password on standard input")
		}
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
