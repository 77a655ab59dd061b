package process_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func passed(t *testing.T, listeners ...net.Listener) (files []*os.File) {
	t.Helper()
	for _, ln := range listeners {
		f := fapwstest.Try(ln.(interface{ File() (*os.File, error) }).File()).Must(t)
		f.Fd()
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	return files
}

func listenOn(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln := fapwstest.Try(net.Listen(network, address)).Must(t)
	t.Cleanup(func() { ln.Close() })
	return ln
}

// asManager is a shell command that sets the variables of a service manager (sd_listen_fds(3)). fapws then replaces the
// shell by exec, so fapws has the process ID in LISTEN_PID.
const asManager = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:local"

// The application and its child processes inherit neither the sockets nor the variables LISTEN_*.
func TestSocketActivationServesSocketsOfTheManager(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"by default": nil, "by name": {"--bind", "systemd", "--workers", "2"}} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			tcp, local := listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "unix", socket)
			s := fapwstest.Command{Script: "service.py", Shell: asManager, Files: passed(t, tcp, local), Flags: flags}.Start(t)
			s.Says(`(?m)^  http://` + tcp.Addr().String() + `/\n  unix:` + socket + `\n`)
			s.Address = tcp.Addr().String()
			s.Get("/environment", 200).Is(t, "clean")
			s.Get("/child", 200).Is(t, "none")
			fapwstest.Dial(t, "unix", socket).Fetch("/").Is(t, "served by localhost")
			s.Reload()
			s.Get("/child", 200).Is(t, "none")
			fapwstest.Dial(t, "unix", socket).Fetch("/").Is(t, "served by localhost")

			// The server must not remove socket files that the service manager has created, because the manager may
			// start the service again.
			s.Stop()
			fapwstest.Truef(t, fapwstest.Exists(socket), "the socket of another has gone")
		})
	}
}

func TestInheritedDescriptorIsServedIfItListens(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		ln := listenOn(t, "tcp", "127.0.0.1:0")
		s := fapwstest.Command{Script: "service.py", Files: passed(t, ln),
			Flags: append(m.Flags, "--bind", "fd://3")}.Start(t)
		s.Says(`http://` + ln.Addr().String() + `/`)
		s.Address = ln.Addr().String()
		s.Get("/", 200).Is(t, "served by 127.0.0.1")
		s.Get("/child", 200).Is(t, "none")
	})
	connected := fapwstest.Dial(t, "tcp", listenOn(t, "tcp", "127.0.0.1:0").Addr().String())
	file := fapwstest.Try(connected.Conn.(*net.TCPConn).File()).Must(t)
	defer file.Close()
	null := fapwstest.Try(os.Open(os.DevNull)).Must(t)
	defer null.Close()
	for _, tt := range []struct {
		files      []*os.File
		bind, want string
	}{
		{[]*os.File{file}, "fd://3", "cannot listen on fd://3: this socket is not listening"},
		{[]*os.File{null}, "fd://3", "cannot listen on fd://3: this descriptor is not a socket"},
		{nil, "fd://999", "cannot listen on fd://999: fapws was started without this descriptor"},
		{nil, "systemd", "cannot listen on systemd: no sockets were passed to this process (LISTEN_FDS, LISTEN_PID); " +
			"check that a .socket unit of the same name exists"},
	} {
		fapwstest.Command{Script: "service.py", Files: tt.files, Flags: []string{"--bind", tt.bind}}.Fails(t, 3,
			"fapws: "+tt.want+"\n")
	}
}

// manager receives the messages of a service to its service manager (sd_notify(3)).
type manager struct {
	t        *testing.T
	name     string
	messages chan []byte
}

// newManager returns a manager that reads messages continuously, like systemd, because the kernel queues only ten
// messages.
func newManager(t *testing.T) *manager {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	c := fapwstest.Try(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})).Must(t)
	t.Cleanup(func() { c.Close() })
	m := &manager{t, name, make(chan []byte, 100_000)}
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			m.messages <- bytes.Clone(buf[:n])
		}
	}()
	return m
}

func (m *manager) next() []byte {
	m.t.Helper()
	select {
	case message := <-m.messages:
		return message
	case <-time.After(fapwstest.Patience):
		m.t.Fatal("no message")
		return nil
	}
}

func (m *manager) hears(pattern string) {
	m.t.Helper()
	for !regexp.MustCompile(pattern).Match(m.next()) {
	}
}

