package http2

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/net/http2"

	"fapws/runtime/exchange"
)

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
				h.Do(func() { n = len(h.Held) })
			}
			h.Do(func() {
				h.Held[len(h.Held)-1].Sink.Send(&exchange.Part{
					First: true, Last: true, Head: exchange.Head{Status: 200, Length: c.count}, File: int(f.Fd()), Offset: c.offset, Count: c.count, Warm: warm,
				})
			})
			want := "200 " + string(content[c.offset:min(c.offset+c.count, 1<<20)])
			if c.offset+c.count > 1<<20 {
				want += "!INTERNAL_ERROR"
			}
			p.is(id, want)
			h.Do(func() { f.Close() })
			id += 2
		}
	}
}

// Trailers go behind the last bytes of a body, also when these have to wait for the client, and end the stream. A response that breaks off has none.
func TestTrailers(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4})
	trailers := exchange.Trailers("X-Sum: 1\r\nConnection: close\r\nX-A:\r\n")
	send := func(id uint32, last exchange.Part) {
		p.request(id, "/later", true)
		p.request(id+2, "/n", true)
		p.is(id+2, "200 /n:") // both have come
		h.Do(func() {
			x := h.Held[len(h.Held)-1]
			x.Sink.Send(&exchange.Part{First: true, Head: exchange.Head{Status: 200, Length: -1}, File: -1})
			last.Last, last.File, last.Trailers = true, -1, &trailers
			x.Sink.Send(&last)
		})
		if f, ok := p.next().(*http2.MetaHeadersFrame); !ok || f.StreamID != id || f.StreamEnded() {
			t.Fatal(f)
		}
	}
	ends := func(id uint32) {
		t.Helper()
		f, ok := p.next().(*http2.MetaHeadersFrame)
		if !ok || f.StreamID != id || !f.StreamEnded() {
			t.Fatal(f)
		}
		if fmt.Sprint(f.Fields) != `[header field "x-sum" = "1" header field "x-a" = ""]` {
			t.Error(f.Fields)
		}
	}
	send(1, exchange.Part{Body: []byte("hello")})
	for _, want := range []string{"hell", "o"} {
		if f, ok := p.next().(*http2.DataFrame); !ok || string(f.Data()) != want || f.StreamEnded() {
			t.Fatal(f)
		}
		p.framer.WriteWindowUpdate(1, 4)
	}
	ends(1)
	send(5, exchange.Part{})
	ends(5)
	send(9, exchange.Part{Failed: true})
	if f, ok := p.next().(*http2.RSTStreamFrame); !ok || f.StreamID != 9 {
		t.Fatal(f)
	}
}
