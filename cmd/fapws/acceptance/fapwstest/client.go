package fapwstest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Client is a client that sends and sees every byte.
type Client struct {
	T *testing.T
	net.Conn
	In *bufio.Reader
}

// Dial connects to s. Reading and writing fail the test after Patience.
func (s *Server) Dial() *Client {
	s.T.Helper()
	return Dial(s.T, "tcp", s.Address)
}

// Dial connects to an address, as net.Dial does.
func Dial(t *testing.T, network, address string) *Client {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(t, c)
}

// Listens reports whether connections to an address are accepted.
func Listens(network, address string) bool {
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// NewClient returns a client of a connection, which it closes at the end of the test.
func NewClient(t *testing.T, c net.Conn) *Client {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	Must(t, c.SetDeadline(time.Now().Add(Patience)))
	return &Client{t, c, bufio.NewReader(c)}
}

// Send writes text as it is.
func (w *Client) Send(text ...string) {
	w.T.Helper()
	if _, err := io.WriteString(w.Conn, strings.Join(text, "")); err != nil {
		w.T.Fatalf("sending: %v", err)
	}
}

// Get sends a GET request of HTTP/1.1.
func (w *Client) Get(target string) {
	w.T.Helper()
	w.Send(Get(target))
}

// Head reads the head of the response to a request with method.
func (w *Client) Head(method string) *http.Response {
	w.T.Helper()
	r, err := http.ReadResponse(w.In, &http.Request{Method: method})
	if err != nil {
		w.T.Fatalf("no response: %v", err)
	}
	return r
}

// Tries sends text and reads a whole response, or returns how the connection ended.
func (w *Client) Tries(text string) (*Answer, error) {
	if _, err := io.WriteString(w.Conn, text); err != nil {
		return nil, err
	}
	return w.Reads()
}

// Reads reads a whole response to a GET or POST, or returns how the connection ended.
func (w *Client) Reads() (*Answer, error) {
	r, err := http.ReadResponse(w.In, &http.Request{Method: "GET"})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	return &Answer{r, string(body), err}, nil
}

// Answer reads a whole response to a GET or POST.
func (w *Client) Answer() *Answer {
	w.T.Helper()
	return w.AnswerTo("GET")
}

// Fetch sends a GET request of HTTP/1.1 and reads the whole response.
func (w *Client) Fetch(target string) *Answer {
	w.T.Helper()
	w.Get(target)
	return w.Answer()
}

// AnswerTo reads a whole response to a request with method.
func (w *Client) AnswerTo(method string) *Answer {
	w.T.Helper()
	r := w.Head(method)
	body, err := io.ReadAll(r.Body)
	return &Answer{r, string(body), err}
}

// InTime asks until the answer is not a 504: with a --timeout of a few seconds, a
// busy machine can make the quickest handler late.
func (w *Client) InTime(target string) *Answer {
	w.T.Helper()
	for {
		w.Get(target)
		if a := w.Answer(); a.StatusCode != 504 {
			return a
		}
	}
}

// Rest reads all that comes until the server closes.
func (w *Client) Rest() string {
	w.T.Helper()
	text, err := io.ReadAll(w.In)
	if err != nil {
		w.T.Fatalf("reading to the end: %v after %q", err, text)
	}
	return string(text)
}

// Closed fails unless the server closes without sending more.
func (w *Client) Closed() {
	w.T.Helper()
	if text := w.Rest(); text != "" {
		w.T.Errorf("more than expected: %q", text)
	}
}

// Gone fails unless the server closes, in whatever way, without sending more.
func (w *Client) Gone() {
	w.T.Helper()
	text, err := io.ReadAll(w.In)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		w.T.Errorf("the connection stays: %v", err)
	}
	if len(text) > 0 {
		w.T.Errorf("more than expected: %.200q", text)
	}
}

// Reset closes the connection so that the server sees an error.
func (w *Client) Reset() {
	w.T.Helper()
	Must(w.T, w.Conn.(*net.TCPConn).SetLinger(0))
	w.Close()
}
