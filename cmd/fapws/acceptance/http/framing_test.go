package http_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// hostile lists messages that a proxy could parse differently (RFC 9112), and bytes that are not HTTP. A second
// request follows each message, and must not be answered.
var hostile = []struct {
	name, text string
	status     int
}{
	{"Content-Length with Transfer-Encoding",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"different Content-Lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
		400},
	{"unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
	{"space before colon of Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nabcd", 400},
	{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
	{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
	{"no version", "GET /\r\n\r\n", 400},
	{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501},
	{"NUL by percent", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
	{"signed chunk size", chunk("+4\r\nabcd\r\n0\r\n\r\n"), 400},
	{"chunk longer than its size", chunk("4\r\nabcde\r\n0\r\n\r\n"), 400},
	{"bad trailer", chunk("0\r\nX A: b\r\n\r\n"), 400},
	{"long query", "GET /?" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
	{"many bytes of fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-A: "+strings.Repeat("b", 4000)+"\r\n",
		17) + "\r\n", 431},
}

func chunk(body string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
}

func TestRequestAfterHostileFramingIsNotAnswered(t *testing.T) {
	t.Parallel()
	smuggled := fapwstest.Get("/smuggled")
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py")
	for _, c := range hostile {
		for _, first := range []string{"", fapwstest.Get("/count")} {
			w := s.DialSend(first, c.text, smuggled)
			if first != "" {
				w.Answer().Is(t, "0")
			}
			a := w.Answer()
			fapwstest.Truef(t, a.StatusCode == c.status && a.Close && a.Err == nil, "%s: %d, close %v, %v; want %d", c.name,
				a.StatusCode, a.Close, a.Err, c.status)
			w.Closed()
		}
	}
	s.Get("/count", 200).Is(t, "0")
}

func TestUnusualButValidRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text string }{
		{"empty lines before", "\r\n\r\nGET /count HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"chunk extensions and trailers", chunk("4 ; a=\"b\"\r\nabcd\r\n00000\r\nX-A: b\r\nContent-Length: 7\r\n\r\n")},
		{"Host on 1.0 missing", "GET /count HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py")
	w := s.Dial()
	for _, c := range cases {
		w.Send(c.text)
		if a := w.Answer(); a.StatusCode != 200 || a.Err != nil {
			t.Errorf("%s: %d %q %v", c.name, a.StatusCode, a.Text, a.Err)
			w = s.Dial()
		}
	}
	w.Fetch("/count").Want(t, 200)
}

func TestFlagsSetTheLimitsOfARequestHead(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--limit-request-line", "100",
		"--limit-request-field-size", "200", "--limit-request-head", "500", "--limit-request-fields", "10")
	line := func(n int) string {
		return "GET /count?" + strings.Repeat("a", n-len("GET /count? HTTP/1.1\r\n")) + " HTTP/1.1\r\nHost: a\r\n"
	}
	field := func(n int) string { return "X: " + strings.Repeat("a", n-len("X: \r\n")) + "\r\n" }
	for _, c := range []struct {
		text   string
		status int
	}{
		{line(90), 200}, {line(110), 414},
		{line(50) + field(190), 200}, {line(50) + field(210), 431},
		{line(50) + strings.Repeat(field(10), 9), 200}, {line(50) + strings.Repeat(field(10), 10), 431},
		{line(50) + field(190) + field(190), 200}, {line(50) + field(190) + field(190) + field(190), 431},
	} {
		fapwstest.Equalf(t, s.Ask(c.text+"\r\n").StatusCode, c.status, "%.30q... of %d bytes", c.text, len(c.text))
	}
	w := s.DialSend("GET / HTTP/1.1\r\nHost: a\r\nX-Endless: ")
	// The server rejects the request before all of it has arrived, so the rest may reach a closed socket.
	for range 20 {
		if _, err := io.WriteString(w.Conn, strings.Repeat("d", 1000)); err != nil {
			break
		}
	}
	w.Answer().Want(t, 431)
}

type refusedRequest struct{ name, head, body string }

// refusedRequests lists requests after which the server must close the connection, because it cannot find the start of
// the next request, or because no request may follow.
var refusedRequests = []refusedRequest{
	{"a negative chunk size", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "-1\r\n"},
	{"a chunk size that is no number", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"2\r\nab\r\nzz\r\n"},
	{"a chunk longer than its size", "PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"2\r\nabc\r\n0\r\n\r\n"},
	{"a malformed trailer", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"1\r\na\r\n0\r\na b\r\n\r\n"},
	{"chunks that are too long", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a\r\n0123456789\r\na\r\n0123456789\r\n"},
	{"a length that is too large", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n", "0123456789abcdefg"},
	{"a length and chunks", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
		"0\r\n\r\n"},
	{"an unknown coding", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "0\r\n\r\n"},
	{"chunks of HTTP/1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"},
	{"no field", "POST /echo HTTP/1.1\r\nHost: x\r\nno field\r\n\r\n", "x"},
	{"a field that is too long", "GET /echo HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 70) + "\r\n\r\n", ""},
	{"a version that does not exist", "GET /echo HTTP/3.0\r\nHost: x\r\n\r\n", ""},
	{"a body that no route takes", "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", "01234567"},
	{"bad chunks that no route takes", "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"-1\r\n"},
	{"bad chunks for a handler that has answered",
		"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "-1\r\n"},
	{"bad chunks for a handler that answers", "POST /begins HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"1\r\na\r\n-1\r\n"},
}

const refusedApp = `


def application(environ, start_response):
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]
`

func TestConnectionClosesAfterARejectedRequestHoweverItIsSplit(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		dir := t.TempDir()
		fapwstest.Write(t, dir+"/refused.py", refusedApp)
		flags := []string{"--max-body-size", "16", "--limit-request-field-size", "64", "--keep-alive", "1h"}
		s := fapwstest.Command{Script: "wire.py", Flags: flags}.Serve(t, m)
		dial := func() net.Conn { return s.Dial().Conn }
		refuses(t, refusedRequests, dial, !m.Inline())
		s = fapwstest.Command{Script: dir + "/refused.py:application", Flags: flags}.Serve(t, m)
		collected := slices.DeleteFunc(slices.Clone(refusedRequests), func(r refusedRequest) bool {
			return !strings.Contains(r.head, " /echo ")
		})
		refuses(t, collected, dial, false)
		if m.Inline() {
			return
		}
		ca := certtest.NewAuthority(t)
		cert, key := ca.For("example.org").Write(dir)
		flags = append([]string{"--bind", "https://127.0.0.1:0", "--certfile", cert, "--keyfile", key}, flags...)
		s = fapwstest.Command{Script: "wire.py", Flags: flags}.Start(t)
		s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
		config := &tls.Config{RootCAs: ca.Pool(), ServerName: "example.org", NextProtos: []string{"http/1.1"}}
		refuses(t, refusedRequests, func() net.Conn { return tls.Client(s.Dial().Conn, config) }, false)
	})
}

// refuses sends each of requests many times: cut into two pieces at every byte or only at the ends of lines, and into
// three pieces at the first byte and at the ends of lines.
// All connections send their first piece before any of them sends its second piece. In between, the server answers
// another request, so the server has most likely read the pieces.
func refuses(t *testing.T, requests []refusedRequest, dial func() net.Conn, everywhere bool) {
	t.Helper()
	other := fapwstest.NewClient(t, dial())
	for _, r := range requests {
		text := r.head + r.body
		var cuts [][]string
		for i := 1; i < len(text); i++ {
			ends := i == len(r.head) || strings.HasSuffix(text[:i], "\r\n")
			if ends || everywhere {
				cuts = append(cuts, []string{text[:i], text[i:]})
			}
			if ends && i > 1 {
				cuts = append(cuts, []string{text[:1], text[1:i], text[i:]})
			}
		}
		clients := make([]net.Conn, len(cuts))
		for i := range clients {
			clients[i] = dial()
		}
		for round := range 3 {
			for i, cut := range cuts {
				if round < len(cut) {
					_, _ = clients[i].Write([]byte(cut[round]))
				}
			}
			other.Fetch("/echo").Want(t, 200)
		}
		for i, c := range clients {
			in := bufio.NewReader(c)
			a, err := http.ReadResponse(in, nil)
			if err != nil || a.StatusCode < 400 && !strings.HasPrefix(text, "POST /begins") {
				t.Errorf("%s, cut %q: %v %v", r.name, cuts[i], a, err)
				c.Close()
				continue
			}
			fapwstest.Equalf(t, untilEnd(in), nil, "%s, cut %q: the connection stays open", r.name, cuts[i])
			c.Close()
		}
		if t.Failed() {
			return
		}
	}
}

func untilEnd(in *bufio.Reader) error {
	for {
		if _, err := in.ReadByte(); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				return err
			}
			return nil
		}
	}
}
