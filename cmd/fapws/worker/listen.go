package worker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

func ListenOptions(conf *settings.Config) (conn.ListenOptions, error) {
	o := conn.ListenOptions{Backlog: conf.Backlog}
	if conf.SocketMode >= 0 || conf.SocketOwner != "" {
		o.File = &conn.SocketFile{Mode: conf.SocketMode, UID: -1, GID: -1}
	}
	if conf.SocketOwner != "" {
		var err error
		if o.File.UID, o.File.GID, err = confine.Owner(conf.SocketOwner); err != nil {
			return o, process.ExitUsage(fmt.Errorf("--uds-owner %s: %w", conf.SocketOwner, err))
		}
	}
	return o, nil
}

// SetSecure enables HTTPS for ln if it is a TCP listener and addr, in the form of settings.Config.Bind, specifies
// HTTPS.
func SetSecure(ln *conn.Listener, addr string) {
	_, secure := settings.SplitSecure(addr)
	_, tcp := ln.Addr().(*net.TCPAddr)
	ln.Secure = secure && tcp
}

// Listen opens a listener for each address in addrs, which have the form of settings.Config.Bind. The error is one line
// with advice; the caller must close the listeners even if Listen returns an error.
func Listen(addrs []string, o conn.ListenOptions) ([]*conn.Listener, error) {
	var listeners []*conn.Listener
	for _, addr := range addrs {
		plain, _ := settings.SplitSecure(addr)
		ln, err := conn.Listen(plain, o)
		if err != nil {
			return listeners, BindFailed(plain, addrs, err)
		}
		SetSecure(ln, addr)
		listeners = append(listeners, ln)
		if err := pybridge.KeepFromChildren(ln); err != nil {
			return listeners, process.ExitNotStarted("%v", err)
		}
	}
	return listeners, nil
}

// BindFailed returns the error of a server that cannot listen on addr, one of its addresses addrs.
func BindFailed(addr string, addrs []string, err error) error {
	return process.ExitNotStarted("%v%s", err, listenHint(addr, addrs, err))
}

func listenHint(addr string, addrs []string, err error) string {
	isFile := strings.HasPrefix(addr, "unix:")
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		other, by := "the other server", holder(addr)
		if by != "" {
			other += " (" + by + ")"
		} else if own := samePort(addr, addrs); own != "" {
			return "; this server listens on " + own + ", too: remove one of the two addresses"
		}
		return "; stop " + other + ", or choose another address with --bind"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "; this address does not belong to this machine"
	case errors.Is(err, unix.EPERM) && isFile:
		return "; only root can change the owner of a file"
	case errors.Is(err, unix.EACCES) && !isFile:
		return "; use a port above 1023, or allow low ports: " + process.LowPorts()
	}
	return ""
}

// samePort returns the address in addrs that differs from addr only in the host, or "".
func samePort(addr string, addrs []string) string {
	_, port, _ := net.SplitHostPort(addr)
	for _, other := range addrs {
		other, _ = settings.SplitSecure(other)
		if _, its, err := net.SplitHostPort(other); err == nil && other != addr && its == port {
			return other
		}
	}
	return ""
}

// Addresses returns the addresses in conf together with the inherited sockets. If inherited sockets are not used,
// Addresses logs a warning.
func (a Passed) Addresses(conf *settings.Config, source settings.Source, log func(logfile.Level, string)) ([]string,
	error) {
	addrs, err := a.addresses(conf.Bind, given(conf, source))
	if err != nil {
		return nil, err
	}
	if addr := firstSecure(addrs); addr != "" && !conf.HTTPS() {
		return nil, process.ExitUsage(fmt.Errorf("socket %s from the service manager is for HTTPS "+
			"(FileDescriptorName=https), which requires a certificate: add --certfile FILE --keyfile FILE", addr))
	}
	if unused := a.unused(addrs); len(unused) > 0 {
		log(logfile.Warning, fmt.Sprintf("ignoring socket %s from the service manager: overridden by %s",
			strings.Join(unused, " and "), source))
	}
	return addrs, nil
}

func firstSecure(addrs []string) string {
	for _, addr := range addrs {
		if _, secure := settings.SplitSecure(addr); secure {
			return addr
		}
	}
	return ""
}

func given(conf *settings.Config, source settings.Source) bool {
	// With --dev, the default address counts as given, because only this machine can reach it.
	return source.Level > settings.FromDefault || conf.Dev && !conf.DevAnywhere
}

// Early returns the addresses to listen on before the application is loaded, so that clients are not refused while it
// loads. The result is nil if the addresses are not known yet. certain is true if the application cannot change the
// addresses, so that errors can be reported at once.
func (a Passed) Early(set *settings.Settings, conf *settings.Config, app *plan.Application) (addrs []string,
	certain bool) {
	source := set.Source("bind")
	bind, chosen := conf.Bind, given(conf, source)
	certain = set.AddressSettled() || app == nil
	if !certain && app.HasPATHS() {
		server, found, err := settings.PeekServer(app.Source)
		changed := set.Source("host").Level > settings.FromDefault || set.Source("port").Level > settings.FromDefault
		switch {
		case err != nil || found && (changed || conf.Dev):
			return nil, false
		case found:
			bind, chosen = conf.SecureAddresses([]string{set.WithHost(server)}), true
		}
	}
	addrs, err := a.addresses(bind, chosen)
	if err != nil || firstSecure(addrs) != "" && !conf.HTTPS() {
		return nil, false // the method Addresses reports the error later
	}
	return addrs, certain
}

