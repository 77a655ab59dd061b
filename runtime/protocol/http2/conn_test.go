package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

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

// Streams are answered in the order of their answers, not of their requests.
func TestStreams(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	p.request(1, "/later/1", true)
	p.request(3, "/later/3", true)
	p.request(5, "/5", true)
	p.is(5, "200 /5:")
	h.do(func() { answer(h.held[1], "three") })
	p.is(3, "200 three")
	h.do(func() { answer(h.held[0], "one") })
	p.is(1, "200 one")
	h.do(func() {
		if n := h.Active(); n != 0 || c.working != 0 || len(c.streams) != 0 {
			t.Errorf("%d exchanges, %d are counted, %d streams", n, c.working, len(c.streams))
		}
	})
}

// A body arrives in pieces of any size, with padding and trailers, and is collected.
func TestBody(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	p.request(1, "/a", false, "content-length 5")
	p.framer.WriteData(1, false, []byte("ab"))
	p.framer.WriteDataPadded(1, false, []byte("c"), make([]byte, 200))
	p.framer.WriteData(1, true, []byte("de"))
	p.is(1, "200 /a:abcde")
	p.request(3, "/b", false)
	p.framer.WriteData(3, false, []byte("xyz"))
	p.block.Reset()
	p.coder.WriteField(hpack.HeaderField{Name: "trailer", Value: "a"})
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: true})
	p.is(3, "200 /b:xyz")
	p.request(5, "/c", false, "expect 100-continue")
	if f, ok := p.next().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "100" {
		t.Errorf("%v", f)
	}
	p.framer.WriteData(5, true, nil)
	p.is(5, "200 /c:")
}

// A body that is not as long as was announced, or too long, is refused.
func TestBadBody(t *testing.T) {
	h := newHost(t)
	h.maxBody = 10
	_, p := h.open(t)
	p.request(1, "/", false, "content-length 5")
	p.framer.WriteData(1, true, []byte("abcd"))
	p.is(1, "!PROTOCOL_ERROR")
	p.request(3, "/", false, "content-length 5")
	p.framer.WriteData(3, true, []byte("abcdef"))
	p.is(3, "!PROTOCOL_ERROR")
	p.request(5, "/", true, "content-length 5")
	if got := p.response(5); !strings.HasPrefix(got, "400 ") {
		t.Errorf("%q", got)
	}
	p.is(5, "!PROTOCOL_ERROR")
	p.request(7, "/", false, "content-length 11")
	p.is(7, "413 input body too big")
	p.request(9, "/", false)
	p.framer.WriteData(9, false, []byte("0123456789a"))
	p.is(9, "413 input body too big")
	p.request(11, "/", false, "content-length 5", "content-length 6")
	if got := p.response(11); !strings.HasPrefix(got, "400 ") {
		t.Errorf("%q", got)
	}
}

// A streamed body goes on as its handler gives credit for it, and its window grows with that.
func TestStreamedBody(t *testing.T) {
	h := newHost(t)
	h.streams, h.maxBody = true, -1
	c, p := h.open(t)
	p.request(1, "/later", false)
	sent, window := 0, initialWindow
	piece := make([]byte, 8<<10)
	send := func() {
		for window >= len(piece) {
			if err := p.framer.WriteData(1, false, piece); err != nil {
				t.Fatal(err)
			}
			window -= len(piece)
			sent += len(piece)
		}
	}
	arrived := func() {
		t.Helper()
		for {
			n := 0
			h.do(func() { n = h.input.Len() })
			if n == sent {
				return
			}
		}
	}
	send()
	arrived()
	var most int64
	for range 5 {
		h.do(func() {
			x := h.held[0]
			x.Server.Credit(c.streams[1].x.Given())
		})
		f, ok := p.next().(*http2.WindowUpdateFrame)
		if !ok || f.StreamID != 1 {
			t.Fatalf("%v", f)
		}
		window += int(f.Increment)
		most = max(most, int64(window))
		send()
		arrived()
	}
	if most != largestWindow {
		t.Errorf("a window of %d bytes", most)
	}
	p.framer.WriteData(1, true, nil)
	for over := false; !over; {
		h.do(func() { over = h.ended })
	}
	h.do(func() { answer(h.held[0], "end") })
	p.is(1, "200 end")
}

