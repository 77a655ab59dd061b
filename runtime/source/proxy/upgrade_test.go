package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
	"fapws/runtime/websocket"
)

const (
	key       = "dGhlIHNhbXBsZSBub25jZQ=="
	handshake = "GET /ws?a=%zz HTTP/1.1\r\nHost: outside.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
)

// accepted is the answer of a server to a handshake with that key.
func accepted(key string) string {
	accept := websocket.AcceptKey([]byte(key))
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + string(accept[:]) + "\r\n"
}

// server is one behind: a function has each connection once its request has come.
func server(t *testing.T, serve func(c *net.TCPConn, r *bufio.Reader, request *http.Request)) (url string, connections *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				r := bufio.NewReader(c)
				if request, err := http.ReadRequest(r); err == nil {
					serve(c.(*net.TCPConn), r, request)
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String(), connections
}

// client is a connection to the proxy on which text was sent.
func client(t *testing.T, address, text string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), bufio.NewReader(c)
}

// status reads the head of a response with that status.
func status(t *testing.T, r *bufio.Reader, want int) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != want {
		t.Fatalf("%+v, %v, want %d", response, err, want)
	}
	return response
}

func reads(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v, want %q", got[:n], err, want)
	}
}

// The upstream sees the client as in any request, in addition to what the
// handshake needs; the client sees the response, and then messages pass in both directions.
func TestUpgrade(t *testing.T) {
	seen := make(chan *http.Request, 1)
	url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, request *http.Request) {
		seen <- request
		io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+accepted(key)+
			"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nKeep-Alive: 5\r\nFapws-Channel: news\r\n\r\nfirst")
		io.Copy(c, r)
	})
	address, _ := front(t, "/", proxy.Options{Target: url})
	c, r := client(t, address, handshake+"Sec-WebSocket-Protocol: chat, other\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"+
		"X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Hop: 1\r\nTE: trailers\r\nOrigin: http://outside.example\r\nConnection: x-hop\r\nCookie: c\r\n\r\n")
	response := status(t, r, 101)
	for name, want := range map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol": "chat",
		"Sec-WebSocket-Extensions": "x", "Keep-Alive": "", "Fapws-Channel": "", "Link": "", "Content-Length": "", "Set-Cookie": "a=1,b=2",
	} {
		if got := strings.Join(response.Header.Values(name), ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	reads(t, r, "first")
	request := <-seen
	if request.RequestURI != "/ws?a=%zz" || request.Host != "outside.example" {
		t.Errorf("%s %s", request.RequestURI, request.Host)
	}
	for name, want := range map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "chat, other",
		"Sec-WebSocket-Extensions": "permessage-deflate", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "outside.example",
		"Forwarded": `for=127.0.0.1;proto=http;host="outside.example"`, "X-Hop": "", "Te": "", "Origin": "http://outside.example", "Cookie": "c",
	} {
		if got := strings.Join(request.Header.Values(name), ","); got != want {
			t.Errorf("the server sees %s: %q, want %q", name, got, want)
		}
	}
	for i := range 100 {
		text := strings.Repeat(fmt.Sprintf("%d ", i), 1+i*i)
		go io.WriteString(c, text)
		reads(t, r, text)
	}
	c.CloseWrite()
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// A request that is not a valid handshake is refused here and never reaches the upstream.
func TestUpgradeRefused(t *testing.T) {
	url, connections := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) { io.WriteString(c, accepted(key)+"\r\n") })
	address, _ := front(t, "/", proxy.Options{Target: url})
	for _, test := range []struct{ old, new, want string }{
		{"Version: 13", "Version: 12", "HTTP/1.1 426 "},
		{key, "short", "HTTP/1.1 400 "},
		{"Sec-WebSocket-Key: " + key + "\r\n", "", "HTTP/1.1 400 "},
		{"GET ", "POST ", "HTTP/1.1 400 "},
		{"Upgrade\r\n", "close\r\n", "HTTP/1.1 400 "},
		{"Host: ", "Content-Length: 1\r\nHost: ", "HTTP/1.1 400 "},
	} {
		got := talk(t, address, strings.Replace(handshake, test.old, test.new, 1)+"\r\nGET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n")
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q", test.new, got)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// Bytes behind the handshake are for the server once it has said 101. With any other
// answer they are the next request, as the client asked for one thing or the other.
func TestUpgradeNothingAhead(t *testing.T) {
	const frames = "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
	answer := make(chan string)
	url, connections := server(t, func(c *net.TCPConn, r *bufio.Reader, request *http.Request) {
		if request.URL.Path != "/ws" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
			return
		}
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if early, err := r.ReadByte(); err == nil {
			t.Errorf("%q came before the answer", early)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		text := <-answer
		io.WriteString(c, text)
		if strings.Contains(text, " 101 ") {
			reads(t, r, frames)
			io.WriteString(c, "got it")
		} else if more, err := io.ReadAll(r); len(more) > 0 {
			t.Errorf("%q came behind another answer, %v", more, err)
		}
	})
	address, _ := front(t, "/", proxy.Options{Target: url})

	_, r := client(t, address, handshake+"\r\n"+frames)
	answer <- accepted(key) + "\r\n"
	status(t, r, 101)
	reads(t, r, "got it")

	before := connections.Load()
	_, r = client(t, address, handshake+"\r\n"+frames)
	answer <- "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\nX-Why: version\r\n\r\nno"
	if response := status(t, r, 426); response.Header.Get("X-Why") != "version" {
		t.Errorf("%v", response.Header)
	} else {
		reads(t, response.Body, "no")
	}
	reads(t, status(t, r, 200).Body, "plain")
	if n := connections.Load() - before; n != 2 {
		t.Errorf("%d connections, want one for each", n)
	}
}

// What comes before the answer is bounded: the client is not read meanwhile. All of it
// arrives, and a client that has shut down its side by then has left.
func TestUpgradeMuchAhead(t *testing.T) {
	ahead := strings.Repeat("0123456789abcdef", 256<<10)
	answer := make(chan bool) // true: when the client has left
	url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
		if <-answer {
			io.Copy(io.Discard, r)
		}
		io.WriteString(c, accepted(key)+"\r\n")
		got := make([]byte, len(ahead))
		if n, err := io.ReadFull(r, got); err == nil && string(got) == ahead {
			io.WriteString(c, "all of it")
		} else if n > 0 {
			t.Errorf("%d bytes of %d came, %v", n, len(ahead), err)
		}
	})
	address, _ := front(t, "/", proxy.Options{Target: url})
	c, r := client(t, address, handshake+"\r\n")
	sent := make(chan bool)
	go func() {
		io.WriteString(c, ahead)
		close(sent)
	}()
	select {
	case <-sent:
		t.Log("the kernel holds all of it")
	case <-time.After(100 * time.Millisecond):
	}
	answer <- false
	status(t, r, 101)
	reads(t, r, "all of it")
	<-sent

	c, r = client(t, address, handshake+"\r\n")
	c.CloseWrite()
	answer <- true
	if all, err := io.ReadAll(r); len(all) > 0 || err != nil {
		t.Errorf("%q, %v", all, err)
	}
}

