package accept

import (
	"io"
	"net"
	"testing"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/listen"
	"fapws/runtime/loglevel"

	"golang.org/x/sys/unix"
)

// patience ends a test that hangs, also on a machine that is many times slower.
const patience = 2 * time.Minute

// host answers each connection with the number that is its verdict, and closes it.
type host struct{}

func (h host) Accepted(_ *listen.Listener, fd int, local, remote net.Addr, v Verdict) {
	unix.Write(fd, append([]byte(local.String()+" "+remote.String()+" "), '0'+byte(v)))
	unix.Close(fd)
}

// Connections wait, are taken or rejected by the number of clients, and none is accepted behind Stop.
func TestAcceptor(t *testing.T) {
	loop, err := eventloop.New()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- loop.Run() }()
	do := func(f func()) {
		done := make(chan bool)
		loop.Post(func() {
			defer close(done)
			f()
		})
		<-done
	}
	a := &Acceptor{Events: loop, Host: host{}, Log: func(level loglevel.Level, format string, args ...any) { t.Logf(format, args...) }}
	ln, err := listen.Open("127.0.0.1:0", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	do(func() { a.Configure(Config{MaxClients: 2}) })
	a.Accept(ln)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	check := func(c net.Conn, v Verdict) {
		t.Helper()
		want := c.RemoteAddr().String() + " " + c.LocalAddr().String() + " " + string('0'+byte(v))
		if got, err := io.ReadAll(c); string(got) != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	check(dial(), Take)
	do(func() {
		a.Opened(Take)
		a.Opened(Take)
		a.Opened(Wait) // does not count
		if !a.Full() {
			t.Error("it is not full")
		}
	})
	waits := dial()
	do(func() {}) // a turn of the loop
	do(func() { a.Configure(Config{MaxClients: 2, Refuse: true}) })
	other := dial()
	do(a.Resume)
	check(waits, Reject)
	check(other, Reject)
	do(func() { a.Closed(Take) })
	check(dial(), Take)
	if err := a.Intact(); err != nil {
		t.Error(err)
	}
	a.Stop()
	do(func() {
		if len(a.sockets) > 0 {
			t.Error("a listener is open")
		}
	})
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("a connection comes behind Stop")
	}
	loop.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	loop.Close()
}
