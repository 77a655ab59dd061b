package conn

import (
	"io"
	"net"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/logfile"

	"golang.org/x/sys/unix"
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
	f.Accepted = func(_ *Listener, fd int, _, _ net.Addr, _ Verdict) { unix.Close(fd) }
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