// A connection that was asked for a WebSocket is not used for another request, and
// none that waits for requests is for a WebSocket.
func TestUpgradeHasItsConnection(t *testing.T) {
	url, connections := server(t, func(c *net.TCPConn, r *bufio.Reader, request *http.Request) {
		for err := error(nil); err == nil; request, err = http.ReadRequest(r) {
			if request.URL.Path == "/ws" {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
			} else {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
			}
		}
	})
	address, _ := front(t, "/", proxy.Options{Target: url})
	for i := range 3 {
		_, r := client(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"+handshake+"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
		for _, want := range []string{"plain", "no", "plain"} {
			reads(t, status(t, r, 200).Body, want)
		}
		if n := connections.Load(); n != int64(2+i) {
			t.Errorf("%d connections after %d rounds", n, i+1)
		}
	}
}

// A server that answers nonsense is 502 and a line in the log.
func TestUpgradeHostile(t *testing.T) {
	ok := accepted(key)
	for name, test := range map[string]struct{ answer, want, log string }{
		"no Upgrade":       {strings.Replace(ok, "Upgrade: websocket\r\n", "", 1) + "\r\n", "502", "101 without Upgrade: websocket"},
		"another Upgrade":  {strings.Replace(ok, "websocket", "h2c", 1) + "\r\n", "502", "101 without Upgrade: websocket"},
		"several Upgrades": {strings.Replace(ok, "websocket\r\n", "websocket\r\nUpgrade: h2c\r\n", 1) + "\r\n", "502", "101 without Upgrade: websocket"},
		"no Connection":    {strings.Replace(ok, "Connection: Upgrade\r\n", "", 1) + "\r\n", "502", "101 without Connection: Upgrade"},
		"no Accept":        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "502", "101 without a valid Sec-WebSocket-Accept"},
		"wrong Accept":     {accepted("x3JJHMbDL1EzLkh9GBhXDw==") + "\r\n", "502", "101 without a valid Sec-WebSocket-Accept"},
		"two Accepts":      {ok + "Sec-WebSocket-Accept: x\r\n\r\n", "502", "101 without a valid Sec-WebSocket-Accept"},
		"control":          {ok + "X: a\x01b\r\n\r\n", "502", "malformed MIME"},
		"no http":          {"\x81\x05hello\r\n\r\n", "502", "malformed HTTP"},
		"nothing":          {"", "502", "without a response"},
		"half a head":      {"HTTP/1.1 101 Swi", "502", "without a response"},
		"large head":       {ok + "X: " + strings.Repeat("x", 100<<10), "502", "exceeds 65536 bytes"},
		"interim":          {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 200), "502", "more than 100 responses of 1xx"},
		"hangs":            {"hang", "504", "timeout"},
		"status 99":        {"HTTP/1.1 099 X\r\n\r\n", "502", "status 99"},
		"body of a 101":    {ok + "Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n", "101", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
				if test.answer == "hang" {
					io.Copy(io.Discard, r)
				}
				io.WriteString(c, test.answer)
			})
			timeout := patience
			if test.answer == "hang" {
				timeout = 2 * time.Second
			}
			address, logged := front(t, "/", proxy.Options{Target: url, Timeout: timeout})
			_, r := client(t, address, strings.Replace(handshake, "keep-alive", "close", 1)+"\r\n")
			all, _ := io.ReadAll(r)
			if !strings.HasPrefix(string(all), "HTTP/1.1 "+test.want) || strings.Count(string(all), "HTTP/1.1") != 1 || strings.Contains(string(all), "h2c") {
				t.Errorf("%.300q", all)
			}
			waittest.Eventually(t, test.log+" in the log: "+logged(), func() bool { return strings.Contains(logged(), test.log) })
		})
	}
}

