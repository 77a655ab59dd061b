package http2_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// head sends a request head, whose lines are "name value".
func (f *frames) head(id uint32, end bool, lines ...string) error {
	f.block.Reset()
	for _, line := range lines {
		name, value, _ := strings.Cut(line, " ")
		f.coder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block.Bytes(), EndHeaders: true,
		EndStream: end})
}

func (f *frames) body(id uint32) string {
	f.t.Helper()
	var text bytes.Buffer
	if !f.until(func(frame http2.Frame) bool {
		d, ok := frame.(*http2.DataFrame)
		if ok && d.StreamID == id {
			text.Write(d.Data())
			return d.StreamEnded()
		}
		return false
	}) {
		f.t.Errorf("the response on stream %d has no end", id)
	}
	return text.String()
}

var get = []string{":method GET", ":scheme http", ":authority h", ":path /counted"}

func TestMessagesThatHTTP1RejectsAreRejectedAsHTTP2(t *testing.T) {
	t.Parallel()
	application := serve(t, fapwstest.Threads, "app.py")
	for name, s := range map[string]*fapwstest.Server{
		"application": application,
		"upstream":    fapwstest.ServeProxy(t, fapwstest.Serve(t, fapwstest.Threads, "app.py").URL, "", "--h2c"),
	} {
		t.Run(name, func(t *testing.T) {
			f := dialFrames(t, s)
			f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			id := uint32(1)
			for _, c := range []struct {
				fields []string
				body   []byte
			}{
				{[]string{"x-a b\r\nx-c: d"}, nil},
				{[]string{"x-a b\nx-c: d"}, nil},
				{[]string{"x-a b\x00"}, nil},
				{[]string{"x-a\r\nx-c b"}, nil},
				{[]string{"X-A b"}, nil},
				{[]string{"x-a  b"}, nil},
				{[]string{"connection x-a"}, nil},
				{[]string{"keep-alive 5"}, nil},
				{[]string{"transfer-encoding chunked"}, []byte("0\r\n\r\n")},
				{[]string{"upgrade websocket"}, nil},
				{[]string{"te gzip"}, nil},
				{[]string{"host h", "host h"}, nil},
				{[]string{"host other"}, nil},
				{[]string{":path /show"}, nil},
				{[]string{"x-a b", ":authority h"}, nil},
				{[]string{"content-length 5"}, nil},
				{[]string{"content-length 5"}, []byte("four")},
				{[]string{"content-length 5"}, []byte("longer")},
				{[]string{"content-length 5", "content-length 6"}, []byte("5byte")},
				{[]string{"content-length +5"}, []byte("5byte")},
				{[]string{"content-length -1"}, []byte("5byte")},
			} {
				f.head(id, c.body == nil, append(get[:4:4], c.fields...)...)
				if c.body != nil {
					f.WriteData(id, true, c.body)
				}
				if status, code := f.outcome(id); status != "400" && code != http2.ErrCodeProtocol {
					t.Errorf("%q: %s %v", c.fields, status, code)
				}
				id += 2
			}
			f.head(id, false, get...)
			f.head(id, true, "x-trailer a\r\nb")
			if _, code := f.outcome(id); code != http2.ErrCodeProtocol {
				t.Error("a malformed trailer:", code)
			}
			id += 2
			f.head(id, true, get...)
			if text := f.body(id); text != "call 1" {
				t.Errorf("%q: other requests have arrived", text)
			}
			id += 2
			f.head(id, false, append(get[:3:3], ":path /show", "x-a b")...)
			f.head(id, true, "x-trailer c", "x-a d", "content-length 7")
			if text := f.body(id); strings.Contains(text, "TRAILER") || !strings.Contains(text, `"HTTP_X_A": "b"`) ||
				strings.Contains(text, `"CONTENT_LENGTH": "7"`) {
				t.Error(text)
			}
			id += 2
			f.head(id, true, append(get[:3:3], ":path /show/\u00e4?b=\u20ac")...)
			if text := f.body(id); !strings.Contains(text, `"QUERY_STRING": "b=%E2%82%AC"`) {
				t.Error("UTF-8 in a path:", text)
			}
			id += 2
			f.head(id, true, append(get[:3:3], ":path /show/\xe4")...)
			if status, code := f.outcome(id); status != "400" && code != http2.ErrCodeProtocol {
				t.Errorf("Latin-1 in a path: %s %v", status, code)
			}
		})
	}
	t.Run("bodies", func(t *testing.T) { asksForBodies(t, application) })
}

func asksForBodies(t *testing.T, s *fapwstest.Server) {
	f := dialFrames(t, s)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.head(1, false, ":method POST", ":scheme http", ":authority h", ":path /digest", "expect 100-continue",
		"content-length 4")
	if status, _ := f.outcome(1); status != "100" {
		t.Error(status)
	}
	f.WriteData(1, true, []byte("body"))
	if status, _ := f.outcome(1); status != "200" {
		t.Error(status)
	}
	if text := f.body(1); text != digest([]byte("body")) {
		t.Error(text)
	}
	f.head(3, false, ":method POST", ":scheme http", ":authority h", ":path /none", "content-length 400000")
	if status, _ := f.outcome(3); status != "404" {
		t.Error(status)
	}
	f.body(3)
	// The server resets the stream with the code NO_ERROR, because it does not need the rest of the body.
	if _, code := f.outcome(3); code != http2.ErrCodeNo {
		t.Error(code)
	}
	f.WriteData(3, false, make([]byte, 10_000))
	f.head(5, true, get...)
	if text := f.body(5); !strings.HasPrefix(text, "call ") {
		t.Error(text)
	}
}
