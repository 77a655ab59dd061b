package conn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/logfile"
)

type fixture struct {
	Acceptor
	t *testing.T
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	loop := looptest.New(t)
	f := &fixture{t: t}
	f.Events, f.Log = loop, func(level logfile.Level, format string, args ...any) { t.Logf(format, args...) }
	f.Room = func(*Listener) bool { return true }
	f.Accepted = func(_ *Listener, fd int, _, _ net.Addr, _ AcceptAction) { unix.Close(fd) }
	looptest.Run(t, loop, func() {})
	f.do(func() { f.Configure(AcceptConfig{MaxClients: 2}) })
	return f
}

func (f *fixture) do(run func()) { looptest.Do(f.Events, run) }

// A server without a free descriptor rejects a client, and reads only a limited number of bytes from the client.
func TestFloodOfARejectedClientIsReadOnlyInPart(t *testing.T) {
	f := newFixture(t)
	f.KeepReserve(0)
	defer f.CloseReserve()
	path := t.TempDir() + "/s"
	ln := checktest.Try(Listen("unix:"+path, ListenOptions{})).Must(t)
	defer ln.Close()
	for _, size := range []int{100, 128 << 10} {
		c := checktest.Try(net.Dial("unix", path)).Must(t)
		defer c.Close()
		checktest.Try(c.Write(make([]byte, size))).Must(t)
		f.refuseQueued(ln.Fd())
		// ReadAll fails if the server left input unread, because closing then resets the connection.
		got, err := io.ReadAll(c)
		checktest.Equalf(t, err == nil && string(got) == string(ServiceUnavailable), size == 100,
			"%d bytes: %q, %v", size, got, err)
	}
}

// The loop of the acceptor never runs, so the tests themselves call the method left. The loop stays open, because
// timers of the acceptor post to the loop.
func newBalanced(t *testing.T) *Acceptor {
	a := &Acceptor{Events: looptest.New(t)}
	a.Configure(AcceptConfig{MaxClients: 10000, Concurrency: 1})
	return a
}

func (a *Acceptor) expect(t *testing.T, what string, want AcceptAction) {
	t.Helper()
	checktest.Equalf(t, a.admit(), want, "%s", what)
}

func TestBusyProcessLeavesConnectionsToOthers(t *testing.T) {
	a := newBalanced(t)
	a.expect(t, "idle", Take)
	e := a.Expect()
	a.expect(t, "a request is expected", Wait)
	a.Occupied(1)
	a.Arrived(e)
	a.expect(t, "it runs", Wait)
	a.Occupied(-1)
	a.expect(t, "it has ended", Take)
	checktest.Truef(t, a.Running() == 0 && a.balance.expected == 0, "%v", a.balance)
}

// Each time connections have waited in the queue for a moment, the process may accept twice as many
// connections as before.
func TestConnectionsThatNobodyAcceptsAreAcceptedAfterAMoment(t *testing.T) {
	a := newBalanced(t)
	a.Occupied(1)
	for _, want := range []int{minAllowed, 2 * minAllowed, 4 * minAllowed} {
		a.expect(t, "before the moment", Wait)
		a.left()
		for range want {
			a.expect(t, "behind the moment", Take)
		}
		a.expect(t, "behind those", Wait)
	}
	a.balance.queueEmpty()
	a.left()
	for range minAllowed {
		a.expect(t, "behind an empty queue", Take)
	}
	a.expect(t, "behind those", Wait)
}

func TestSilentConnectionNoLongerCountsAfterAMoment(t *testing.T) {
	a := newBalanced(t)
	silent := a.Expect()
	a.expect(t, "a request is expected", Wait)
	a.left()
	a.balance.queueEmpty()
	a.expect(t, "it has not come", Take)
	other := a.Expect()
	a.Arrived(silent)
	a.expect(t, "another one is expected", Wait)
	a.Arrived(other)
	a.expect(t, "that has come", Take)
}