// A response waits for the windows of the client.
func TestWindows(t *testing.T) {
	const size = 200 << 10
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	p.request(1, "/later", true)
	p.request(3, "/3", true)
	p.is(3, "200 /3:")
	body := strings.Repeat("0123456789", size/10)
	h.do(func() { answer(h.held[0], body) })
	got := ""
	read := func() {
		t.Helper()
		f, ok := p.next().(*http2.DataFrame)
		if !ok {
			t.Fatalf("%v", f)
		}
		got += string(f.Data())
	}
	p.next() // its head
	read()
	if got != body[:10] {
		t.Errorf("%q", got)
	}
	p.framer.WriteWindowUpdate(1, 5)
	read()
	if got != body[:15] {
		t.Errorf("%q", got)
	}
	p.framer.WriteWindowUpdate(1, size)
	for len(got) < http2InitialWindow-3 { // "/3:" took three
		read()
	}
	p.framer.WritePing(false, [8]byte{1})
	if f, ok := p.next().(*http2.PingFrame); !ok {
		t.Errorf("%v", f) // the window of the connection is closed
	}
	p.framer.WriteWindowUpdate(0, size)
	for len(got) < size {
		read()
	}
	if got != body {
		t.Error("another body")
	}
}

// Equal streams send in turn.
func TestFair(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	p.request(1, "/later/1", true)
	p.request(3, "/later/3", true)
	p.request(5, "/5", true)
	p.is(5, "200 /5:")
	body := strings.Repeat("x", 100<<10)
	h.do(func() {
		answer(h.held[0], body) // fills the window of the connection
		answer(h.held[1], body)
	})
	p.framer.WriteWindowUpdate(1, 1<<20)
	p.framer.WriteWindowUpdate(3, 1<<20)
	p.framer.WriteWindowUpdate(0, 1<<20)
	got, turns, last := map[uint32]int{}, 0, uint32(0)
	for ended := 0; ended < 2; {
		if f, ok := p.next().(*http2.DataFrame); ok {
			if got[f.StreamID] += len(f.Data()); f.StreamEnded() {
				ended++
			}
			if f.StreamID != last {
				turns++
			}
			last = f.StreamID
		}
	}
	if got[1] != len(body) || got[3] != len(body) || turns < 4 {
		t.Errorf("%v, %d turns", got, turns)
	}
}

// A client that resets a stream is heard of by its source; its exchange counts until it has ended.
func TestReset(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	p.request(1, "/later", true)
	p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	p.request(3, "/3", true)
	p.is(3, "200 /3:")
	h.do(func() {
		if h.gone != 1 || c.working != 0 {
			t.Errorf("%d gone, %d counted", h.gone, c.working)
		}
	})
}

// More streams than there may be are refused.
func TestMaxStreams(t *testing.T) {
	h := newHost(t)
	h.http2.Configure(Config{MaxStreams: 2})
	_, p := h.open(t)
	p.request(1, "/later", true)
	p.request(3, "/later", true)
	p.request(5, "/5", true)
	p.is(5, "!REFUSED_STREAM")
	h.do(func() { answer(h.held[0], "one") })
	p.is(1, "200 one")
	p.request(7, "/7", true)
	p.is(7, "200 /7:")
}

// Floods end the connection, and others are served.
func TestFloods(t *testing.T) {
	for name, flood := range map[string]func(p *peer, n uint32){
		"pings":    func(p *peer, n uint32) { p.framer.WritePing(false, [8]byte{}) },
		"settings": func(p *peer, n uint32) { p.framer.WriteSettings() },
		"resets": func(p *peer, n uint32) {
			p.request(1+2*n, "/", true)
			p.framer.WriteRSTStream(1+2*n, http2.ErrCodeCancel)
		},
		"priorities": func(p *peer, n uint32) { p.framer.WritePriority(3, http2.PriorityParam{StreamDep: 5}) },
		"updates":    func(p *peer, n uint32) { p.framer.WriteWindowUpdate(0, 1) },
		"unknown":    func(p *peer, n uint32) { p.framer.WriteRawFrame(0x77, 0, 0, nil) },
		"priority update": func(p *peer, n uint32) {
			p.framer.WriteRawFrame(framePriorityUpdate, 0, 0, []byte("\x00\x00\x00\x01u=1"))
		},
		"empty data": func(p *peer, n uint32) {
			if n == 0 {
				p.request(1, "/later", false)
			}
			p.framer.WriteData(1, false, nil)
		},
		"data of ended streams": func(p *peer, n uint32) {
			if n == 0 {
				p.request(1, "/", true)
			}
			p.framer.WriteData(1, false, nil)
		},
		"continuations": func(p *peer, n uint32) {
			if n == 0 {
				p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			}
			p.framer.WriteContinuation(1, false, nil)
		},
		"long continuations": func(p *peer, n uint32) {
			if n == 0 {
				p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			}
			p.framer.WriteContinuation(1, false, bytes.Repeat([]byte{0x82}, 16<<10))
		},
		"fields of the table": func(p *peer, n uint32) { // HPACK bomb
			if n == 0 {
				p.block.Reset()
				p.coder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("a", 3900)})
				p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block.Bytes()})
			}
			p.framer.WriteContinuation(1, false, bytes.Repeat([]byte{0xbe}, 16<<10))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			c, p := h.open(t)
			code := make(chan http2.ErrCode)
			go func() {
				defer close(code)
				for {
					f, err := p.framer.ReadFrame()
					if g, ok := f.(*http2.GoAwayFrame); ok {
						code <- g.ErrCode
						return
					}
					var stream http2.StreamError
					if err != nil && !errors.As(err, &stream) {
						return
					}
				}
			}()
			for n := range uint32(100_000) {
				if flood(p, n); n%100 == 0 {
					dead := false
					if h.do(func() { dead = c.dead }); dead {
						break
					}
				}
			}
			if got := <-code; got != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("%v", got)
			}
			_, other := h.open(t)
			other.request(1, "/", true)
			other.is(1, "200 /:")
		})
	}
}

