package http2

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

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

// host is a Host whose source answers with the request. It holds the exchanges back whose path begins with /later, and gives streams whose path begins
// with /bytes to an echo.
type host struct {
	http.Server
	http2   Server
	set     conn.Set
	streams bool // bodies are streamed
	maxBody int64
	next    exchange.Request
	parsed  http1.Request
	held    []*exchange.Exchange
	input   bytes.Buffer // that was streamed
	ended   bool         // and its end
	gone    int          // exchanges whose clients have left
	room    int          // calls of OnRoom
	echoes  []*echo
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
	x.Admit(http.Answerer{Source: h, Streams: h.streams})
}

func (h *host) Resume(x *http.Exchange) { x.Admit(http.Answerer{Source: h}) }

func (h *host) Keep(x *http.Exchange) {
	s := x.Server.(*served)
	s.parsed, s.req = *x.Req.Parsed, *x.Req
	s.req.Head, s.req.Parsed = append([]byte(nil), x.Req.Head...), &s.parsed
	x.Req = &s.req
}

func (h *host) Forget(*http.Exchange)                      {}
func (h *host) Malformed(*http.Exchange, []byte)           {}
func (h *host) Substituted(*http.Exchange, *http.Exchange) {}
func (h *host) Canceled(*http.Exchange)                    {}
func (h *host) Ended(*http.Exchange)                       {}
func (h *host) Edits(*http.Exchange) header.Edits          { return nil }
func (h *host) HeadSent(*http.Exchange, []byte)            {}
func (h *host) Account(*http.Exchange) string              { return "" }
func (h *host) Arrived(*conn.Conn)                         {}
func (h *host) Delivered()                                 {}
func (h *host) OnRoom(*exchange.Exchange)                  { h.room++ }
func (h *host) HalfClosed(*http.Exchange)                  {}

func answer(x *exchange.Exchange, text string) {
	x.Sink.Send(&exchange.Part{First: true, Last: true, Head: exchange.Head{Status: 200, Length: -1}, Body: []byte(text), File: -1})
}

func (h *host) Start(x *exchange.Exchange) {
	r := x.Req
	text := string(r.Parsed.Path.In(r.Head)) + ":" + string(r.Body)
	if h.streams {
		h.input.Write(r.Body)
	}
	if r.Spool >= 0 {
		unix.Close(r.Spool)
		text += fmt.Sprint("a file with ", r.Size)
	}
	if strings.HasPrefix(text, "/later") {
		h.held = append(h.held, x)
		return
	}
	if strings.HasPrefix(text, "/bytes") {
		x.Sink.Send(&exchange.Part{First: true, Last: true, Head: exchange.Head{Status: 101, Tunnel: new(exchange.Tunnel)}, File: -1})
		return
	}
	answer(x, text)
}

func (h *host) Input(x *exchange.Exchange, in exchange.Input) {
	h.input.Write(in.Data)
	h.ended = in.Last
}

func (h *host) OnGone(x *exchange.Exchange) {
	h.gone++
	answer(x, "")
}

// client is a connection as the host has it.
type client struct {
	Conn
	on conn.Conn
}

func (c *client) Account() string { return "" }
func (c *client) Gone()           {}

func newHost(t testing.TB) *host {
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
	limits := http1.Limits{}.WithDefaults()
	h.Server.Configure(http.Config{
		Limits: &limits, HeadTimeout: time.Hour, BodyTimeout: time.Hour, KeepAlive: time.Hour, SpoolSize: 1 << 20, SpoolDir: t.TempDir(),
	})
	h.http2.Init(&h.Server)
	loop.AtEndOfBatch(func(bool) { h.flush() })
	ended := make(chan error)
	go func() { ended <- loop.Run() }()
	t.Cleanup(func() {
		h.do(func() { h.set.CloseAll("the test has ended") })
		h.do(func() {
			if n := h.Active(); n != len(h.held)-h.gone && n != 0 {
				t.Errorf("%d exchanges have not ended", n)
			}
		})
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

// peer is the client's side of a connection.
type peer struct {
	t      testing.TB
	conn   net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	coder  *hpack.Encoder
}

// open returns a connection behind its preface, and its client. The settings of the server have been read.
func (h *host) open(t testing.TB, settings ...http2.Setting) (*client, *peer) {
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
	c.on.Init(fds[1], &net.UnixAddr{}, &net.UnixAddr{})
	h.do(func() {
		if err := c.on.Open(&h.set, c); err != nil {
			t.Error(err)
		}
		c.Begin(&h.http2, &c.on, c)
	})
	p := &peer{t: t, conn: remote, framer: http2.NewFramer(remote, remote)}
	p.framer.ReadMetaHeaders = hpack.NewDecoder(tableSize, nil)
	p.coder = hpack.NewEncoder(&p.block)
	p.framer.WriteSettings(settings...)
	for acked := false; !acked; {
		if set, ok := p.next().(*http2.SettingsFrame); ok {
			acked = set.IsAck()
		}
	}
	return c, p
}

// next returns the next frame.
func (p *peer) next() http2.Frame {
	p.t.Helper()
	f, err := p.framer.ReadFrame()
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

// request sends the head of a request. Fields are "name value".
func (p *peer) request(id uint32, path string, ends bool, fields ...string) {
	p.block.Reset()
	method := "POST"
	if ends {
		method = "GET"
	}
	for _, field := range append([]string{":method " + method, ":scheme http", ":authority h", ":path " + path}, fields...) {
		name, value, _ := strings.Cut(field, " ")
		p.coder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: ends})
}

// response reads the rest of a response: its status, a space and its body. If it is reset, that follows.
func (p *peer) response(id uint32) (text string) {
	p.t.Helper()
	for {
		switch f := p.next().(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID != id {
				p.t.Fatalf("%v, want stream %d", f, id)
			}
			text += f.PseudoValue("status") + " "
			if f.StreamEnded() {
				return text
			}
		case *http2.DataFrame:
			text += string(f.Data())
			if f.StreamEnded() {
				return text
			}
		case *http2.RSTStreamFrame:
			return text + "!" + f.ErrCode.String()
		case *http2.GoAwayFrame:
			return text + "!!" + f.ErrCode.String()
		}
	}
}

// is wants a response.
func (p *peer) is(id uint32, want string) {
	p.t.Helper()
	if got := p.response(id); got != want {
		p.t.Errorf("stream %d: %.200q, want %.200q", id, got, want)
	}
}
