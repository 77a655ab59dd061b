package http2

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

type uploads struct {
	*peer
	window   int
	streams  map[uint32]int
	answered bool
}

func (u *uploads) frame() {
	u.t.Helper()
	switch f := u.next().(type) {
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			u.window += int(f.Increment)
		} else {
			u.streams[f.StreamID] += int(f.Increment)
		}
	case *http2.PingFrame:
		u.answered = f.IsAck()
	case *http2.GoAwayFrame, *http2.RSTStreamFrame:
		u.t.Fatal(f)
	}
}

func (u *uploads) fill(id uint32) {
	u.t.Helper()
	for u.window > 0 {
		u.send(id, u.window)
		u.answered = false
		checktest.Must(u.t, u.framer.WritePing(false, [8]byte{}))
		for !u.answered {
			u.frame()
		}
	}
}

// begin opens the streams with the numbers from first to last and sends n bytes on each stream.
func (u *uploads) begin(path string, n, first, last int) {
	u.t.Helper()
	for id := uint32(first); id <= uint32(last); id += 2 {
		u.request(id, path, false)
		u.streams[id] = http2InitialWindow
		u.send(id, n)
	}
}

func (u *uploads) send(id uint32, n int) {
	u.t.Helper()
	for n > 0 {
		k := min(n, maxFrame, u.window, u.streams[id])
		if k <= 0 {
			u.frame()
			continue
		}
		checktest.Must(u.t, u.framer.WriteData(id, false, make([]byte, k)))
		n -= k
		u.window -= k
		u.streams[id] -= k
	}
}

func (h *host) openUploads(t *testing.T, window int) (*client, *uploads) {
	cfg := usual
	cfg.ConnectionWindow = window
	h.http2.Configure(cfg)
	c, p := h.open(t)
	return c, &uploads{peer: p, window: http2InitialWindow, streams: map[uint32]int{}}
}

// Handlers that read nothing get bodies up to the size of the connection's window. When a handler has read some bytes,
// the client can send the same number of further bytes.
func TestStreamedBodiesOfAConnectionAreBounded(t *testing.T) {
	const window, each = 128 << 10, 32 << 10
	h := newHost(t)
	h.Stream(t)
	c, u := h.openUploads(t, window)
	u.begin("/later", each*7/8, 1, 2*window/each-1)
	u.fill(1)
	given := int64(0)
	h.Do(func() {
		for _, st := range c.streams {
			given += int64(st.x.Outstanding)
		}
	})
	checktest.Truef(t, given >= window-minUpdate && given <= window+1<<10, "handlers have %d bytes", given)
	h.Do(func() {
		h.Held[1].Sink.Send(&exchange.Part{Op: exchange.OpCredit, Number: int64(c.streams[3].x.Outstanding)})
	})
	for u.window == 0 {
		u.frame()
	}
	checktest.Truef(t, u.window <= each, "the client may send %d bytes", u.window)
	u.send(3, u.window)
	h.Do(func() { exchangetest.Answer(h.Held[0], "end") })
	for u.window == 0 {
		u.frame()
	}
	u.window = 1 << 20
	u.begin("/later", 60<<10, 2*window/each+1, 2*window/each+5)
	for {
		f := checktest.Try(u.framer.ReadFrame()).Must(t)
		if end, ok := f.(*http2.GoAwayFrame); ok {
			checktest.Equal(t, end.ErrCode, http2.ErrCodeFlowControl)
			return
		}
	}
}

