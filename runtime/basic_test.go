package runtime

import (
	"strings"
	"testing"
)

// bodies splits a run of responses with Content-Length into status codes and
// bodies: "200:hello 404:Not Found\n".
func bodies(t *testing.T, text string) string {
	t.Helper()
	var out []string
	for text != "" {
		head, rest, ok := strings.Cut(text, "\r\n\r\n")
		if !ok {
			t.Fatalf("no head in %q", text)
		}
		n := 0
		for _, line := range strings.Split(head, "\r\n") {
			if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				for _, d := range v {
					n = n*10 + int(d-'0')
				}
			}
		}
		if n > len(rest) {
			t.Fatalf("%d bytes promised, %q sent", n, rest)
		}
		out = append(out, head[9:12]+":"+rest[:n])
		text = rest[n:]
	}
	return strings.Join(out, " ")
}

func TestResponses(t *testing.T) {
	t.Parallel()
	const end = "GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, test := range []struct{ name, request, want string }{
		{"one", end, "200:GET /end?"},
		{"keep-alive", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + end, "200:GET /a? 200:GET /end?"},
		{"1.0 closes", "GET /a HTTP/1.0\r\n\r\n", "200:GET /a?"},
		{"1.0 keep-alive", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n", "200:GET /a? 200:GET /b?"},
		{"order is kept", "GET /later?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n" + end, "200:later 1 200:GET /b? 200:GET /end?"},
		{"body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + end, "200:hello 200:GET /end?"},
		{"chunked", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\n" + end, "200:hello world 200:GET /end?"},
		{"bad request", "GET /a HTTP/1.1\r\nHost : x\r\n\r\n" + end, "400"},
		{"bad request behind one in flight", "GET /later HTTP/1.1\r\nHost: x\r\n\r\nBAD\r\n\r\n", "200:later  400"},
		{"empty 204", "GET /status/204 HTTP/1.1\r\nHost: x\r\n\r\n" + end, "204: 200:GET /end?"},
		{"options *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" + end, "204: 200:GET /end?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			modes(t, func(t *testing.T, inline bool) {
				a := newApp(inline, demo)
				s := serve(t, Config{}, a)
				got := bodies(t, s.talk(t, test.request))
				if got != test.want && !(strings.HasSuffix(test.want, "400") && strings.HasPrefix(got, test.want+":")) {
					t.Errorf("got %q, want %q", got, test.want)
				}
				eventually(t, "all released", a.idle)
			})
		})
	}
}