// A client that asks for control frames and does not read them is not read from, and costs little.
func TestUnreadControlFrames(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	var flood bytes.Buffer
	f := http2.NewFramer(&flood, nil)
	for n := range uint32(2000) {
		f.WritePing(false, [8]byte{byte(n)})
	}
	h.do(func() {
		for range 2000 {
			c.budget.begin(DefaultMaxResets, 0)
			c.Input(flood.Bytes())
			h.flush()
		}
		if n := len(c.late); n > maxLate+1<<20 {
			t.Errorf("%d bytes wait", n)
		}
		if !c.on.Paused() {
			t.Error("the connection is read")
		}
	})
	_ = p
}

// A window that stays closed ends its stream, and data that comes too slowly its request.
func TestTimeouts(t *testing.T) {
	h := newHost(t)
	h.set.WriteTimeout = time.Minute
	h.Server.Config.BodyTimeout = time.Minute
	h.Server.Config.KeepAlive = time.Minute
	c, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.request(1, "/1", true)
	p.request(3, "/3", false)
	p.framer.WritePing(false, [8]byte{})
	for pong := false; !pong; {
		_, pong = p.next().(*http2.PingFrame)
	}
	later := func(by time.Duration) {
		h.do(func() {
			h.set.SetTime(h.set.Start().Add(time.Duration(h.set.Now()) + by))
			h.set.Tick()
		})
	}
	later(59 * time.Second)
	h.do(func() {
		if len(c.streams) != 2 {
			t.Errorf("%d streams", len(c.streams))
		}
	})
	later(3 * time.Second)
	h.do(func() {
		if st := c.streams[1]; st != nil {
			t.Error("the stream with a closed window is still there")
		}
	})
	got := ""
	for range 2 {
		switch f := p.next().(type) {
		case *http2.RSTStreamFrame:
			got += fmt.Sprint("reset ", f.StreamID, f.ErrCode, " ")
		case *http2.MetaHeadersFrame:
			got += fmt.Sprint("head ", f.StreamID, f.PseudoValue("status"), " ")
		}
	}
	if !strings.Contains(got, "reset 1 CANCEL") || !strings.Contains(got, "head 3408") {
		t.Error(got)
	}
	p.framer.WriteRSTStream(3, http2.ErrCodeCancel)
	p.framer.WritePing(false, [8]byte{})
	for pong := false; !pong; {
		_, pong = p.next().(*http2.PingFrame)
	}
	later(62 * time.Second)
	f := p.next()
	if g, ok := f.(*http2.GoAwayFrame); !ok || g.ErrCode != http2.ErrCodeNo {
		t.Errorf("%v", f)
	}
	if _, err := p.framer.ReadFrame(); err != io.EOF {
		t.Error(err)
	}
}

// A connection leaves in two steps: requests that were sent before the client has heard of it are answered.
func TestLeaving(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	idle, q := h.open(t)
	h.do(func() {
		h.Retire(time.Hour)
		h.set.Drain(true)
	})
	f, ok := p.next().(*http2.GoAwayFrame)
	if !ok || f.LastStreamID != maxWindow || f.ErrCode != http2.ErrCodeNo {
		t.Fatalf("%v", f)
	}
	ping, ok := p.next().(*http2.PingFrame)
	if !ok {
		t.Fatal("no ping")
	}
	p.request(1, "/1", true)
	p.is(1, "200 /1:")
	p.request(3, "/later", true)
	p.framer.WritePing(true, ping.Data)
	if f, ok = p.next().(*http2.GoAwayFrame); !ok || f.LastStreamID != 3 {
		t.Fatalf("%v", f)
	}
	for acked := false; !acked; {
		if ping, ok := q.next().(*http2.PingFrame); ok {
			q.framer.WritePing(true, ping.Data)
			acked = true
		}
	}
	for closed := false; !closed; { // it need not close first
		h.do(func() { closed = idle.closed })
	}
	p.request(5, "/5", true) // is not answered
	h.do(func() { answer(h.held[0], "last") })
	p.is(3, "200 last")
	if f, err := p.framer.ReadFrame(); err != io.EOF {
		t.Error(f, err)
	}
}