// The timeout of a body does not run while other bodies occupy the window of the connection.
func TestBodyDoesNotTimeOutWhileTheWindowOfItsConnectionIsClosed(t *testing.T) {
	const window, each = 128 << 10, 32 << 10
	h := newHost(t)
	h.Stream(t)
	h.Do(func() { h.Config.BodyTimeout, h.Config.BodyRate = time.Minute, 1 })
	c, u := h.openUploads(t, window)
	at := func(seconds int64) int64 { return int64(time.Hour) + seconds*int64(time.Second) }
	wait := func(seconds int64) { h.Do(func() { h.Set.Now = at(seconds) }) }
	wait(0)
	u.begin("/later", 0, 1, 1)
	h.waitHeld(1)
	wait(30)
	u.begin("/later", each*7/8, 3, 2*window/each+1)
	u.fill(3)
	wait(40)
	h.Do(func() {
		c.openWindow()
		checktest.Truef(t, !c.streams[1].late(at(90)), "a client that must not send is late")
		checktest.Truef(t, c.streams[1].late(at(92)), "a client may wait indefinitely")
	})
	for n, seconds := range []int64{50, 55} {
		wait(seconds)
		h.credit(n + 1)
		for before := u.window; u.window == before; {
			u.frame()
		}
	}
	h.Do(func() {
		checktest.Truef(t, !c.streams[1].late(at(80)), "the timeout has run while the client must not send")
		checktest.Truef(t, c.streams[1].late(at(82)), "the timeout does not run after the window has opened")
	})
}

// A far client sends as much as the windows permit, and then waits for a round trip: its acknowledgments of the
// server's PINGs arrive with its next bytes.
type far struct {
	*uploads
	host  *host
	pings [][8]byte
}

// sync reads frames until the server has processed all frames that the client has sent.
func (f *far) sync() {
	f.t.Helper()
	checktest.Must(f.t, f.framer.WritePing(false, [8]byte{}))
	for {
		switch got := f.next().(type) {
		case *http2.PingFrame:
			if got.IsAck() {
				return
			}
			f.pings = append(f.pings, got.Data)
		case *http2.WindowUpdateFrame:
			if got.StreamID == 0 {
				f.window += int(got.Increment)
			} else {
				f.streams[got.StreamID] += int(got.Increment)
			}
		case *http2.GoAwayFrame, *http2.RSTStreamFrame:
			f.t.Fatal(got)
		}
	}
}

// trip sends as many bytes of the stream as the windows permit, calls taken, and acknowledges the PINGs. It returns the
// number of bytes.
func (f *far) trip(id uint32, taken func()) (n int) {
	f.t.Helper()
	n = min(f.window, f.streams[id])
	f.uploads.send(id, n)
	f.sync()
	taken()
	for _, data := range f.pings {
		checktest.Must(f.t, f.framer.WritePing(true, data))
	}
	f.pings = nil
	f.sync()
	taken()
	f.sync()
	return n
}

func (h *host) openFar(t *testing.T, window int) (*client, *far) {
	c, u := h.openUploads(t, window)
	return c, &far{uploads: u, host: h}
}

// credit returns all input of the handler that holds the n-th exchange, in two halves.
func (h *host) credit(n int) {
	for _, divisor := range []int64{2, 1} {
		h.Do(func() {
			x := h.Held[n]
			x.Sink.Send(&exchange.Part{Op: exchange.OpCredit, Number: int64(x.Outstanding) / divisor})
		})
	}
}

func TestWindowOfAFarUploadGrowsWhileItsHandlerTakesAll(t *testing.T) {
	h := newHost(t)
	h.Stream(t)
	_, f := h.openFar(t, usual.ConnectionWindow)
	f.begin("/later", 0, 1, 1)
	h.waitHeld(1)
	most := 0
	for range 6 {
		most = max(most, f.trip(1, func() { h.credit(0) }))
	}
	checktest.Truef(t, most > usual.MaxWindow*3/4, "at most %d bytes in a round trip", most)
}

func TestNextUploadFromAFarClientBeginsWithALargeWindow(t *testing.T) {
	h := newHost(t)
	h.Stream(t)
	_, f := h.openFar(t, usual.ConnectionWindow)
	f.begin("/later", 0, 1, 1)
	h.waitHeld(1)
	for range 6 {
		f.trip(1, func() { h.credit(0) })
	}
	checktest.Must(t, f.framer.WriteData(1, true, nil))
	h.Do(func() { exchangetest.Answer(h.Held[0], "end") })
	f.begin("/later", 0, 3, 3)
	h.waitHeld(2)
	f.trip(3, func() { h.credit(1) })
	n := f.trip(3, func() { h.credit(1) })
	checktest.Truef(t, n > usual.MaxWindow*3/4, "%d bytes in the second round trip", n)
}

