package http_test

import (
	"io"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
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
			w := s.Dial()
			w.Send(first, c.text, smuggled)
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
		fapwstest.Equalf(t, s.Ask(c.text+"\r\n").StatusCode, c.status, "%.30q... of %d bytes", c.text,
			len(c.text))
	}
	w := s.Dial()
	w.Send("GET / HTTP/1.1\r\nHost: a\r\nX-Endless: ")
	// The server rejects the request before all of it has arrived, so the rest may reach a closed socket.
	for range 20 {
		if _, err := io.WriteString(w.Conn, strings.Repeat("d", 1000)); err != nil {
			break
		}
	}
	w.Answer().Want(t, 431)
}
