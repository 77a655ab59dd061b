package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wire is a client that sends and sees every byte.
type wire struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

// dial connects. Reading and writing fail the test after a while.
func (s *server) dial() *wire {
	s.t.Helper()
	return dial(s.t, "tcp", s.address)
}

func dial(t *testing.T, network, address string) *wire {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{t, c, bufio.NewReader(c)}
}

// send writes text as it is.
func (w *wire) send(text ...string) {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, strings.Join(text, "")); err != nil {
		w.t.Fatalf("sending: %v", err)
	}
}

// get sends a GET request of HTTP/1.1.
func (w *wire) get(target string) {
	w.t.Helper()
	w.send(get(target))
}

func get(target string, fields ...string) string { return request("GET", target, "", fields...) }

// request returns the bytes of a request with a Host field, and a
// Content-Length if there is a body.
func request(method, target, body string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: test\r\n", method, target)
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

// answer is a response with its whole body.
type answer struct {
	*http.Response
	body string
	err  error // the body was not whole
}

// head reads the head of the response to a request with method.
func (w *wire) head(method string) *http.Response {
	w.t.Helper()
	r, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("no response: %v", err)
	}
	return r
}

// tries sends text and reads a whole response, or returns how the connection ended.
func (w *wire) tries(text string) (*answer, error) {
	if _, err := io.WriteString(w.Conn, text); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(w.in, &http.Request{Method: "GET"})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	return &answer{r, string(body), err}, nil
}

// answer reads a whole response to a GET or POST.
func (w *wire) answer() *answer {
	w.t.Helper()
	return w.answerTo("GET")
}

func (w *wire) answerTo(method string) *answer {
	w.t.Helper()
	r := w.head(method)
	body, err := io.ReadAll(r.Body)
	return &answer{r, string(body), err}
}

// inTime asks until the answer is not a 504: with a --timeout of a few seconds, a
// busy machine can make the quickest handler late.
func (w *wire) inTime(target string) *answer {
	w.t.Helper()
	for {
		w.get(target)
		if a := w.answer(); a.StatusCode != 504 {
			return a
		}
	}
}

// until504 asks for target, whose handler does not answer in time, until the log has a match of pattern: on a busy
// machine, a request may be late before its handler runs.
func (s *server) until504(target, pattern string) (match []string) {
	s.t.Helper()
	eventually(s.t, pattern+" in the log", func() bool {
		s.get(target, 504)
		for range 2000 { // the log may follow some seconds later
			if match = regexp.MustCompile(pattern).FindStringSubmatch(s.stderr.String()); match != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return match != nil
	})
	return match
}

// rest reads all that comes until the server closes.
func (w *wire) rest() string {
	w.t.Helper()
	text, err := io.ReadAll(w.in)
	if err != nil {
		w.t.Fatalf("reading to the end: %v after %q", err, text)
	}
	return string(text)
}

// closed fails unless the server closes without sending more.
func (w *wire) closed() {
	w.t.Helper()
	if text := w.rest(); text != "" {
		w.t.Errorf("more than expected: %q", text)
	}
}

// gone fails unless the server closes, in whatever way, without sending more.
func (w *wire) gone() {
	w.t.Helper()
	text, err := io.ReadAll(w.in)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		w.t.Errorf("the connection stays: %v", err)
	}
	if len(text) > 0 {
		w.t.Errorf("more than expected: %.200q", text)
	}
}

// reset closes the connection so that the server sees an error.
func (w *wire) reset() {
	w.t.Helper()
	if err := w.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		w.t.Fatal(err)
	}
	w.Close()
}

// ask sends bytes over a connection of their own and reads one response.
func (s *server) ask(text string) *answer {
	s.t.Helper()
	w := s.dial()
	defer w.Close()
	w.send(text)
	method, _, _ := strings.Cut(text, " ")
	return w.answerTo(method)
}

// get asks for a target and returns the answer, which must have this status.
func (s *server) get(target string, status int, fields ...string) *answer {
	s.t.Helper()
	return s.ask(get(target, fields...)).want(s.t, status)
}

// want fails unless the answer has this status and a whole body with each text.
func (a *answer) want(t *testing.T, status int, texts ...string) *answer {
	t.Helper()
	if a.StatusCode != status || a.err != nil {
		t.Fatalf("status %d, want %d; %v; body: %.500q", a.StatusCode, status, a.err, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("no %q in the body: %.500q", text, a.body)
		}
	}
	return a
}

// is fails unless the answer is 200 with exactly this body.
func (a *answer) is(t *testing.T, body string) *answer {
	t.Helper()
	a.want(t, 200)
	if a.body != body {
		t.Errorf("body %.300q, want %.300q", a.body, body)
	}
	return a
}

// field fails unless a header field of the answer has this value.
func (a *answer) field(t *testing.T, name, want string) *answer {
	t.Helper()
	if got := strings.Join(a.Header.Values(name), ", "); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
	return a
}

// object returns the body, which must be a JSON object.
func (a *answer) object(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.NewDecoder(bytes.NewReader([]byte(a.body))).Decode(&object); err != nil {
		t.Fatalf("%v in %.300q", err, a.body)
	}
	return object
}
