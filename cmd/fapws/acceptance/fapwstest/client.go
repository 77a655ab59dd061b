package fapwstest

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/websocket/wstest"
)

type Client struct {
	T *testing.T
	net.Conn
	In *bufio.Reader
}

// Dial connects to s. If reading or writing takes longer than Patience, the test fails.
func (s *Server) Dial() *Client {
	s.T.Helper()
	return Dial(s.T, "tcp", s.Address)
}

// DialSend connects to s and sends text.
func (s *Server) DialSend(text ...string) *Client {
	s.T.Helper()
	w := s.Dial()
	w.Send(text...)
	return w
}

// DialGet connects to s and requests target.
func (s *Server) DialGet(target string) *Client {
	s.T.Helper()
	return s.DialSend(Get(target))
}

// DialMany opens n connections to s. Each of them sends text.
func (s *Server) DialMany(n int, text ...string) []*Client {
	s.T.Helper()
	return Repeat(n, func(int) *Client { return s.DialSend(text...) })
}

// DialFrom connects to s from a local address, such as 127.0.0.2, because the limits of a client are those of its
// address.
func (s *Server) DialFrom(address string) *Client {
	s.T.Helper()
	c := Try((&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).Dial("tcp", s.Address)).Must(s.T)
	return NewClient(s.T, c)
}

func Dial(t *testing.T, network, address string) *Client {
	t.Helper()
	return NewClient(t, Try(net.Dial(network, address)).Must(t))
}

func Listens(network, address string) bool {
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func NewClient(t *testing.T, c net.Conn) *Client {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	Must(t, c.SetDeadline(time.Now().Add(Patience)))
	return &Client{t, c, bufio.NewReader(c)}
}

func (w *Client) Send(text ...string) {
	w.T.Helper()
	_, err := io.WriteString(w.Conn, strings.Join(text, ""))
	Mustf(w.T, err, "sending")
}

func (w *Client) Get(target string) {
	w.T.Helper()
	w.Send(Get(target))
}

func (w *Client) Head(method string) *http.Response {
	w.T.Helper()
	r, err := http.ReadResponse(w.In, &http.Request{Method: method})
	Mustf(w.T, err, "no response")
	return r
}

func (w *Client) Tries(text string) (*Answer, error) {
	if _, err := io.WriteString(w.Conn, text); err != nil {
		return nil, err
	}
	return w.Reads()
}

func (w *Client) Reads() (*Answer, error) {
	r, err := http.ReadResponse(w.In, &http.Request{Method: "GET"})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	return &Answer{r, string(body), err}, nil
}

func (w *Client) Answer() *Answer {
	w.T.Helper()
	return w.AnswerTo("GET")
}

// Ask sends text, the text of a request or its rest, and reads the response.
func (w *Client) Ask(text ...string) *Answer {
	w.T.Helper()
	w.Send(text...)
	method, _, _ := strings.Cut(text[0], " ")
	return w.AnswerTo(method)
}

func (w *Client) Fetch(target string, fields ...string) *Answer {
	w.T.Helper()
	return w.Ask(Get(target, fields...))
}

func (w *Client) AnswerTo(method string) *Answer {
	w.T.Helper()
	r := w.Head(method)
	body, err := io.ReadAll(r.Body)
	return &Answer{r, string(body), err}
}

// InTime requests target until the status is not 504. With a short --timeout, even a quick handler may time out on a
// busy machine.
func (w *Client) InTime(target string) *Answer {
	w.T.Helper()
	for {
		w.Get(target)
		if a := w.Answer(); a.StatusCode != 504 {
			return a
		}
	}
}

func (w *Client) Rest() string {
	w.T.Helper()
	text, err := io.ReadAll(w.In)
	Needf(w.T, err == nil, "reading to the end: %v after %q", err, text)
	return string(text)
}

// Closed fails unless the server sends nothing more and closes the connection.
func (w *Client) Closed() {
	w.T.Helper()
	Equalf(w.T, w.Rest(), "", "more than expected")
}

// Gone fails unless the server sends nothing more and closes or resets the connection.
func (w *Client) Gone() {
	w.T.Helper()
	text, err := io.ReadAll(w.In)
	Truef(w.T, err == nil || errors.Is(err, syscall.ECONNRESET), "the connection stays: %v", err)
	Truef(w.T, len(text) == 0, "more than expected: %.200q", text)
}

func (w *Client) Reset() {
	w.T.Helper()
	Must(w.T, w.Conn.(*net.TCPConn).SetLinger(0))
	w.Close()
}

// FreePort returns a TCP port of 127.0.0.1 for a program that cannot choose a port and report it. The port is below
// the ports that systems assign by themselves (from 32768 on Linux, 49152 elsewhere). Until the test ends, no other
// test gets it, even in another process, because FreePort keeps a socket with the port in its name.
func FreePort(t *testing.T) string {
	t.Helper()
	const first, end = 10000, 32768
	for range 1000 {
		port := strconv.Itoa(first + rand.IntN(end-first))
		claim, err := net.Listen("unix", "@fapws-test-port-"+port)
		if err != nil {
			continue
		}
		if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			ln.Close()
			t.Cleanup(func() { claim.Close() })
			return port
		}
		claim.Close()
	}
	t.Fatal("no free port")
	return ""
}

func WebSocketCases(t *testing.T, address, path string) {
	t.Helper()
	var all sync.WaitGroup
	at := make(chan struct{}, 20)
	try := func(id string, run func() error) {
		at <- struct{}{}
		all.Go(func() {
			Equalf(t, run(), nil, "%s, %s", path, id)
			<-at
		})
	}
	for _, tc := range wstest.Cases() {
		try(tc.ID, func() error { return tc.Run(address, path) })
	}
	for _, offer := range wstest.Offers {
		try(offer, func() error { return wstest.Compression(address, path, offer) })
	}
	all.Wait()
}

func OpenSocket(t *testing.T, address, path string, fields ...string) *wstest.Client {
	t.Helper()
	c, err := wstest.Dial(address, path, fields...)
	Mustf(t, err, "%s", path)
	t.Cleanup(func() { c.Conn.Close() })
	return c
}

func (s *Server) Socket(path string, fields ...string) *wstest.Client {
	s.T.Helper()
	return OpenSocket(s.T, s.Address, path, fields...)
}

func DeniesSocket(t *testing.T, address string, status int, text, path string, fields ...string) {
	t.Helper()
	var denied *wstest.Denied
	_, err := wstest.Dial(address, path, fields...)
	Truef(t, errors.As(err, &denied) && denied.Response.StatusCode == status && strings.Contains(denied.Body, text),
		"%s, %q: %v, want %d %q", path, fields, err, status, text)
}

func Hears(t *testing.T, c *wstest.Client, want string) {
	t.Helper()
	_, got, err := c.Receive()
	Truef(t, err == nil && string(got) == want, "got %.100q, %v; want %.100q", got, err, want)
}

// Received returns the next message.
func Received(t *testing.T, c *wstest.Client) string {
	t.Helper()
	_, text, err := c.Receive()
	Must(t, err)
	return string(text)
}

// ResetSocket resets the connection, so that the server sees an error instead of a normal end.
func ResetSocket(c *wstest.Client) {
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	c.Conn.Close()
}
