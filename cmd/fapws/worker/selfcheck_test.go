package worker

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"testing"
)

// TestGet: the request of --reload-check names the host of its URL, and an interim response
// is not the answer.
func TestGet(t *testing.T) {
	for _, c := range []struct{ target, request, answer, want string }{
		{"/health", "GET /health HTTP/1.1\r\nHost: localhost\r\n", "HTTP/1.1 200 OK\r\n\r\nwell", "200"},
		{"http://a.example/x", "GET /x HTTP/1.1\r\nHost: a.example\r\n", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n", "404"},
		{"/", "GET / HTTP/1.1\r\nHost: localhost\r\n", "", "EOF"},
		{"/", "GET / HTTP/1.1\r\nHost: localhost\r\n", "HTTP/1.1 2xx\r\n", `net/http: HTTP/1.x transport connection broken: malformed HTTP status code "2xx"`},
	} {
		ours, theirs := net.Pipe()
		request := make(chan string, 1)
		go func() {
			r := bufio.NewReader(theirs)
			first, _ := r.ReadString('\n')
			host, _ := r.ReadString('\n')
			request <- first + host
			for line := ""; line != "\r\n"; {
				line, _ = r.ReadString('\n')
			}
			_, _ = io.WriteString(theirs, c.answer)
			theirs.Close()
		}()
		status, err := get(t.Context(), ours, c.target)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = strconv.Itoa(status)
		}
		if asked := <-request; asked != c.request || got != c.want {
			t.Errorf("%s: %q is answered %s, want %q and %s", c.target, asked, got, c.request, c.want)
		}
		ours.Close()
	}
}
