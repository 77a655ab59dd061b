package conn

import (
	"io"
	"net"
	"testing"
	"time"

	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/logfile"

	"golang.org/x/sys/unix"
)

// host answers each connection with the number that is its verdict, and closes it.
type host struct{ full *bool }

// Room implements Host: a full host takes nothing of listeners with TLS.
func (h host) Room(ln *Listener) bool { return !ln.Secure || !*h.full }

func (h host) Accepted(_ *Listener, fd int, local, remote net.Addr, v Verdict) {
	unix.Write(fd, append([]byte(local.String()+" "+remote.String()+" "), '0'+byte(v)))
	unix.Close(fd)
}

// fixture is an Acceptor on a loop.
type fixture struct {
	Acceptor
	t    *testing.T
	full bool // see host
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	loop := looptest.New(t)
	f := &fixture{t: t}
	f.Events, f.Loop, f.Log = loop, host{&f.full}, func(level logfile.Level, format string, args ...any) { t.Logf(format, args...) }
	looptest.Run(t, loop, func() {})
	f.do(func() { f.Configure(AcceptConfig{MaxClients: 2}) })
	return f
}

// do runs a function on the loop.
func (f *fixture) do(run func()) { looptest.Do(f.Events, run) }

// listen opens a listener, and accepts on it.
func (f *fixture) listen(secure bool) *Listener {
	f.t.Helper()
	ln, err := Listen("127.0.0.1:0", ListenOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	ln.Secure = secure
	f.Accept(ln)
	return ln
}

func (f *fixture) dial(ln *Listener) net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// expect checks the state of a connection.
func (f *fixture) expect(c net.Conn, v Verdict) {
	f.t.Helper()
	want := c.RemoteAddr().String() + " " + c.LocalAddr().String() + " " + string('0'+byte(v))
	if got, err := io.ReadAll(c); string(got) != want || err != nil {
		f.t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// Connections wait, are taken or rejected by the number of clients, and none is accepted behind Stop.
func TestAcceptor(t *testing.T) {
	f := newFixture(t)
	ln := f.listen(false)
	f.expect(f.dial(ln), Take)
	f.do(func() {
		f.Opened(Take)
		f.Opened(Take)
		f.Opened(Wait) // does not count
		if !f.Full() {
			t.Error("it is not full")
		}
	})
	waits := f.dial(ln)
	f.do(func() {}) // a turn of the loop
	f.do(func() { f.Configure(AcceptConfig{MaxClients: 2, Refuse: true}) })
	other := f.dial(ln)
	f.do(f.Resume)
	f.expect(waits, Reject)
	f.expect(other, Reject)
	f.do(func() { f.Closed(Take) })
	f.expect(f.dial(ln), Take)
	if err := f.Intact(); err != nil {
		t.Error(err)
	}
	f.Stop()
	f.do(func() {
		if len(f.sockets) > 0 {
			t.Error("a listener is open")
		}
	})
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("a connection comes behind Stop")
	}
}

// A connection waits as long as the host has no room for those of its listener, and others do not wait for it.
func TestRoom(t *testing.T) {
	f := newFixture(t)
	plain, secure := f.listen(false), f.listen(true)
	f.do(func() { f.full = true })
	waits := f.dial(secure)
	f.expect(f.dial(plain), Take)
	f.do(f.Resume)
	f.do(func() {
		fds := [1]unix.PollFd{{Fd: int32(secure.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds[:], 0); n != 1 {
			t.Errorf("it does not wait: %v", err)
		}
		f.full = false
		f.Resume()
	})
	f.expect(waits, Take)
	f.Stop()
}

// Of a client that is refused because descriptors are missing, the loop reads a request, and not all that the client sends.
func TestRefusedFloodIsNotRead(t *testing.T) {
	f := newFixture(t)
	f.KeepReserve(0)
	defer f.CloseReserve()
	path := t.TempDir() + "/s"
	ln, err := Listen("unix:"+path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, size := range []int{100, 128 << 10} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		f.refuseQueued(ln.Fd())
		got, err := io.ReadAll(c) // an error, if something was left unread
		if all := err == nil && string(got) == string(ServiceUnavailable); all != (size == 100) {
			t.Errorf("%d bytes: %q, %v", size, got, err)
		}
	}
}
