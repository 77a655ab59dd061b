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
				status, code := f.outcome(id)
				fapwstest.Truef(t, status == "400" || code == http2.ErrCodeProtocol, "%q: %s %v", c.fields, status, code)
				id += 2
			}
			f.head(id, false, get...)
			f.head(id, true, "x-trailer a\r\nb")
			_, code := f.outcome(id)
			fapwstest.Equalf(t, code, http2.ErrCodeProtocol, "a malformed trailer")
			id += 2
			f.head(id, true, get...)
			fapwstest.Equalf(t, f.body(id), "call 1", "other requests have arrived")
			id += 2
			f.head(id, false, append(get[:3:3], ":path /show", "x-a b")...)
			f.head(id, true, "x-trailer c", "x-a d", "content-length 7")
			text := f.body(id)
			fapwstest.Has(t, text, `"HTTP_X_A": "b"`)
			fapwstest.Lacks(t, text, "TRAILER", `"CONTENT_LENGTH": "7"`)
			id += 2
			f.head(id, true, append(get[:3:3], ":path /show/\u00e4?b=\u20ac")...)
			text = f.body(id)
			fapwstest.Truef(t, strings.Contains(text, `"QUERY_STRING": "b=%E2%82%AC"`), "UTF-8 in a path: %q", text)
			id += 2
			f.head(id, true, append(get[:3:3], ":path /show/\xe4")...)
			status, code := f.outcome(id)
			fapwstest.Truef(t, status == "400" || code == http2.ErrCodeProtocol, "Latin-1 in a path: %s %v", status, code)
		})
	}
	t.Run("bodies", func(t *testing.T) { asksForBodies(t, application) })
}

func asksForBodies(t *testing.T, s *fapwstest.Server) {
	f := dialFrames(t, s)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.head(1, false, ":method POST", ":scheme http", ":authority h", ":path /digest", "expect 100-continue",
		"content-length 4")
	status, _ := f.outcome(1)
	fapwstest.Equal(t, status, "100")
	f.WriteData(1, true, []byte("body"))
	status, _ = f.outcome(1)
	fapwstest.Equal(t, status, "200")
	fapwstest.Equal(t, f.body(1), digest([]byte("body")))
	f.head(3, false, ":method POST", ":scheme http", ":authority h", ":path /none", "content-length 400000")
	status, _ = f.outcome(3)
	fapwstest.Equal(t, status, "404")
	f.body(3)
	// The server resets the stream with the code NO_ERROR, because it does not need the rest of the body.
	_, code := f.outcome(3)
	fapwstest.Equal(t, code, http2.ErrCodeNo)
	f.WriteData(3, false, make([]byte, 10_000))
	f.head(5, true, get...)
	text := f.body(5)
	fapwstest.Truef(t, strings.HasPrefix(text, "call "), "%q", text)
}