// silent discards messages until there is a pause of a given length between two messages. After such a pause, systemd
// would restart the service.
func (m *manager) silent(long time.Duration) {
	m.t.Helper()
	c := fapwstest.Try(net.Dial("unixgram", m.name)).Must(m.t)
	defer c.Close()
	fapwstest.Try(io.WriteString(c, "from now on")).Must(m.t)
	m.hears("^from now on$")
	for heard := 0; ; heard++ {
		select {
		case <-m.messages:
		case <-time.After(long):
			return
		}
		fapwstest.Needf(m.t, heard <= 3, "the watchdog is told that a hung loop is alive")
	}
}

func TestServiceManagerIsNotifiedOfStartAndStop(t *testing.T) {
	t.Parallel()
	manager := newManager(t)
	s := fapwstest.Command{Script: "service.py", Env: []string{"NOTIFY_SOCKET=" + manager.name,
		"WATCHDOG_USEC=200000"}}.Serve(t, fapwstest.Inline)
	manager.hears(`^READY=1\nSTATUS=serving http://` + s.Address + `/$`)
	for range 3 {
		manager.hears(`^WATCHDOG=1$`)
	}
	s.Get("/environment", 200).Is(t, "clean")
	s.Signal(syscall.SIGTERM)
	manager.hears(`^STOPPING=1$`)
	s.EndsWith(0)
}

func TestServiceManagerThatIsGoneDoesNotPreventServing(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "service.py", Env: []string{"NOTIFY_SOCKET=" + t.TempDir() + "/gone"}}.Serve(t,
		fapwstest.Threads)
	s.Says("warning cannot tell the service manager: ")
	s.Get("/", 200)
}

// If the settings contain a mode, umask has no effect.
func TestSocketFilePermissionsMatchTheSettings(t *testing.T) {
	t.Parallel()
	type wanted struct{ flags, shell, mode, owner string }
	me := fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	tests := []wanted{
		{"", "umask 022", "755", me},
		{"", "umask 077", "700", me},
		{"--umask 027", "umask 0", "750", me}, // also for the files of the application
		{"--uds-permissions 660", "umask 0", "660", me},
		{"--uds-permissions 666", "umask 077", "666", me},
		{"--uds-permissions 600 --umask 0", "umask 077", "600", me},
		{"--uds-owner " + me, "umask 022", "755", me},
	}
	if os.Geteuid() == 0 {
		tests = append(tests, wanted{"--uds-permissions 660 --uds-owner 54321:54322", "umask 022", "660", "54321:54322"},
			wanted{"--uds-owner :54322", "umask 022", "755", fmt.Sprintf("%d:54322", os.Geteuid())})
	}
	for _, tt := range tests {
		socket := filepath.Join(t.TempDir(), "s")
		s := fapwstest.Command{Script: "service.py", Shell: tt.shell, Flags: append(strings.Fields(tt.flags), "--uds",
			socket)}.Start(t)
		s.Says(`unix:` + socket)
		info := fapwstest.Try(os.Stat(socket)).Must(t)
		if strings.HasPrefix(tt.flags, "--umask") {
			fapwstest.Dial(t, "unix", socket).Fetch("/umask").Is(t, "027")
		}
		st := info.Sys().(*syscall.Stat_t)
		mode, owner := fmt.Sprintf("%03o", st.Mode&0o777), fmt.Sprintf("%d:%d", st.Uid, st.Gid)
		fapwstest.Truef(t, mode == tt.mode && owner == tt.owner, "%s after %s: mode %s of %s, want %s of %s", tt.flags,
			tt.shell, mode, owner, tt.mode, tt.owner)
		s.Stop()
		fapwstest.Truef(t, !fapwstest.Exists(socket), "the socket is still there")
	}
}