func TestWindowOfAnUploadDoesNotGrowIfItsHandlerIsLate(t *testing.T) {
	h := newHost(t)
	h.Stream(t)
	_, f := h.openFar(t, usual.ConnectionWindow)
	f.begin("/later", 0, 1, 1)
	h.waitHeld(1)
	for range 12 {
		n := f.trip(1, func() {})
		checktest.Truef(t, n <= initialWindow, "%d bytes in a round trip", n)
		h.credit(0)
		f.sync()
	}
}

// Two uploads together leave half of the connection's window to other requests.
func TestWindowsOfUploadsShareHalfOfTheConnection(t *testing.T) {
	h := newHost(t)
	h.Stream(t)
	c, f := h.openFar(t, usual.ConnectionWindow)
	f.begin("/later", 0, 1, 3)
	h.waitHeld(2)
	for range 15 {
		f.trip(1, func() { h.credit(0) })
		f.trip(3, func() { h.credit(1) })
	}
	h.Do(func() {
		for _, st := range c.streams {
			checktest.Equal(t, st.target, int64(usual.ConnectionWindow)/4)
		}
	})
}

// A body that is stored in a file does not wait for a handler.
func TestWindowOfAFarUploadToAFileGrows(t *testing.T) {
	h := newHost(t)
	h.Do(func() { h.Config.MaxBodySize = -1 })
	_, f := h.openFar(t, usual.ConnectionWindow)
	f.begin("/stored", 0, 1, 1)
	most := 0
	for range 12 {
		most = max(most, f.trip(1, func() {}))
	}
	checktest.Truef(t, most > usual.MaxWindow*3/4, "at most %d bytes in a round trip", most)
}

// HPACK can encode a large head in a few bytes.
func TestLargeHeadsWithoutAResponseAreBounded(t *testing.T) {
	const most, streams = 256 << 10, 40
	h := newHost(t)
	cfg := usual
	cfg.MaxUnread = most
	h.http2.Configure(cfg)
	c, p := h.open(t)
	value := strings.Repeat("v", 3500)
	for id := uint32(1); id < 2*streams; id += 2 {
		p.request(id, "/later", true, "x "+value, "x "+value, "x "+value, "x "+value)
	}
	p.framer.WritePing(false, [8]byte{})
	refused := 0
	for f := p.next(); f.Header().Type != http2.FramePing; f = p.next() {
		if r, ok := f.(*http2.RSTStreamFrame); ok && r.ErrCode == http2.ErrCodeRefusedStream {
			refused++
		}
	}
	want := streams - most/(4*(3500+len("x: \r\n")))
	checktest.Equalf(t, refused, want, "requests were refused")
	h.Do(func() {
		for i, x := range h.Held {
			if i%2 == 0 {
				exchangetest.Answer(x, "")
			}
		}
		c.on.Close("the client leaves")
		free := h.http2.heads.Free("")
		checktest.Equalf(t, free, most, "%d bytes still count", most-free)
	})
}

func TestRestOfADiscardedBodyIsNotAwaited(t *testing.T) {
	h := newHost(t)
	waits := true
	h.Pages = func(x *exchange.Exchange, r exchange.Reply) {
		waits = x.WaitsForClient()
		x.SendReply(&r)
	}
	h.Stream(t)
	_, p := h.open(t)
	p.request(1, "/later", false)
	h.waitHeld(1)
	h.Do(func() {
		checktest.Truef(t, h.Held[0].WaitsForClient(), "the rest of the body is not awaited")
		h.Held[0].Sink.Reply(exchange.Reply{Status: 503})
		checktest.Truef(t, !waits, "the rest of the body is awaited")
	})
}

