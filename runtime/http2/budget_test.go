package http2

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/checktest"
)

func TestBudgetLimitsFramesWithoutProgress(t *testing.T) {
	const resets = 1000
	var b budget
	b.begin(resets, 0)
	n := 0
	for b.charge(costReset, 0) {
		n++
	}
	checktest.Equalf(t, n, resets, "resets at once")
	n = 0
	for second := range int64(10) {
		for b.charge(costReset, (second+1)*1e9) {
			n++
		}
	}
	checktest.Truef(t, n >= 250 && n <= 300, "%d resets in ten seconds", n)
}

func TestWindowUpdatesForSentDataCostNothing(t *testing.T) {
	var b budget
	b.begin(1, 0)
	for range 1000 {
		b.sent()
	}
	for i := range 1000 * budgetFrame {
		checktest.Needf(t, b.updated(0), "update %d ends the connection", i)
	}
	n := 0
	for b.updated(0) {
		n++
	}
	checktest.Equalf(t, n, costReset, "more")
}

func TestFloodEndsItsConnection(t *testing.T) {
	for name, flood := range map[string]func(p *peer, n uint32){
		"pings":    func(p *peer, n uint32) { p.framer.WritePing(false, [8]byte{}) },
		"settings": func(p *peer, n uint32) { p.framer.WriteSettings() },
		"resets": func(p *peer, n uint32) {
			p.request(1+2*n, "/", true)
			p.framer.WriteRSTStream(1+2*n, http2.ErrCodeCancel)
		},
		"priorities":      func(p *peer, n uint32) { p.framer.WritePriority(3, http2.PriorityParam{StreamDep: 5}) },
		"updates":         func(p *peer, n uint32) { p.framer.WriteWindowUpdate(0, 1) },
		"unknown":         func(p *peer, n uint32) { p.framer.WriteRawFrame(0x77, 0, 0, nil) },
		"priority update": func(p *peer, n uint32) { p.framer.WritePriorityUpdate(1, "u=1") },
		"empty data": func(p *peer, n uint32) {
			if n == 0 {
				p.request(1, "/later", false)
			}
			p.framer.WriteData(1, false, nil)
		},
		"empty data with padding": func(p *peer, n uint32) {
			if n == 0 {
				p.request(1, "/later", false)
			}
			p.framer.WriteDataPadded(1, false, nil, make([]byte, 255))
		},
		"acknowledged settings": func(p *peer, n uint32) { p.framer.WriteSettingsAck() },
		"acknowledged pings":    func(p *peer, n uint32) { p.framer.WritePing(true, [8]byte{}) },
		"ends":                  func(p *peer, n uint32) { p.framer.WriteGoAway(0, http2.ErrCodeNo, nil) },
		"heads of streams that were reset": func(p *peer, n uint32) {
			if n == 0 {
				p.request(1, "/later", false, "content-length 1")
				p.framer.WriteData(1, true, nil)
			}
			p.request(1, "/", true)
		},
		"streams that are made to be reset": func(p *peer, n uint32) { // CVE-2025-8671
			p.request(1+2*n, "/later", true)
			p.framer.WriteWindowUpdate(1+2*n, maxWindow)
		},
		"malformed heads": func(p *peer, n uint32) { p.request(1+2*n, "/", true, "connection close") },
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
					if h.Do(func() { dead = c.dead }); dead {
						break
					}
				}
			}
			checktest.Equal(t, <-code, http2.ErrCodeEnhanceYourCalm)
			_, other := h.open(t)
			other.request(1, "/", true)
			other.is(1, "200 /:")
		})
	}
}

func TestUnreadControlFramesStopReading(t *testing.T) {
	h := newHost(t)
	c, _ := h.open(t)
	var flood bytes.Buffer
	f := http2.NewFramer(&flood, nil)
	for n := range uint32(2000) {
		f.WritePing(false, [8]byte{byte(n)})
	}
	h.Do(func() {
		for range 300 {
			c.budget.begin(maxResets, 0)
			c.Input(flood.Bytes())
			h.Flush()
		}
		n := len(c.late)
		checktest.Truef(t, n <= maxLate+1<<20, "%d bytes wait", n)
		checktest.Truef(t, c.on.Paused(), "the connection is read")
	})
}

func FuzzFrames(f *testing.F) {
	var seed bytes.Buffer
	w := http2.NewFramer(&seed, nil)
	w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x82\x86\x84\x41\x01h"),
		EndHeaders: true, EndStream: true})
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
		if len(data)%2 == 0 {
			h.Stream(t)
		}
		c, _ := h.open(t)
		at := min(int(cut), len(data))
		for _, piece := range [][]byte{data[:at], data[at:]} {
			h.Do(func() {
				if !c.closed {
					c.Input(piece)
				}
			})
		}
		h.Do(func() { h.Set.CloseAll("the end") })
		h.Do(func() {
			checktest.Equalf(t, h.Active(), 0, "exchanges have not ended")
		})
	})
}