// Early holds sockets that are opened before the application is loaded. The methods of Early are safe for concurrent
// use, because a signal may end the process at any time.
type Early[S syscall.Conn] struct {
	// Open opens sockets. After an error, the result contains the sockets that are already open.
	Open  func(addrs []string, o conn.ListenOptions) ([]S, error)
	Close func([]S)

	mu      sync.Mutex
	addrs   []string
	backlog int
	sockets []S
}

// Listen opens sockets for addrs. It returns an error only if certain is true (see Passed.Early).
func (e *Early[S]) Listen(addrs []string, certain bool, o conn.ListenOptions) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	sockets, err := e.Open(addrs, o)
	if err == nil {
		e.addrs, e.backlog, e.sockets = addrs, o.Backlog, sockets
		return nil
	}
	e.Close(sockets)
	if certain {
		return err
	}
	return nil
}

// Sockets returns the early sockets. e owns these sockets until the method Take is called.
func (e *Early[S]) Sockets() []S {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sockets
}

// Take returns the sockets for addrs: the early sockets, and new sockets for addresses that have changed. The caller
// must close the sockets even if Take returns an error.
func (e *Early[S]) Take(addrs []string, o conn.ListenOptions) ([]S, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	early := e.sockets
	e.sockets = nil
	if early == nil || !slices.Equal(addrs, e.addrs) {
		e.Close(early)
		return e.Open(addrs, o)
	}
	if o.Backlog != e.backlog {
		for _, socket := range early {
			conn.SetBacklog(socket, o.Backlog)
		}
	}
	return early, nil
}

func (e *Early[S]) Drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Close(e.sockets)
	e.sockets = nil
}

// Passed lists the listening sockets that a service manager has opened for this process (sd_listen_fds(3)), in the form
// of settings.Config.Bind.
type Passed []string

const firstPassed = 3

// TakePassed returns the sockets that a service manager has passed, and removes the variables of the service manager
// from the environment. Child processes inherit neither the variables nor the sockets.
func TakePassed() Passed {
	passed := passedSockets(os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"), os.Getpid())
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
	for i := range passed {
		unix.CloseOnExec(firstPassed + i)
	}
	return passed
}

// KeepFromWorkers sets close-on-exec for the descriptors in bind, such as "fd://3". Workers receive these sockets in a
// message when they may accept connections.
func KeepFromWorkers(bind []string) {
	for _, addr := range bind {
		plain, _ := settings.SplitSecure(addr)
		if number, ok := strings.CutPrefix(plain, "fd://"); ok {
			if fd, err := strconv.Atoi(number); err == nil {
				unix.CloseOnExec(fd)
			}
		}
	}
}

// httpsName is the name that marks a socket for HTTPS, set with FileDescriptorName= in a systemd unit
// (systemd.socket(5)).
const httpsName = "https"

// passedSockets parses the variables of a service manager. In names, colons separate the socket names. If forPID is not
// the ID of this process, the variables were meant for a different process, and passedSockets returns nil.
func passedSockets(forPID, number, names string, pid int) (a Passed) {
	if forPID != strconv.Itoa(pid) {
		return nil
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	named := strings.Split(names, ":")
	for i := range min(n, 1024) {
		addr := "fd://" + strconv.Itoa(firstPassed+i)
		if i < len(named) && named[i] == httpsName {
			addr = settings.Secure(addr)
		}
		a = append(a, addr)
	}
	return a
}

// addresses replaces "systemd" in bind by the inherited sockets, or returns only the inherited sockets if given is
// false. All sockets of an HTTPS address use HTTPS, unless one of the sockets is named https: then only sockets with
// this name use HTTPS.
func (a Passed) addresses(bind []string, given bool) (list []string, err error) {
	if !given && len(a) > 0 {
		_, secure := settings.SplitSecure(bind[0])
		return a.as(secure), nil
	}
	for _, addr := range bind {
		plain, secure := settings.SplitSecure(addr)
		if plain != "systemd" {
			list = append(list, addr)
			continue
		}
		if len(a) == 0 {
			return nil, process.ExitNotStarted("cannot listen on systemd: no sockets were passed to this process " +
				"(LISTEN_FDS, LISTEN_PID); check that a .socket unit of the same name exists")
		}
		list = append(list, a.as(secure)...)
	}
	return list, nil
}

// The method as returns the addresses of the sockets. If secure is true and no socket is named "https", all sockets use
// HTTPS.
func (a Passed) as(secure bool) []string {
	if !secure || firstSecure(a) != "" {
		return a
	}
	list := make([]string, len(a))
	for i, addr := range a {
		list[i] = settings.Secure(addr)
	}
	return list
}

func (a Passed) unused(addrs []string) (list []string) {
	plain := func(addr string) string { bare, _ := settings.SplitSecure(addr); return bare }
	for _, addr := range a {
		if !slices.ContainsFunc(addrs, func(other string) bool { return plain(other) == plain(addr) }) {
			list = append(list, addr)
		}
	}
	return list
}