// The timeout of a body does not run while the client must not send, because its handler has not used the input.
func TestBodyDoesNotTimeOutWhileItsHandlerIsBehind(t *testing.T) {
	h := newHost(t)
	h.Stream(t)
	h.Config.BodyTimeout = time.Minute
	c, u := h.openUploads(t, usual.ConnectionWindow)
	u.begin("/later", 0, 1, 1)
	h.waitHeld(1)
	u.streams[1] = initialWindow
	u.send(1, initialWindow)
	u.ping()
	h.Do(func() {
		h.Set.SetTime(h.Set.Start.Add(time.Duration(h.Set.Now) + 2*time.Minute))
		h.Set.Tick()
	})
	h.credit(0)
	h.Do(func() {
		c.expireStreams()
		st := c.streams[1]
		checktest.Truef(t, st != nil && st.body.Arriving(), "the body has timed out")
	})
}

// A large head uses the client's share of memory from its first frame to its last one; a small head never does.
func TestIncompleteHeadIsCountedWhileItIsLarge(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	p.block.Reset()
	for _, field := range []string{":method GET", ":scheme http", ":authority h", ":path /later"} {
		name, value, _ := strings.Cut(field, " ")
		p.coder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	var frames bytes.Buffer
	w := http2.NewFramer(&frames, nil)
	counted := func() (n int64) {
		h.Do(func() {
			c.Input(frames.Bytes())
			n = h.http2.heads.Used()
		})
		frames.Reset()
		return n
	}
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block.Bytes(), EndStream: true})
	checktest.Equalf(t, counted(), 0, "bytes of a small head")
	p.block.Reset()
	p.coder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("~", smallHead+1<<10)}) // not compressible
	w.WriteContinuation(1, false, p.block.Bytes())
	n := counted()
	checktest.Truef(t, n > 2*smallHead, "%d bytes of a large incomplete head", n)
	w.WriteContinuation(1, true, nil)
	n = counted()
	checktest.Truef(t, n > 0 && n <= 2*smallHead, "%d bytes of a large complete head", n)
	h.Do(func() { exchangetest.Answer(h.Held[0], "") })
	checktest.Equalf(t, counted(), 0, "bytes after the response")
}

// Bodies that wait for a file occupy memory, so their client must not send more than the window of the connection.
func TestBodiesThatWaitForAFileHoldUpTheirConnection(t *testing.T) {
	const window = 256 << 10
	h := newHost(t)
	h.Do(func() {
		cfg := h.Config
		cfg.MaxSpools, cfg.MaxBodyMemory, cfg.MaxBodySize = 0, 1, -1
		h.Configure(cfg)
	})
	c, u := h.openUploads(t, window)
	u.begin("/waits", 28<<10, 1, 2*window/(32<<10)-1)
	u.fill(1)
	h.Do(func() {
		held := int64(0)
		for _, st := range c.streams {
			checktest.Truef(t, st.body.Waits(), "the body of stream %d does not wait", st.id)
			held += st.body.Held()
		}
		checktest.Truef(t, held == c.inflow.held && held >= window-minUpdate && held <= window, "%d bytes wait, %d count",
			held, c.inflow.held)
	})
}

// Collected bodies do not hold up the other requests of their connection, because a full share of memory moves them to
// files.
func TestCollectedBodiesDoNotCloseTheirConnection(t *testing.T) {
	h := newHost(t)
	h.Do(func() {
		cfg := h.Config
		cfg.MaxBodyMemory, cfg.MaxBodySize = 100<<10, -1
		h.Configure(cfg)
	})
	c, u := h.openUploads(t, 128<<10)
	u.begin("/stored", 40<<10, 1, 19)
	u.ping()
	h.Do(func() {
		files := 0
		for _, st := range c.streams {
			if st.body.InFile() {
				files++
			}
		}
		used := h.InputMemory.Used()
		checktest.Truef(t, files >= 7 && used <= 100<<10 && c.inflow.held == 0,
			"%d files, %d bytes in memory, %d bytes hold up the connection", files, used, c.inflow.held)
	})
}