// An answer that is none of WebSockets is passed on as others are, also one without an
// end, of which the client takes as much as it likes.
func TestUpgradeOtherAnswers(t *testing.T) {
	for name, test := range map[string]struct{ answer, want string }{
		"chunked":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"},
		"to the end":     {"HTTP/1.0 403 Forbidden\r\n\r\nnot you", "not you"},
		"redirect":       {"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "Location: /x"},
		"no content":     {"HTTP/1.1 204 No Content\r\n\r\n", "204 No Content"},
		"an Upgrade":     {"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\nok"},
		"without an end": {"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + strings.Repeat("begin", 20_000), "begin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan bool)
			url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
				io.WriteString(c, test.answer)
				if strings.Contains(test.answer, "1000000000") {
					io.Copy(io.Discard, r) // until it is closed, though not all was sent
				}
				close(over)
			})
			address, _ := front(t, "/", proxy.Options{Target: url})
			c, r := client(t, address, strings.Replace(handshake, "keep-alive", "close", 1)+"\r\n")
			var all strings.Builder
			for line := ""; !strings.Contains(all.String(), test.want); all.WriteString(line) {
				b, err := r.ReadByte()
				if line = string(b); err != nil {
					t.Fatalf("%q, %v", all.String(), err)
				}
			}
			c.SetLinger(0)
			c.Close()
			<-over
		})
	}
}