// A shutdown answers requests that have come, and closes.
func TestDrain(t *testing.T) {
	h := newHost(t)
	idle, q := h.open(t)
	_, p := h.open(t)
	p.request(1, "/later", true)
	for n := 0; n == 0; {
		h.do(func() { n = len(h.held) })
	}
	h.do(func() {
		h.Server.Drain()
		h.set.Drain(false)
		h.flush()
		if !idle.closed {
			t.Error("an idle connection waits for its client")
		}
	})
	if f, ok := q.next().(*http2.GoAwayFrame); !ok || f.ErrCode != http2.ErrCodeNo {
		t.Errorf("%v", f)
	}
	if _, err := q.framer.ReadFrame(); err != io.EOF {
		t.Error(err)
	}
	if f, ok := p.next().(*http2.GoAwayFrame); !ok || f.LastStreamID != 1 {
		t.Errorf("%v", f)
	}
	h.do(func() { answer(h.held[0], "end") })
	p.is(1, "200 end")
	if _, err := p.framer.ReadFrame(); err != io.EOF {
		t.Error(err)
	}
}

// Files are sent from memory, or read by a goroutine, and one that is too short resets its stream.
func TestFiles(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 24})
	p.framer.WriteWindowUpdate(0, 1<<24)
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	name := t.TempDir() + "/file"
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	id := uint32(1)
	for _, warm := range []bool{false, true} {
		for _, c := range []struct{ offset, count int64 }{{0, 1 << 20}, {5, 100_000}, {1<<20 - 7, 7}, {1<<20 - 7, 8}} {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			p.request(id, "/later", true)
			for n := 0; n < int(id+1)/2; {
				h.do(func() { n = len(h.held) })
			}
			h.do(func() {
				h.held[len(h.held)-1].Sink.Send(&exchange.Part{
					First: true, Last: true, Head: exchange.Head{Status: 200, Length: c.count}, File: int(f.Fd()), Offset: c.offset, Count: c.count, Warm: warm,
				})
			})
			want := "200 " + string(content[c.offset:min(c.offset+c.count, 1<<20)])
			if c.offset+c.count > 1<<20 {
				want += "!INTERNAL_ERROR"
			}
			p.is(id, want)
			h.do(func() { f.Close() })
			id += 2
		}
	}
}

// FuzzFrames gives a connection any bytes, cut anywhere.
func FuzzFrames(f *testing.F) {
	var seed bytes.Buffer
	w := http2.NewFramer(&seed, nil)
	w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x82\x86\x84\x41\x01h"), EndHeaders: true, EndStream: true})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte("\x83\x86\x84\x41\x01h"), EndHeaders: true})
	w.WriteData(3, false, []byte("abc"))
	w.WriteWindowUpdate(1, 100)
	w.WriteData(3, true, []byte("d"))
	w.WritePriority(5, http2.PriorityParam{})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte("\x82\x86")})
	w.WriteContinuation(5, true, []byte("\x84\x41\x01h"))
	w.WriteRSTStream(5, http2.ErrCodeCancel)
	w.WritePing(false, [8]byte{})
	w.WriteGoAway(0, http2.ErrCodeNo, nil)
	var connect bytes.Buffer
	coder := hpack.NewEncoder(&connect)
	for _, field := range connectFields {
		coder.WriteField(field)
	}
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: connect.Bytes(), EndHeaders: true})
	w.WriteData(7, false, []byte("echo"))
	w.WriteWindowUpdate(7, 1)
	w.WriteData(7, true, []byte("last"))
	f.Add(seed.Bytes(), uint16(20))
	f.Add(seed.Bytes()[:len(seed.Bytes())/2], uint16(5))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		h := newHost(t)
		h.streams = len(data)%2 == 0
		c, _ := h.open(t)
		at := min(int(cut), len(data))
		for _, piece := range [][]byte{data[:at], data[at:]} {
			h.do(func() {
				if !c.closed {
					c.Input(piece)
				}
			})
		}
		h.do(func() { h.set.CloseAll("the end") })
		h.do(func() {
			if n := h.Active(); n != 0 {
				t.Errorf("%d exchanges have not ended", n)
			}
		})
	})
}
