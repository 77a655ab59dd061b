package runtime

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/system"
	"fapws/runtime/waittest"
)

// subrequestPatience ends a test that hangs, also on a machine that is many times slower.
const subrequestPatience = waittest.Patience

// server answers requests with the answer that answers has for the path, and notes them. It closes a connection behind an answer
// without a length.
type server struct {
	t           *testing.T
	answers     map[string]string
	connections int
	requests    chan string
}

func (s *server) serve(fd int) error {
	c, err := system.Conn(fd, "test")
	if err != nil {
		return err
	}
	s.connections++
	go func() {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			s.requests <- q.Host + " " + q.URL.String() + " " + q.Header.Get("X-A")
			answer, known := s.answers[q.URL.Path]
			if !known {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil || !strings.Contains(answer, "Content-Length") {
				return
			}
		}
	}()
	return nil
}

func newServer(t *testing.T, answers map[string]string) (*server, *subrequester) {
	s := &server{t: t, answers: answers, requests: make(chan string, 10)}
	c := newSubrequester(exchange.Origin{Host: "a.example"}, s.serve)
	t.Cleanup(func() { c.Close() })
	return s, c
}

// expect asks for a target and compares the answer.
func (s *server) expect(c *subrequester, target, want string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), subrequestPatience)
	defer cancel()
	a, err := c.Ask(ctx, target, []byte("X-A: 1\r\n"))
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(a.Body)
	if got := string(a.Fields) + a.Reason + " " + string(body); err != nil || got != want {
		s.t.Errorf("%s: %q, %v, want %q", target, got, err, want)
	}
}

const hello = "HTTP/1.1 200 Fine\r\nDate: x\r\nServer: x\r\nX-B: 1\r\nX-B: 2\r\nContent-Length: 5\r\n\r\nhello"

// Requests go over one connection as long as that is open. Fields about the connection are not part of an answer.
func TestAsk(t *testing.T) {
	s, c := newServer(t, map[string]string{"/a": hello, "/end": "HTTP/1.1 404 None\r\n\r\ngone"})
	for range 3 {
		s.expect(c, "/a?b=%20", "X-B: 1\r\nX-B: 2\r\nFine hello")
		if got := <-s.requests; got != "a.example /a?b=%20 1" {
			t.Errorf("the server was asked for %q", got)
		}
	}
	s.expect(c, "/end", "None gone")
	s.expect(c, "/a", "X-B: 1\r\nX-B: 2\r\nFine hello")
	if s.connections != 2 {
		t.Errorf("%d connections", s.connections)
	}
}

// An answer that was not read to its end is skipped if it is short. A longer one ends the connection.
func TestUnread(t *testing.T) {
	long := "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000000)
	s, c := newServer(t, map[string]string{"/a": hello, "/long": long})
	for _, test := range []struct {
		target      string
		connections int
	}{{"/a", 1}, {"/a", 1}, {"/long", 1}, {"/a", 2}} {
		if _, err := c.Ask(t.Context(), test.target, nil); err != nil {
			t.Fatal(err)
		}
		if s.connections != test.connections {
			t.Errorf("%s: %d connections, want %d", test.target, s.connections, test.connections)
		}
	}
}

// A kept connection may have been closed: the request is made again on another one. A new one is not tried twice.
func TestClosed(t *testing.T) {
	s, c := newServer(t, map[string]string{"/a": hello})
	s.expect(c, "/a", "X-B: 1\r\nX-B: 2\r\nFine hello")
	if _, err := c.Ask(t.Context(), "/unknown", nil); !errors.Is(err, errNoAnswer) || s.connections != 2 {
		t.Errorf("%v, %d connections", err, s.connections)
	}
}

func TestSubrequestRefused(t *testing.T) {
	stopped := errors.New("stopped")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		depth  int
		target string
		want   error
	}{
		{"too deep", t.Context(), exchange.MaxDepth, "/", exchange.ErrTooDeep},
		{"relative", t.Context(), 0, "a", errBadTarget},
		{"two lines", t.Context(), 0, "/\r\nX-A: 1", errBadTarget},
		{"cancelled", cancelled, 0, "/", context.Canceled},
		{"stopped", t.Context(), 0, "/", stopped},
	} {
		c := newSubrequester(exchange.Origin{Depth: test.depth}, func(int) error { return stopped })
		if _, err := c.Ask(test.ctx, test.target, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// A request ends with its context, whatever the server does.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newSubrequester(exchange.Origin{}, func(fd int) error {
		other, err := system.Conn(fd, "test")
		if err == nil {
			t.Cleanup(func() { other.Close() })
			go func() {
				_, _ = other.Read(make([]byte, 100)) // the request has come
				cancel()
			}()
		}
		return err
	})
	defer c.Close()
	if _, err := c.Ask(ctx, "/", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
