package http2_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func digest(data []byte) string { return fmt.Sprintf("%d %x", len(data), sha256.Sum256(data)) }

func TestApplicationGetsHTTP2RequestsLikeOthers(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		s := serve(t, m, "app.py")
		a := ask(t, client(t), "GET", s.URL+"/show/a%20b?c=d", nil, "X-Name", "value", "Cookie", "a=b", "Cookie", "c=d")
		environ := a.Object(t)
		for name, want := range map[string]any{
			"SERVER_PROTOCOL": "HTTP/2.0", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/show", "PATH_INFO": "/a b",
			"QUERY_STRING": "c=d",
			"HTTP_HOST":    s.Address, "HTTP_X_NAME": "value", "HTTP_COOKIE": "a=b; c=d", "wsgi.url_scheme": "http",
		} {
			fapwstest.Equalf(t, environ[name], want, "%s", name)
		}
		a.Field(t, "X-A", "b", "Server", "fapws", "Transfer-Encoding", "")
		fapwstest.Truef(t, a.Header.Get("Date") != "" && len(a.Header["Set-Cookie"]) == 2, "%v", a.Header)
		head := ask(t, client(t), "HEAD", s.URL+"/show", nil).Want(t, 200)
		fapwstest.Truef(t, head.ContentLength > 0, "HEAD: length %d", head.ContentLength)
		s.Get("/show", 200).Want(t, 200, `"HTTP/1.1"`)
	})
}

// HTTP/2 clients send each cookie as a separate field, and the limit for the length of a field applies to each of them.
func TestCookiesOfARequestMayBeLongerThanOneField(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "app.py")
	crumbs := make([]string, 60)
	for i := range crumbs {
		crumbs[i] = fmt.Sprintf("service%d=%s", i, strings.Repeat("c", 800))
	}
	all := strings.Join(crumbs, "; ")
	environ := ask(t, client(t), "GET", s.URL+"/show", nil, "Cookie", all).Want(t, 200).Object(t)
	fapwstest.Equal(t, environ["HTTP_COOKIE"], any(all))
	ask(t, client(t), "GET", s.URL+"/show", nil, "Cookie", "a="+strings.Repeat("c", 33_000)).Want(t, 431)
}

func TestBodiesOfParallelStreamsArriveWhole(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := serve(t, m, "app.py", "--max-body-size", "3M")
		c := client(t)
		fapwstest.AtOnce(40, func(i int) {
			size := []int{0, 1, 1000, 70_000, 300_000, 2 << 20}[i%6]
			data := bytes.Repeat([]byte{byte('a' + i%26)}, size)
			var body io.Reader = bytes.NewReader(data)
			if i%2 == 1 {
				body = io.MultiReader(body)
			}
			ask(t, c, "POST", s.URL+"/digest", body).Is(t, digest(data))
			fapwstest.Equal(t, len(ask(t, c, "GET", fmt.Sprintf("%s/large?%d", s.URL, size), nil).Text), size)
		})
		text := ask(t, c, "GET", s.URL+"/pieces?1000", nil).Text
		fapwstest.Truef(t, strings.Count(text, "\n") == 1000 && strings.HasSuffix(text, "piece 999\n"), "%d bytes", len(text))
	})
}

func TestRejectedBodyLeavesTheConnectionOpen(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Flags: []string{"--h2c", "--max-body-size", "1M"}, Script: "app.py",
		Complains: true}.Serve(t, fapwstest.Threads)
	c := client(t)
	data := make([]byte, 1<<20+1)
	for range 3 {
		ask(t, c, "POST", s.URL+"/digest", bytes.NewReader(data)).Want(t, 413)
		fapwstest.Equal(t, ask(t, c, "POST", s.URL+"/early", bytes.NewReader(data[:1<<20])).Want(t, 403).Text, "no")
	}
	for query, want := range map[string]int{"204+No+Content": 204, "304+Not+Modified": 304, "500+Failed": 500} {
		fapwstest.Equalf(t, ask(t, c, "GET", s.URL+"/empty?"+query, nil).Want(t, want).Text, "", "%s", query)
	}
	ask(t, c, "GET", s.URL+"/fails", nil).Want(t, 500)
	missing := ask(t, c, "GET", s.URL+"/missing", nil, "Accept", "text/html").Want(t, 404)
	fapwstest.Has(t, missing.Header.Get("Content-Type"), "text/html")
	ask(t, c, "GET", s.URL+"/show", nil, "Accept", "text/html", "X-Long", strings.Repeat("x", 33_000)).
		Want(t, 431, "<title>")
	ask(t, c, "GET", s.URL+"/show?"+strings.Repeat("x", 9000), nil).Want(t, 414)
	r := fapwstest.Try(c.Get(s.URL + "/short")).Must(t)
	_, err := io.ReadAll(r.Body)
	fapwstest.Truef(t, err != nil, "a response that is too short looks whole")
	r.Body.Close()
}

