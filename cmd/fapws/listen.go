package main

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/runtime"
)

// listenAll makes a listener for each address; backlog 0 keeps the system's.
// When one fails none is left open, and the error is one line with a hint.
func listenAll(addrs []string, backlog int) (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, ln := range listeners {
				ln.Close()
			}
			listeners = nil
		}
	}()
	for _, addr := range addrs {
		ln, err := runtime.Listen(addr)
		if err != nil {
			return listeners, notStarted("%v%s", err, listenHint(addr, err))
		}
		listeners = append(listeners, ln)
		if backlog > 0 {
			if err := setBacklog(ln, backlog); err != nil {
				return listeners, notStarted("cannot set the backlog of %s: %v", addr, err)
			}
		}
	}
	return listeners, nil
}

// setBacklog asks the kernel once more to listen, which changes the length of
// its queue and nothing else (listen(2)); package net has no way to say it.
func setBacklog(ln net.Listener, n int) error {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return errors.New("not a socket")
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = rc.Control(func(fd uintptr) { failed = unix.Listen(int(fd), n) })
	return errors.Join(err, failed)
}

// listenHint is what to do about a failed Listen, or "".
func listenHint(addr string, err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "; stop the other server, or choose another address with --bind"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "; this machine has no such address"
	case errors.Is(err, unix.EACCES) && !strings.HasPrefix(addr, "unix:"):
		program, err := os.Executable()
		if err != nil {
			program = "fapws"
		}
		return "; take a port from 1024 on, or allow low ports: sudo setcap cap_net_bind_service=+ep " + program
	}
	return ""
}
