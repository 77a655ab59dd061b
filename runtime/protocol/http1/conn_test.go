package http1

import (
	"bufio"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"strings"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/protocol/http"
	"fapws/runtime/system"
)

// patience ends a test that hangs, also on a machine that is many times slower.
const patience = 2 * time.Minute

// host is a Host whose source answers with the request. It holds the exchanges back whose path begins with /later, until release.
type host struct {
	http.Server
	http1   Server
	set     conn.Set
	maxBody int64
	next    exchange.Request
	parsed  http1.Request
	held    []*exchange.Exchange
	gone    int // exchanges whose clients have left
}

// served is an Exchange as the host has it.
type served struct {
	http.Exchange
	parsed http1.Request // when its Req has to last
	req    exchange.Request
}

func (s *served) Reply(r exchange.Reply) {
	if s.Conn() == nil {
		s.End()
		return
	}
	s.Replace(r.Close)
	s.Send(&exchange.Part{First: true, Last: true, Head: exchange.Head{Status: r.Status, Length: -1}, Body: []byte(r.Text), File: -1})
}

func (s *served) HasPage(int) bool           { return false }
func (s *served) Decline(string) bool        { return false }
func (s *served) Log(loglevel.Level, string) {}
func (s *served) NoteFile(string, []byte)    {}

func (h *host) New() *http.Exchange {
	s := new(served)
	s.Sink, s.Server = s, s
	return &s.Exchange
}

func (h *host) Request() *exchange.Request {
	h.parsed.Fields = nil
	h.next = exchange.Request{Parsed: &h.parsed, Spool: -1}
	return &h.next
}

func (h *host) Decide(x *http.Exchange) {
	x.MaxBody = h.maxBody
	x.Admit(http.Answerer{Source: h})
}

func (h *host) Resume(x *http.Exchange) { x.Admit(http.Answerer{Source: h}) }

func (h *host) Keep(x *http.Exchange) {
	s := x.Server.(*served)
	s.parsed, s.req = *x.Req.Parsed, *x.Req
	s.req.Head, s.req.Parsed = append([]byte(nil), x.Req.Head...), &s.parsed
	x.Req = &s.req
}

func (h *host) Forget(*http.Exchange)                       {}
func (h *host) Malformed(*http.Exchange, []byte)            {}
func (h *host) Substituted(*http.Exchange, *http.Exchange)  {}
func (h *host) Canceled(*http.Exchange)                     {}
func (h *host) HalfClosed(*http.Exchange)                   {}
func (h *host) Ended(*http.Exchange)                        {}
func (h *host) Edits(*http.Exchange) header.Edits           { return nil }
func (h *host) HeadSent(*http.Exchange, []byte)             {}
func (h *host) Upgrade(*http.Exchange, *exchange.Part) bool { return false }
func (h *host) Account(*http.Exchange) string               { return "" }
func (h *host) Arrived(*conn.Conn)                          {}
func (h *host) Delivered()                                  {}
func (h *host) OnRoom(*exchange.Exchange)                   {}
func (h *host) path(r *exchange.Request) (path string)      { return string(r.Parsed.Path.In(r.Head)) }
func (h *host) answer(x *exchange.Exchange, text string) {
	x.Sink.Send(&exchange.Part{First: true, Last: true, Head: exchange.Head{Status: 200, Length: -1}, Body: []byte(text), File: -1})
}

func (h *host) Start(x *exchange.Exchange) {
	text := h.path(x.Req) + ":" + string(x.Req.Body)
	if strings.HasPrefix(text, "/later") {
		x.Fields = []byte("Path: " + text + "\r\n")
		h.held = append(h.held, x)
		return
	}
	h.answer(x, text)
}

func (h *host) OnGone(x *exchange.Exchange) {
	h.gone++
	h.answer(x, "")
}

// client is a connection as the host has it.
type client struct{ Conn }

func (c *client) Account() string { return "" }
func (c *client) Gone()           {}

func newHost(t *testing.T, cfg http.Config) *host {
	t.Helper()
	loop, err := eventloop.New()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{maxBody: 1 << 20}
	h.set.Init()
	h.set.SetReadSize(64 << 10)
	h.set.Events, h.set.WriteTimeout = loop, time.Hour
	h.set.Log = func(level loglevel.Level, format string, args ...any) { t.Logf(format, args...) }
	h.set.Unsent.Max = 1 << 40
	h.Init(h, &h.set, "test")
	h.http1.Server = &h.Server
	limits := http1.Limits{}.WithDefaults()
	cfg.Limits, cfg.HeadTimeout, cfg.BodyTimeout, cfg.KeepAlive = &limits, time.Hour, time.Hour, time.Hour
	cfg.SpoolSize, cfg.SpoolDir = 1<<20, t.TempDir()
	h.Configure(cfg)
	loop.AtEndOfBatch(func(bool) { h.flush() })
	ended := make(chan error)
	go func() { ended <- loop.Run() }()
	t.Cleanup(func() {
		h.do(func() { h.set.CloseAll("the test has ended") })
		loop.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		loop.Close()
	})
	return h
}

