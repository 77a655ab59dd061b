package ctl

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
)

// Inherited is the beginning of a ctl-socket that is the inside of a door (conn.NewDoor): "fd://4". Whoever has the
// outside may send every command.
const Inherited = "fd://"

// listenInside serves the commands that come through a door.
func listenInside(path string, server Executor) (*Socket, error) {
	fd, err := strconv.Atoi(strings.TrimPrefix(path, Inherited))
	if err != nil || !conn.IsDoor(fd) {
		return nil, errors.New("not a door of another server")
	}
	unix.CloseOnExec(fd)
	s := &Socket{inside: os.NewFile(uintptr(fd), path), server: server}
	go s.serveInside(fd)
	return s, nil
}

func (s *Socket) serveInside(fd int) {
	for {
		one := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(one, -1); err != nil && err != unix.EINTR || one[0].Revents&(unix.POLLHUP|unix.POLLNVAL) != 0 {
			return // the other server has ended, or has closed the door
		}
		accepted, err := conn.Enter(fd)
		if err != nil {
			continue
		}
		if c, err := unixConn(accepted); err == nil {
			one := &client{UnixConn: c, trusted: true}
			go s.talk(one)
		}
	}
}

// unixConn returns a connection with the socket fd, which it owns.
func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "control socket")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	one, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("not a unix socket")
	}
	return one, nil
}

// Keep makes the inside of a door stay open in the program that replaces this program.
func (s *Socket) Keep() {
	if s != nil && s.inside != nil {
		_, _ = unix.FcntlInt(s.inside.Fd(), unix.F_SETFD, 0)
	}
}

// AskThrough sends a command through the outside of a door, and returns the answer. If limit is 0, it waits as long as
// the server is alive.
func AskThrough(outside *os.File, c Command, limit time.Duration) (a Answer, err error) {
	fd, err := conn.Knock(outside)
	if err != nil {
		return a, err
	}
	raw, err := unixConn(fd)
	if err != nil {
		return a, err
	}
	defer raw.Close()
	if a, err = (&conversation{UnixConn: raw}).ask(&request{Command: c}, limit); err == nil && a.Error != "" {
		err = fmt.Errorf("%s", visible(a.Error))
	}
	return a, err
}
