package exchangetest

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/http1conn"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// Host is a server with one site and one mount. It implements exchange.Source except Start, which a test must add.
type Host struct {
	exchange.Server
	exchange.Memory
	Held    []*exchange.Exchange
	Gone    int
	Streams bool // the server streams request bodies; set by the method Stream
	Pages   func(x *exchange.Exchange, r exchange.Reply)
	Filters []exchange.Filter
	HTTP1   http1conn.Server
	// number of connections that have sent a request or have closed, each as often as its protocol reports it
	Arrivals int

	conns  conn.Set
	source exchange.Source
}

func Answer(x *exchange.Exchange, text string) {
	x.Sink.Send(&exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200, Length: -1},
		Body: []byte(text)})
}

func Path(r *exchange.Request) string { return string(r.Parsed.Path.In(r.Head)) }

func (h *Host) OnGone(x *exchange.Exchange) {
	h.Gone++
	Answer(x, "")
}

type around struct{ h *Host }

func (a around) Arrived(*exchange.Client) { a.h.Arrivals++ }
func (around) Gone(*exchange.Client)      {}
func (around) Freed()                     {}

// application is the Handler of the mount. A mount accepts request bodies only if it has a Handler.
type application struct{ exchange.Handler }

// Run runs h on a new loop until the test ends. Run sets the limits and timeouts of cfg.
func (h *Host) Run(t testing.TB, source exchange.Source, cfg exchange.Config) {
	t.Helper()
	loop := looptest.New(t)
	h.source = source
	h.conns.Init()
	h.conns.SetReadSize(64 << 10)
	h.conns.Events, h.conns.WriteTimeout = loop, time.Hour
	h.conns.Log = func(level logfile.Level, format string, args ...any) {
		if t.Logf(format, args...); strings.HasPrefix(format, "bug:") {
			t.Fail()
		}
	}
	secure := new(conn.TLSServer)
	h.Init(around{h}, &h.conns, secure, nil, "test")
	h.HTTP1.Init(&h.Server, secure, nil, nil)

	cfg.Limits, cfg.HeadTimeout, cfg.BodyTimeout, cfg.KeepAlive = http1.DefaultLimits, time.Hour, time.Hour, time.Hour
	cfg.SpoolSize, cfg.SpoolDir, cfg.MaxBodySize, cfg.MaxDescriptors = 1<<20, t.TempDir(), 1<<20, 1<<10
	cfg.LogClient = func(_ logfile.Level, client, line string) { t.Log(client, line) }
	h.Configure(cfg)
	h.use(t)
	loop.AtEndOfBatch(func() { h.Flush() })
	looptest.Run(t, loop, func() {})
	t.Cleanup(func() {
		h.Do(func() { h.Set.CloseAll("the test has ended") })
		h.Do(func() {
			n := h.Active()
			checktest.Truef(t, n == len(h.Held)-h.Gone || n == 0, "%d exchanges have not ended", n)
		})
	})
}

func (h *Host) use(t testing.TB) {
	t.Helper()
	all := []exchange.Site{{Pages: h.Pages, Table: []exchange.Mount{{Prefix: "/", Handler: application{},
		Streams: h.Streams,
		Filters: h.Filters}}}}
	table, err := h.Prepare(all, nil, func(*exchange.Mount) (exchange.Source, bool) { return h.source, false })
	checktest.Must(t, err)
	h.Use(table)
}

// Stream makes the server stream request bodies of any size.
func (h *Host) Stream(t testing.TB) {
	h.Do(func() {
		h.Streams, h.Config.MaxBodySize = true, -1
		h.use(t)
	})
}

// Flush writes the gathered output and continues with input that a connection has delayed.
func (h *Host) Flush() {
	for {
		h.Set.Flush()
		if !h.Set.Resume() {
			return
		}
	}
}

func (h *Host) NewClient(fd int) *http1conn.Conn {
	c, _ := h.HTTP1.NewClient(fd, &net.UnixAddr{}, &net.UnixAddr{}, false) // unix sockets are known
	return c
}

func (h *Host) Do(run func()) {
	looptest.Do(h.Set.Events, func() {
		run()
		h.Flush()
	})
}

// Connect returns the client's side of a new connection to h, on which the client has sent text.
func (h *Host) Connect(t testing.TB, text string) (client net.Conn) {
	t.Helper()
	fd, client := Sockets(t)
	checktest.Try(io.WriteString(client, text)).Must(t)
	h.Do(func() {
		c := h.NewClient(fd)
		checktest.Equal(t, c.Open(c.Speaks()), nil)
	})
	return client
}

// Sockets returns the two sides of a connection: the server's side as a non-blocking descriptor, and the client's side.
func Sockets(t testing.TB) (fd int, client net.Conn) {
	t.Helper()
	fds := checktest.Try(system.SocketpairNonblock()).Must(t)
	client = checktest.Try(system.Conn(fds[0], "client")).Must(t)
	t.Cleanup(func() { client.Close() })
	client.SetDeadline(time.Now().Add(checktest.Patience))
	return fds[1], client
}

// TCPSockets is like Sockets, for a TCP connection.
func TCPSockets(t testing.TB) (fd int, client net.Conn) {
	t.Helper()
	listener := checktest.Try(net.Listen("tcp4", "127.0.0.1:0")).Must(t)
	defer listener.Close()
	fd = checktest.Try(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)).Must(t)
	addr := listener.Addr().(*net.TCPAddr)
	// room for all input of a test before the server reads
	checktest.Must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 200<<10),
		unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}), unix.SetNonblock(fd, true))
	client = checktest.Try(listener.Accept()).Must(t)
	t.Cleanup(func() { client.Close() })
	client.SetDeadline(time.Now().Add(checktest.Patience))
	return fd, client
}
