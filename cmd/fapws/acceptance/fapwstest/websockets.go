package fapwstest

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"fapws/runtime/websocket/wstest"
)

func WebSocketCases(t *testing.T, address, path string) {
	t.Helper()
	var all sync.WaitGroup
	at := make(chan struct{}, 20)
	try := func(id string, run func() error) {
		at <- struct{}{}
		all.Go(func() {
			err := run()
			Truef(t, err == nil, "%s, %s: %v", path, id, err)
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

// ResetSocket resets the connection, so that the server sees an error instead of a normal end.
func ResetSocket(c *wstest.Client) {
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	c.Conn.Close()
}