func TestClientMayTakeHalfOfTheFreeShares(t *testing.T) {
	s := Shares{Max: 30}
	fill := func(client string) (n int64) {
		for s.Free(client) > 0 {
			s.Add(client, 1)
			n++
		}
		return n
	}
	a, b, c := fill("a"), fill("b"), fill("c")
	checktest.Truef(t, a == 10 && b == 7 && c >= 4, "%v %v %v", a, b, c)
	rest := fill("")
	checktest.Truef(t, s.used == s.Max && rest != 0 && s.Free("d") <= 0, "%v %v", rest, s.used)
	s.Add("a", -10)
	checktest.Truef(t, len(s.clients) == 2 && s.Free("d") == 5 && s.Free("b") <= 0, "%+v", s)
}

func TestUsedPortCannotBeSharedWithASecondSocket(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "", "0.0.0.0", "localhost"} {
		ln := checktest.Try(Listen(host+":0", ListenOptions{})).Must(t)
		defer ln.Close()
		f, err := ListeningSocket(ln.Addr().String(), ListenOptions{})
		checktest.Truef(t, errors.Is(err, unix.EADDRINUSE), "%q: another at the same port: %v, %v", host, f, err)
	}
}

func TestListenErrorsNameAddressAndCause(t *testing.T) {
	ln := checktest.Try(Listen("127.0.0.1:0", ListenOptions{})).Must(t)
	defer ln.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	checktest.Must(t, os.WriteFile(file, nil, 0o600))
	defer checktest.Try(Listen("unix:"+filepath.Join(dir, "live"), ListenOptions{})).Must(t).Close()
	notSocket, _ := unix.Open("/dev/null", unix.O_CLOEXEC, 0)
	notListening, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	notStream, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	defer func() {
		for _, fd := range []int{notSocket, notListening, notStream} {
			unix.Close(fd)
		}
	}()
	for _, test := range []struct {
		addr string
		want error
	}{
		{ln.Addr().String(), unix.EADDRINUSE},
		{"unix:" + filepath.Join(dir, "live"), unix.EADDRINUSE},
		{"unix:" + file, nil},
		{"unix:" + filepath.Join(dir, "missing", "x"), unix.ENOENT},
		{"unix:/" + strings.Repeat("x", 200), nil},
		{"unix:@" + strings.Repeat("x", 200), nil},
		{"192.0.2.1:80", unix.EADDRNOTAVAIL},
		{"[2001:db8::1%no-such-interface]:80", nil},
		{"fd://", nil},
		{"fd://-1", nil},
		{"fd://1000000", nil},
		{fmt.Sprintf("fd://%d", notSocket), nil},
		{fmt.Sprintf("fd://%d", notListening), nil},
		{fmt.Sprintf("fd://%d", notStream), nil},
		{"127.0.0.1:99999", nil},
		{"127.0.0.1", nil},
	} {
		ln, err := Listen(test.addr, ListenOptions{})
		if err == nil {
			ln.Close()
			t.Errorf("%s: no error", test.addr)
			continue
		}
		checktest.Truef(t, test.want == nil || errors.Is(err, test.want), "%s: %v, want %v", test.addr, err, test.want)
		checktest.Truef(t, !strings.Contains(err.Error(), "\n") &&
			strings.HasPrefix(err.Error(), "cannot listen on "+test.addr+": "), "%s: %q", test.addr, err)
	}
}

func TestStaleSocketFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	dead := checktest.Try(net.Listen("unix", path)).Must(t)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	checktest.Try(Listen("unix:"+path, ListenOptions{})).Must(t).Close()
	_, err := os.Lstat(path)
	checktest.Truef(t, errors.Is(err, os.ErrNotExist), "the file is still there after Close: %v", err)
}

func TestConnectionsOfTheSameMachineAreRecognized(t *testing.T) {
	for _, c := range []struct {
		local, remote net.Addr
		want          bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(127, 3, 0, 1)}, true},
		{&net.TCPAddr{IP: net.IPv6loopback}, &net.TCPAddr{IP: net.IPv6loopback}, true},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4()}, true},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)}, false},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1")}, &net.TCPAddr{IP: net.ParseIP("fe80::2")}, false},
		{&net.UnixAddr{Name: "/run/x"}, &net.UnixAddr{}, false},
	} {
		checktest.Equalf(t, SameMachine(c.local, c.remote), c.want, "%v, %v", c.local, c.remote)
	}
}
