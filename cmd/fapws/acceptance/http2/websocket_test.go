package http2_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/websocket/wstest"
)

func TestWebSocketStreamsPassTheAutobahnCases(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := serve(t, m, "sockets.py", "--lifespan", "off")
		path := "/callbacks"
		if m.Inline() {
			path = "/asgi"
		} else {
			s = fapwstest.ServeProxy(t, s.URL, "", "--h2c")
		}
		fapwstest.WebSocketCases(t, bridge(t, s), path)
	})
}

func TestApplicationsAcceptAndRejectWebSocketStreams(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "sockets.py", Flags: []string{"--h2c", "--lifespan", "off"},
			Complains: true}.Serve(t, m)
		address := bridge(t, s)
		c := fapwstest.OpenSocket(t, address, "/asgi?scope", "Sec-WebSocket-Protocol: chat, other")
		fapwstest.Hears(t, c, "2 ws /asgi")
		var closed *wstest.Closed
		_, _, err := c.Receive()
		fapwstest.Truef(t, errors.As(err, &closed) && closed.Code == 3000 && closed.Reason == "all said", "%v", err)
		h := c.Response.Header
		fapwstest.Truef(t, h.Get("Sec-Websocket-Protocol") == "chat" && h.Get("X-A") == "b", "%v", h)
		statuses := map[string]int{"/asgi?deny": 403, "/own?refuse": 403, "/own?garbage": 502, "/none": 404,
			"/page": 501, "/pieces": 501, "/news": 501, "/files/main_test.go": 501, "/files/none": 404}
		if m.Inline() {
			delete(statuses, "/own?refuse")
			delete(statuses, "/own?garbage")
		} else {
			speaksItself(t, address)
		}
		for path, status := range statuses {
			fapwstest.DeniesSocket(t, address, status, "", path)
		}
		ask(t, client(t), "GET", s.URL+"/files/main_test.go", nil)
		fapwstest.Lacks(t, s.Stderr.String(), "bug:")
		var members []*wstest.Client
		for range 5 {
			c := fapwstest.OpenSocket(t, address, "/asgi?group", wstest.Deflate)
			fapwstest.Hears(t, c, "joined")
			members = append(members, c)
		}
		members = append(members, fapwstest.OpenSocket(t, s.Address, "/asgi?group"))
		fapwstest.Hears(t, members[5], "joined")
		for i, c := range members {
			text := fmt.Sprintf("from %d, with some text that is worth compressing, compressing, compressing", i)
			c.SendText(text)
			for _, c := range members {
				fapwstest.Hears(t, c, text)
			}
		}
	})
}

func speaksItself(t *testing.T, address string) {
	c := fapwstest.OpenSocket(t, address, "/own")
	fapwstest.Hears(t, c, "hi")
	c.SendText("mine")
	fapwstest.Hears(t, c, "mine")
	fapwstest.Equalf(t, c.Response.Header.Get("X-Own"), "yes", "%v", c.Response.Header)
	closed, err := c.CloseWith(1000, "")
	fapwstest.Truef(t, err == nil && closed.Code == 1000, "%v %v", closed, err)
}

func closesWith(t *testing.T, c *wstest.Client, code int) {
	t.Helper()
	var closed *wstest.Closed
	_, _, err := c.Receive()
	fapwstest.Truef(t, errors.As(err, &closed) && closed.Code == code, "%v, want %d", err, code)
	c.Conn.Close()
}

// An HTTP/2 connection cannot move to a new worker, so a reload closes its WebSockets with 1012.
func TestReloadClosesWebSocketStreamsWith1012(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	s := serve(t, fapwstest.Mode{Flags: []string{"--workers", "1"}}, "sockets.py", "--lifespan", "off", "--access-log",
		log, "--log-flush", "1ms")
	old := s.Workers()
	sockets := []*wstest.Client{fapwstest.OpenSocket(t, bridge(t, s), "/callbacks"),
		fapwstest.OpenSocket(t, bridge(t, s), "/asgi?a")}
	for _, c := range sockets {
		c.SendText("hello")
		fapwstest.Hears(t, c, "hello")
	}
	s.Control("reload")
	for _, c := range sockets {
		closesWith(t, c, 1012)
	}
	s.HasWorkers(1, old...)
	c := fapwstest.OpenSocket(t, bridge(t, s), "/callbacks")
	c.SendText("hello")
	fapwstest.Hears(t, c, "hello")
	s.Signal(15)
	closesWith(t, c, 1001)
	s.EndsWith(0)
	text, err := os.ReadFile(log)
	fapwstest.Truef(t, err == nil && strings.Count(string(text), ` HTTP/2.0" 101 `) == 3, "%s, %v", text, err)
}

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
