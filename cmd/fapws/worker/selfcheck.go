package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"

	"fapws/runtime"
)

// checkSelf makes a GET request to server, as if it had come in from a unix
// socket, but without the need for a password. The error is one line.
func checkSelf(ctx context.Context, server *runtime.Server, target string) error {
	fds, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	ours, err := connOf(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return err
	}
	defer ours.Close()
	theirs, err := connOf(fds[1])
	if err == nil {
		err = server.EnrolOwn(theirs)
	}
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		ours.SetDeadline(deadline)
	}
	status, err := get(ours, target)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("GET %s was not answered in time", target)
	case err != nil:
		return fmt.Errorf("GET %s: %v", target, err)
	case status >= 400:
		return fmt.Errorf("GET %s was answered with status %d", target, status)
	}
	return nil
}

func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "reload check")
	defer f.Close()
	return net.FileConn(f)
}

// get makes a request and returns the status of the answer, once it is whole.
// target is as --reload-check has it.
func get(c net.Conn, target string) (status int, err error) {
	host := "localhost"
	if rest, named := strings.CutPrefix(target, "http://"); named {
		slash := strings.IndexByte(rest, '/')
		host, target = rest[:slash], rest[slash:]
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: fapws-reload-check\r\nConnection: close\r\n\r\n", target, host); err != nil {
		return 0, err
	}
	r := bufio.NewReader(c)
	for status < 200 { // RFC 9110 §15.2: others may come before the answer
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if len(line) > 12 && line[:5] == "HTTP/" {
			if status, err = strconv.Atoi(line[9:12]); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.Copy(io.Discard, r)
	return status, err
}