// flush writes, and goes on with input that had to wait.
func (h *host) flush() {
	for {
		h.set.Flush()
		if !h.set.Resumes() {
			return
		}
		h.set.Resume()
	}
}

// do runs a function on the loop.
func (h *host) do(run func()) {
	done := make(chan bool)
	h.set.Events.Post(func() {
		defer close(done)
		run()
		h.flush()
	})
	<-done
}

// open returns a connection, and the socket of its client.
func (h *host) open(t *testing.T) (*client, net.Conn) {
	t.Helper()
	fds, err := system.SocketpairNonblock()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "client")
	remote, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remote.Close() })
	remote.SetDeadline(time.Now().Add(patience))
	c := new(client)
	c.Attach(&h.http1)
	c.Init(fds[1], &net.UnixAddr{}, &net.UnixAddr{})
	h.do(func() {
		if err := c.Open(c); err != nil {
			t.Error(err)
		}
		c.Stamp = h.set.Now()
		c.Schedule()
	})
	return c, remote
}

// read returns status and body of the next response.
func read(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	res, err := nethttp.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

// Input that is cut anywhere gives the same responses, in the order of the requests.
func TestCutAnywhere(t *testing.T) {
	const input = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" +
		"GET /c HTTP/1.1\r\nHost: x\r\n\r\nPOST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nch\r\n3\r\nunk\r\n0\r\n\r\n" +
		"GET /e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	const want = "200 /a: 200 /b:body 200 /c: 200 /d:chunk 200 /e: "
	h := newHost(t, http.Config{})
	for cut := 1; cut < len(input); cut++ {
		c, remote := h.open(t)
		for _, piece := range []string{input[:cut], input[cut:]} {
			h.do(func() { c.Input([]byte(piece)) })
		}
		got, r := "", bufio.NewReader(remote)
		for range 5 {
			got += read(t, r) + " "
		}
		if got != want {
			t.Errorf("cut at %d: %q", cut, got)
		}
		if n, err := r.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			t.Errorf("cut at %d: not closed: %d, %v", cut, n, err)
		}
	}
	h.do(func() {
		if n := h.Active(); n != 0 {
			t.Errorf("%d exchanges have not ended", n)
		}
	})
}

// Requests that were sent ahead are answered side by side, and their responses leave in order.
func TestResponsesLeaveInOrder(t *testing.T) {
	h := newHost(t, http.Config{})
	c, remote := h.open(t)
	h.do(func() {
		c.Input([]byte("GET /later/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /later/2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n"))
		if len(h.held) != 2 || c.State() != StateReady || !c.Busy() {
			t.Fatalf("%d are held, the connection is %s", len(h.held), c.State())
		}
		h.answer(h.held[1], "two")
		h.answer(h.held[0], "one")
	})
	r := bufio.NewReader(remote)
	for _, want := range []string{"200 one", "200 two", "200 /3:"} {
		if got := read(t, r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A request that cannot be understood, or taken, is refused, and the connection closes.
func TestRefusals(t *testing.T) {
	h := newHost(t, http.Config{})
	h.maxBody = 3
	for input, want := range map[string]string{
		"GET\r\n\r\n": "400",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: what\r\n\r\n":                              "400",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n":                                   "413",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n1234":                               "413",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n":                     "413",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n":                     "400",
		"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n": "400",
	} {
		c, remote := h.open(t)
		h.do(func() { c.Input([]byte(input)) })
		r := bufio.NewReader(remote)
		if strings.HasPrefix(input, "GET /1") {
			read(t, r)
		}
		if got := read(t, r); got[:3] != want {
			t.Errorf("%q: %q, want %s", input, got, want)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("%q: %v", input, err)
		}
	}
}

// The source learns of a client that disconnects, and its later data is discarded.
func TestClientLeaves(t *testing.T) {
	h := newHost(t, http.Config{})
	c, _ := h.open(t)
	h.do(func() {
		c.Input([]byte("GET /later/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"))
		if n := h.Active(); n != 2 {
			t.Errorf("%d exchanges", n)
		}
		c.Close("the client has disconnected")
		if n := h.Active(); n != 0 || h.gone != 1 || c.State() != StateClosed {
			t.Errorf("%d exchanges, %d gone, %s", n, h.gone, c.State())
		}
	})
}

// Draining closes idle connections at once and others behind their responses; retiring leaves them their next request.
func TestDrain(t *testing.T) {
	const request = " HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, retire := range []bool{false, true} {
		h := newHost(t, http.Config{})
		idle, _ := h.open(t)
		busy, remote := h.open(t)
		h.do(func() {
			busy.Input([]byte("GET /later" + request))
			if retire {
				h.Retire(time.Hour)
			} else {
				h.Server.Drain()
			}
			h.set.Drain(retire)
			if closed := idle.State() == StateClosed; closed == retire {
				t.Errorf("retire %v: the idle connection is %s", retire, idle.State())
			}
			h.answer(h.held[0], "end")
		})
		r := bufio.NewReader(remote)
		if got := read(t, r); got != "200 end" {
			t.Errorf("%q", got)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("retire %v: %v", retire, err)
		}
	}
}
