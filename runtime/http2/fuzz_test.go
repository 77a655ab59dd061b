package http2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/checktest"
)

func FuzzFrames(f *testing.F) {
	var seed bytes.Buffer
	w := http2.NewFramer(&seed, nil)
	w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x82\x86\x84\x41\x01h"),
		EndHeaders: true, EndStream: true})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte("\x83\x86\x84\x41\x01h"),
		EndHeaders: true})
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