func TestServiceManagerGetsMessagesOnlyFromTheSupervisor(t *testing.T) {
	t.Parallel()
	manager := newManager(t)
	pid := filepath.Join(t.TempDir(), "pid")
	tcp, local := listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "unix", filepath.Join(t.TempDir(), "s"))
	s := fapwstest.Command{Script: "service.py", Shell: asManager, Files: passed(t, tcp, local),
		Env:   []string{"NOTIFY_SOCKET=" + manager.name, "WATCHDOG_USEC=500000"},
		Flags: []string{"--workers", "2", "--pid", pid}}.Start(t)
	s.Address = tcp.Addr().String()
	serving := `^READY=1\nSTATUS=serving http://` + s.Address + `/ unix:` + local.Addr().String() + `$`
	first := manager.next()
	fapwstest.Truef(t, regexp.MustCompile(serving).Match(first), "the first message is %q", first)
	fapwstest.FileSays(t, pid, fmt.Sprint(s.Cmd.Process.Pid))
	s.Get("/environment", 200).Is(t, "clean")
	s.Get("/child", 200).Is(t, "none")
	fapwstest.Dial(t, "unix", local.Addr().String()).Fetch("/").Is(t, "served by localhost")
	manager.hears(`^WATCHDOG=1$`)

	s.Signal(syscall.SIGHUP)
	manager.hears(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+$`)
	manager.hears(`^READY=1`)
	s.SignalLogs(syscall.SIGUSR2, "upgraded")
	manager.hears(serving)
	manager.hears(`^WATCHDOG=1$`)
	fapwstest.FileSays(t, pid, fmt.Sprint(s.Cmd.Process.Pid))
	s.Get("/environment", 200).Is(t, "clean")
	s.Get("/child", 200).Is(t, "none")

	s.Signal(syscall.SIGTERM)
	manager.hears(`^STOPPING=1$`)
	s.EndsWith(0)
	fapwstest.Truef(t, !fapwstest.Exists(pid), "the pid file is still there")
}

// In inline mode, a handler that waits blocks the event loop of its process.
func TestWatchdogIsNotifiedWhileOneProcessResponds(t *testing.T) {
	t.Parallel()
	const interval = 400 * time.Millisecond
	for _, tt := range []struct {
		flags  []string
		silent bool
	}{{nil, true}, {[]string{"--workers", "1"}, true}, {[]string{"--workers", "2"}, false}} {
		t.Run(fmt.Sprint(tt.flags), func(t *testing.T) {
			t.Parallel()
			manager := newManager(t)
			folder := t.TempDir()
			s := fapwstest.Command{Script: "slow.py", Args: []string{folder}, Flags: tt.flags,
				Env: []string{"NOTIFY_SOCKET=" + manager.name,
					fmt.Sprintf("WATCHDOG_USEC=%d", interval.Microseconds())}}.Serve(t, fapwstest.Inline)
			manager.hears(`^WATCHDOG=1$`)
			w := s.DialGet("/wait")
			fapwstest.FileSays(t, folder+"/entered", "yes")
			if tt.silent {
				manager.silent(2 * interval)
			} else {
				for range 5 {
					manager.hears(`^WATCHDOG=1$`)
				}
			}
			fapwstest.Write(t, folder+"/go", "")
			w.Answer().Is(t, "waited")
			manager.hears(`^WATCHDOG=1$`)
		})
	}
}

func TestSocketFilesOfAFailedStartAreRemoved(t *testing.T) {
	t.Parallel()
	taken := listenOn(t, "tcp", "127.0.0.1:0")
	for _, flags := range [][]string{nil, {"--workers", "2"}} {
		folder := t.TempDir()
		code, _, _ := fapwstest.Command{Script: "service.py", Flags: append(flags, "--pid", folder+"/pid", "--uds",
			folder+"/s", "--bind", taken.Addr().String())}.Run(t)
		left, err := os.ReadDir(folder)
		fapwstest.Truef(t, code == 3 && err == nil && len(left) == 0, "%v: code %d, left behind %v", flags, code, left)
	}
}

// The server uses the sockets of a service manager only if LISTEN_PID is its own process ID and the command line has no
// address.
func TestSocketActivationOfAnotherProcessIsIgnored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, shell, says string
		flags             []string
	}{
		{"another process", "export LISTEN_PID=1 LISTEN_FDS=1", "", []string{"--port", "0"}},
		{"an address", "export LISTEN_PID=$$ LISTEN_FDS=1",
			"ignoring socket fd://3 from the service manager: overridden by flag --bind", []string{"--bind", "127.0.0.1:0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := listenOn(t, "tcp", "127.0.0.1:0")
			s := fapwstest.Command{Script: "service.py", Shell: tt.shell, Files: passed(t, ln), Flags: tt.flags}.Started(t)
			fapwstest.Truef(t, s.Address != ln.Addr().String(), "it serves the socket of another")
			s.Get("/environment", 200).Is(t, "clean")
			s.Get("/child", 200) // the server must not close a descriptor that is not from its manager
			if tt.says != "" {
				s.Says(regexp.QuoteMeta(tt.says))
			}
		})
	}
}
