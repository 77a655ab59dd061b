package http2_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/websocket/wstest"
)

// bridge starts an HTTP/1 server and returns its address. The server forwards WebSockets to s, as streams of one HTTP/2
// connection (RFC 8441), so that clients of package wstest can use them.
func bridge(t *testing.T, s *fapwstest.Server) string {
	t.Helper()
	c := client(t)
	ask(t, c, "GET", s.URL+"/page", nil)
	return backendtest.Serve(t, func(_ int, near *net.TCPConn) { bridgeOne(c, s.URL, near) })
}

func bridgeOne(c *http.Client, url string, near *net.TCPConn) {
	in := bufio.NewReader(near)
	asked, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	from, to := io.Pipe()
	r, _ := http.NewRequestWithContext(ctx, "CONNECT", url+asked.URL.RequestURI(), from)
	r.Header = asked.Header
	key := r.Header.Get("Sec-Websocket-Key")
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Key"} {
		r.Header.Del(name)
	}
	r.Header[":protocol"] = []string{"websocket"}
	far, err := c.Transport.RoundTrip(r)
	if err != nil {
		return
	}
	defer far.Body.Close()
	if far.StatusCode != 200 {
		far.ProtoMajor, far.ProtoMinor = 1, 1
		far.Write(near)
		return
	}
	if key == wstest.Key {
		key = wstest.Accept
	}
	fmt.Fprintf(near, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "+
		"Upgrade\r\nSec-WebSocket-Accept: %s\r\n", key)
	far.Header.Write(near)
	io.WriteString(near, "\r\n")
	done := make(chan bool)
	go func() {
		defer close(done)
		_, err := io.Copy(to, in)
		if broken := new(net.OpError); errors.As(err, &broken) {
			cancel()
		}
		to.Close()
		// If the socket were closed with unread bytes, the kernel would reset the connection, and the client would lose
		// the last bytes from the server.
		io.Copy(io.Discard, in)
	}()
	if _, err := io.Copy(near, far.Body); err != nil {
		near.SetLinger(0)
		return
	}
	near.CloseWrite()
	<-done
}