func TestStreamingASGIBodiesAreSentAsTheyAreMade(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := serve(t, m, "asgi.py:app", "--max-body-size", "64M", "--lifespan", "off")
		c := client(t)
		ask(t, c, "GET", s.URL+"/scope", nil, "X-Name", "value").Want(t, 200, `"http_version": "2"`,
			`["x-name", "value"]`, `["host", "`)
		in, out := io.Pipe()
		r := fapwstest.Try(http.NewRequest("POST", s.URL+"/echo", in)).Must(t)
		go io.WriteString(out, "000000")
		response, err := c.Do(r)
		fapwstest.Must(t, err)
		defer response.Body.Close()
		got := make([]byte, 6)
		for i := range 100 {
			piece := fmt.Sprintf("%06d", i)
			if i > 0 {
				io.WriteString(out, piece)
			}
			_, err = io.ReadFull(response.Body, got)
			fapwstest.Needf(t, err == nil && string(got) == piece, "%q, %v, want %q", got, err, piece)
		}
		out.Close()
		rest, err := io.ReadAll(response.Body)
		fapwstest.Truef(t, len(rest) == 0 && err == nil, "%q, %v", rest, err)
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		ask(t, c, "POST", s.URL+"/digest", bytes.NewReader(data)).Is(t, digest(data))
		ask(t, c, "POST", s.URL+"/else", bytes.NewReader(data)).Is(t, "early")
		ask(t, c, "POST", s.URL+"/digest", bytes.NewReader(data[:100])).Is(t, digest(data[:100]))
	})
}

func TestProxyForwardsHTTP2RequestsAsHTTP1(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Serve(t, fapwstest.Threads, "app.py")
	log := filepath.Join(t.TempDir(), "log")
	s := fapwstest.ServeProxy(t, upstream.URL, "", "--h2c", "--access-log", log, "--log-flush", "1ms")
	c := client(t)
	data := bytes.Repeat([]byte("x"), 500_000)
	for _, body := range []io.Reader{bytes.NewReader(data), io.MultiReader(bytes.NewReader(data))} {
		ask(t, c, "POST", s.URL+"/digest", body).Is(t, digest(data))
	}
	ask(t, c, "GET", s.URL+"/show", nil).Want(t, 200, `"HTTP_VIA": "2.0 fapws"`, `"SERVER_PROTOCOL": "HTTP/1.1"`)
	fapwstest.Equal(t, strings.Count(ask(t, c, "GET", s.URL+"/pieces?500", nil).Text, "\n"), 500)
	fapwstest.FileSays(t, log, `"POST /digest HTTP/2.0" 200 `)
	fapwstest.FileSays(t, log, `"GET /pieces?500 HTTP/2.0" 200 `)
}

func TestReloadClosesConnectionsWithoutLosingRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Mode{Flags: []string{"--workers", "2"}}, "app.py")
	c := client(t)
	stop := make(chan bool)
	wait := fapwstest.InBackground(4, func(int) {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			fapwstest.Equal(t, ask(t, c, "GET", s.URL+"/show", nil).StatusCode, 200)
		}
	})
	for range 2 {
		old := s.Workers()
		s.Control("reload")
		s.HasWorkers(2, old...)
	}
	close(stop)
	wait()
}

