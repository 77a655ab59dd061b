package bind

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/privilege"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/listen"
)

// Options returns the settings of the sockets.
func Options(conf *settings.Config) (listen.Options, error) {
	o := listen.DefaultOptions
	o.Backlog, o.Mode = conf.Backlog, conf.SocketMode
	if conf.SocketOwner != "" {
		var err error
		if o.UID, o.GID, err = privilege.Owner(conf.SocketOwner); err != nil {
			return o, exit.Usage(fmt.Errorf("--uds-owner %s: %w", conf.SocketOwner, err))
		}
	}
	return o, nil
}

// Open makes a listener at an address as settings.Config.Bind has it. One for HTTPS is Secure, unless it turns out to be
// a unix socket, which stays plain.
func Open(addr string, o listen.Options) (*listen.Listener, error) {
	plain, secure := settings.SplitSecure(addr)
	ln, err := listen.Open(plain, o)
	if err != nil {
		return nil, Failed(plain, err)
	}
	SetSecure(ln, secure)
	return ln, nil
}

// SetSecure makes ln a listener for HTTPS if that is asked for and it is TCP.
func SetSecure(ln *listen.Listener, secure bool) {
	_, tcp := ln.Addr().(*net.TCPAddr)
	ln.Secure = secure && tcp
}

// Listen makes a listener for each address. When one fails none stays
// open, and the error is one line with a hint.
func Listen(addrs []string, o listen.Options) (listeners []*listen.Listener, err error) {
	for _, addr := range addrs {
		ln, err := Open(addr, o)
		if err != nil {
			for _, ln := range listeners {
				ln.Close()
			}
			return nil, err
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

// Failed is the error of a Listen or Sockets that failed for addr, with
// what to do about it.
func Failed(addr string, err error) error {
	return exit.NotStarted("%v%s", err, listenHint(addr, err))
}

// listenHint returns advice for a failed Listen, or "".
func listenHint(addr string, err error) string {
	isFile := strings.HasPrefix(addr, "unix:")
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "; stop the other server, or choose another address with --bind"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "; this address does not belong to this machine"
	case errors.Is(err, unix.EPERM) && isFile:
		return "; only root can change the owner of a file"
	case errors.Is(err, unix.EACCES) && !isFile:
		return "; use a port above 1023, or allow low ports: " + process.LowPorts()
	}
	return ""
}
