package runtime

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

const upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"

// detaching is a mount whose requests for a WebSocket come with the descriptor.
var detaching = sites.Mount{Prefix: "/", DetachSocket: true}

// socketOf makes the descriptor that the application was given a connection, nil if
// there is none.
func socketOf(c *call) net.Conn {
	if c.Socket == 0 {
		return nil
	}
	f := os.NewFile(uintptr(c.Socket), "socket")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		panic(err)
	}
	return conn
}

// shout is an application that answers each line on the socket in capitals.
func shout(c *call) {
	conn := socketOf(c)
	if conn == nil {
		c.reply(200, "no socket for "+c.Path)
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != "quit"; {
		io.WriteString(conn, strings.ToUpper(lines.Text())+"\n")
	}
	io.WriteString(conn, "bye\n")
	c.part(exchange.Part{Last: true, Taken: true, File: -1, Head: exchange.Head{Status: 200, Length: 4}, Body: []byte("text")})
}

// Only requests for a WebSocket are asked about it.
func TestRawSocketIsForWebSockets(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(false, shout), sites.Mount{Prefix: "/plain"}, detaching)
	for _, test := range []struct{ name, request, want string }{
		{"no Upgrade", "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\n\r\n", "200:no socket for /ws"},
		{"no Connection", "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n", "200:no socket for /ws"},
		{"another protocol", "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\nUpgrade: h2c\r\n\r\n", "200:no socket for /ws"},
		{"another method", "POST /ws HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n", "200:no socket for /ws"},
		{"a body", "GET /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\nx", "200:no socket for /ws"},
		{"HTTP/1.0", "GET /ws HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "200:no socket for /ws"},
		{"another mount", strings.Replace(upgrade, "/ws", "/plain", 1) + "GET /plain HTTP/1.0\r\n\r\n", "200:no socket for  200:no socket for "},
		{"frames before the answer", upgrade + "\x81\x80", "400:data before the WebSocket was accepted\n"},
	} {
		if got := bodies(t, s.talk(t, test.request)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// An application that does not want the socket answers as always, and the
// connection goes on.
func TestRawSocketDeclined(t *testing.T) {
	t.Parallel()
	a := newApp(false, func(c *call) {
		if conn := socketOf(c); conn != nil {
			conn.Close()
		}
		c.reply(403, "not here")
	})
	s := serve(t, Config{}, a, detaching)
	c := s.dial(t)
	c.SetNoDelay(true)
	r := bufio.NewReader(c)
	for range 3 {
		io.WriteString(c, upgrade)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(resp.Body); string(text) != "not here" || resp.StatusCode != 403 {
			t.Errorf("%d %q", resp.StatusCode, text)
		}
	}
	io.WriteString(c, lastRequest)
	all, err := io.ReadAll(r)
	if got := bodies(t, string(all)); err != nil || got != "403:not here" {
		t.Errorf("%q, %v", got, err)
	}
	eventually(t, "all released", a.idle)
}

// One that waits behind others gets its turn.
func TestRawSocketPipelined(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(false, func(c *call) {
		if c.Path == "/slow" {
			time.Sleep(20 * time.Millisecond)
		}
		shout(c)
	}), detaching)
	c := s.dial(t)
	r := bufio.NewReader(c)
	io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"+upgrade)
	for _, want := range []int{200, 101} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != want {
			t.Fatal(resp, err)
		}
		if want == 200 {
			io.Copy(io.Discard, resp.Body)
		}
	}
	io.WriteString(c, "quit\n")
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "bye\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

// The exchange of a client that leaves is cancelled, although the loop does not
// read, and so is that of one whose server stops; the application's descriptor
// shows it.
func TestRawSocketEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*testServer, *net.TCPConn)
	}{
		{"FIN", func(s *testServer, c *net.TCPConn) { c.CloseWrite() }},
		{"RST", func(s *testServer, c *net.TCPConn) { c.SetLinger(0); c.Close() }},
		{"stop", func(s *testServer, c *net.TCPConn) { s.do(s.loop.closeAll) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan bool, 1)
			a := newApp(false, func(c *call) {
				conn := socketOf(c)
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
				sent <- true
				<-c.gone
				if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
					t.Errorf("the connection goes on: %d, %v", n, err)
				}
				conn.Close()
				c.part(exchange.Part{Last: true, Taken: true, File: -1, Head: exchange.Head{Status: 200}})
			})
			s := serve(t, Config{Timeout: time.Hour}, a, detaching)
			c := s.dial(t)
			io.WriteString(c, upgrade)
			<-sent
			test.end(s, c)
			eventually(t, "all released", a.idle)
			eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
		})
	}
}

// Config.Timeout does not end a conversation.
func TestRawSocketIsNotOverdue(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Timeout: time.Minute}, newApp(false, shout), detaching)
	c := s.dial(t)
	io.WriteString(c, upgrade)
	const switched = "HTTP/1.1 101 Switching Protocols\r\n\r\n"
	head := make([]byte, len(switched))
	if _, err := io.ReadFull(c, head); err != nil || string(head) != switched {
		t.Fatalf("%q, %v", head, err)
	}
	s.lookLater()
	io.WriteString(c, "hello\nquit\n")
	if all, err := io.ReadAll(c); err != nil || string(all) != "HELLO\nbye\n" {
		t.Errorf("%q, %v", all, err)
	}
}