// At a reload and at its end, the server sends a GOAWAY, serves the streams on their way, and sends another GOAWAY.
func TestGOAWAYAnswersRequestsThatWereSentBeforeIt(t *testing.T) {
	t.Parallel()
	const last = 1<<31 - 1
	s, folder := serveHostile(t, "--workers", "1", "--graceful-timeout", "1h", "--keep-alive", "1h")
	clients := func() (f, idle *frames) {
		f, idle = dialFrames(t, s), dialFrames(t, s)
		for i, c := range []*frames{f, idle} {
			if i == 0 {
				c.request(1, "/slow")
			}
			c.WritePing(false, [8]byte{1})
			c.until(isAck)
		}
		return f, idle
	}
	var got []string
	note := func(frame http2.Frame) bool {
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			got = append(got, fmt.Sprintf("end %d %v", frame.LastStreamID, frame.ErrCode))
		case *http2.DataFrame:
			if len(frame.Data()) > 0 {
				got = append(got, fmt.Sprintf("%d %s", frame.StreamID, frame.Data()))
			}
		case *http2.PingFrame:
			return true
		}
		return false
	}
	is := func(want ...string) {
		t.Helper()
		slices.Sort(got)
		fapwstest.Equal(t, got, want)
		got = nil
	}
	f, idle := clients()
	s.Reload()
	leaving := [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g'}
	f.until(note)
	f.request(3, "/")
	f.WritePing(true, leaving)
	f.WritePing(false, [8]byte{2})
	f.until(note)
	f.head(5, false, ":method POST", ":scheme http", ":authority h", ":path /")
	f.WriteData(5, false, []byte("x"))
	f.WriteWindowUpdate(5, 1)
	f.WriteRSTStream(5, http2.ErrCodeCancel)
	f.request(7, "/")
	f.WritePing(false, [8]byte{5})
	f.until(note)
	fapwstest.Write(t, folder+"/go", "")
	f.until(func(frame http2.Frame) bool { note(frame); return false })
	is("1 slow", "3 hello", fmt.Sprintf("end %d NO_ERROR", last), "end 3 NO_ERROR")
	idle.until(note)
	idle.WritePing(true, leaving)
	idle.until(note)
	is("end 0 NO_ERROR", fmt.Sprintf("end %d NO_ERROR", last))

	fapwstest.Must(t, os.Remove(folder+"/go"))
	f, idle = clients()
	s.Signal(syscall.SIGTERM)
	f.until(note)
	f.request(3, "/")
	f.WritePing(true, leaving)
	fapwstest.Write(t, folder+"/go", "")
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			fapwstest.Equalf(t, err, io.EOF, "the end of the connection")
			break
		}
		note(frame)
	}
	is("1 slow", "3 hello", fmt.Sprintf("end %d NO_ERROR", last), "end 3 NO_ERROR")
	// An idle client that does not answer the PING, because it sleeps, does not hold up the end.
	for idle.until(note) {
	}
	is("end 0 NO_ERROR", fmt.Sprintf("end %d NO_ERROR", last))
	s.EndsWith(0)
}

func TestNoHTTP2FlagSelectsHTTP11(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, fapwstest.Mode{}, "app.py", "--no-http2")
	c, err := tls.Dial("tcp", s.Address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	fapwstest.Must(t, err)
	fapwstest.Equal(t, c.ConnectionState().NegotiatedProtocol, "http/1.1")
	fapwstest.NewClient(t, c).Fetch("/show").Want(t, 200, `"HTTP/1.1"`)
}

// If a connection starts like the HTTP/2 preface and continues differently, the server treats the connection as HTTP/1.
// If the client has selected HTTP/2 by TLS (ALPN), the server closes such a connection.
func TestPrefaceMayArriveInPieces(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "app.py")
	w := s.DialSend("P")
	w.Ask("ROPFIND /show HTTP/1.1\r\nHost: h\r\n\r\n").Want(t, 200, `"PROPFIND"`)
	w = s.Dial()
	for _, piece := range []string{"PRI * HT", "TP/2.0\r\n\r\nS", "M\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"} {
		w.Send(piece)
	}
	w.Conn.SetReadDeadline(time.Now().Add(fapwstest.Patience))
	head := make([]byte, 9)
	_, err := io.ReadFull(w.Conn, head)
	fapwstest.Truef(t, err == nil && head[3] == 4, "%x, %v", head, err)
	secure := serveTLS(t, fapwstest.Mode{}, "app.py")
	for _, text := range []string{"GET /show HTTP/1.1\r\nHost: h\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSoops"} {
		c, err := tls.Dial("tcp", secure.Address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		fapwstest.Must(t, err)
		io.WriteString(c, text)
		c.SetReadDeadline(time.Now().Add(fapwstest.Patience))
		got, err := io.ReadAll(c)
		fapwstest.Truef(t, len(got) == 0 && !os.IsTimeout(err), "%q, %v", got, err)
		c.Close()
	}
}

// head sends the head of a request. Each line has the form "name value".
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
