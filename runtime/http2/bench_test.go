package http2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// BenchmarkRequests has requests of a browser answered, 16 at a time: the cost of frames and of the compression of fields.
func BenchmarkRequests(b *testing.B) {
	h := newHost(b)
	c, p := h.open(b)
	var in, block bytes.Buffer
	coder, w, id := hpack.NewEncoder(&block), http2.NewFramer(&in, nil), uint32(1)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := p.conn.Read(buf); err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 16 {
		b.StopTimer()
		in.Reset()
		for range 16 {
			block.Reset()
			for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "localhost:8888"}, {":path", "/hello"}, {"user-agent", "Mozilla/5.0 (X11; Linux x86_64)"}, {"accept", "*/*"}, {"accept-encoding", "gzip, deflate, br"}} {
				coder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
			id += 2
		}
		w.WriteWindowUpdate(0, 16*uint32(len("/hello:")))
		b.StartTimer()
		h.Do(func() { c.Input(in.Bytes()) })
	}
}
