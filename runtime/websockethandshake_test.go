package runtime

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/source/cache"
	"fapws/runtime/websocket/wstest"
)

// responses reads n answers.
func responses(t *testing.T, r *bufio.Reader, n int) (got []string) {
	t.Helper()
	for range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		if resp.StatusCode == 101 {
			got = append(got, "101")
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		got = append(got, fmt.Sprintf("%d %s", resp.StatusCode, bytes.TrimSpace(body)))
	}
	return got
}

// TestWebSocketRefusals: a bad handshake gets its answer, and the connection goes on.
func TestWebSocketRefusals(t *testing.T) {
	t.Parallel()
	s := serveTalks(t, Config{}, newTalkApp())
	good := wstest.Handshake("/")
	for _, test := range []struct{ from, to, want string }{
		{"Version: 13", "Version: 12", "426 Sec-WebSocket-Version must be 13"},
		{"Sec-WebSocket-Version: 13\r\n", "", "426 Sec-WebSocket-Version must be 13"},
		{"Connection: Upgrade", "Connection: keep-alive", "400 Connection: Upgrade is missing; a proxy may have dropped it"},
		{"GET /", "POST /", "400 a WebSocket needs the method GET"},
		{wstest.Key, "short", "400 Sec-WebSocket-Key is not the base64 of 16 bytes"},
		{"Sec-WebSocket-Key: " + wstest.Key + "\r\n", "", "400 Sec-WebSocket-Key is missing"},
		{"Upgrade: websocket\r\n", "", "200 no WebSocket"},
		{"Upgrade: websocket", "Upgrade: h2c", "200 no WebSocket"},
	} {
		c := s.dial(t)
		io.WriteString(c, strings.Replace(good, test.from, test.to, 1)+"GET / HTTP/1.1\r\nHost: x\r\n\r\n"+good)
		r := bufio.NewReader(c)
		if got := fmt.Sprintf("%q", responses(t, r, 3)); got != fmt.Sprintf("%q", []string{test.want, "200 no WebSocket", "101"}) {
			t.Errorf("%q: %s", test.to, got)
		}
	}
	answer := s.talk(t, strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1))
	if !strings.HasPrefix(answer, "HTTP/1.1 400 ") || !strings.Contains(answer, "a WebSocket needs HTTP/1.1") {
		t.Errorf("HTTP/1.0: %q", answer)
	}
	answer = s.talk(t, strings.Replace(good, "GET", "HEAD", 1)+"GET / HTTP/1.0\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 400 ") || !strings.Contains(answer, "no WebSocket") {
		t.Errorf("HEAD: %q", answer)
	}
	if answer = s.talk(t, strings.Replace(good, "13\r\n", "8\r\nConnection: close\r\n", 1)); !strings.Contains(answer, "\r\nSec-WebSocket-Version: 13\r\n") {
		t.Errorf("another version: %q", answer)
	}
}

// TestWebSocketOrder: a handshake waits for the requests before it, and what is behind it
// for its answer: frames if that is 101, and requests if not.
func TestWebSocketOrder(t *testing.T) {
	t.Parallel()
	a := newTalkApp()
	later := make(chan *talk, 10)
	a.opened = func(one *talk) {
		switch one.path {
		case "/later":
			later <- one
		case "/no":
			one.reply(403, "no")
		default:
			if one.socket {
				one.accept("")
			} else {
				one.reply(200, one.path)
			}
		}
	}
	s := serveTalks(t, Config{}, a)
	c := s.dial(t)
	frame := (&wstest.Client{}).AppendFrame(nil, wstest.Fin|wstest.Text, []byte("early"))
	io.WriteString(c, "GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /1 HTTP/1.1\r\nHost: x\r\n\r\n"+
		wstest.Handshake("/no")+"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"+wstest.Handshake("/later")+string(frame))
	(<-later).reply(200, "later")
	ws := <-later
	if !ws.socket {
		t.Error("the second one asks for no WebSocket")
	}
	time.Sleep(10 * time.Millisecond)
	ws.accept("")
	r := bufio.NewReader(c)
	want := []string{"200 later", "200 /1", "403 no", "200 /2", "101"}
	if got := responses(t, r, 5); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
	client := &wstest.Client{Conn: c, R: r}
	if _, got, err := client.Receive(); err != nil || string(got) != "early" {
		t.Errorf("%q, %v", got, err)
	}
	client.CloseWith(1000, "")
	// All at once, and then the client has no more to say.
	c = s.dial(t)
	io.WriteString(c, wstest.Handshake("/")+string(frame)+string(frame[:3]))
	c.CloseWrite()
	if rest, _ := io.ReadAll(c); !bytes.HasPrefix(rest, []byte("HTTP/1.1 101 ")) {
		t.Errorf("%q", rest)
	}
	eventually(t, "the end", a.idle)
}

// TestWebSocketAnswers: what a handler says when it accepts, or does not.
func TestWebSocketAnswers(t *testing.T) {
	t.Parallel()
	a := newTalkApp()
	a.opened = func(one *talk) {
		switch one.path {
		case "/fields":
			one.part(exchange.Part{Head: exchange.Head{WebSocket: true, Subprotocol: []byte("chat"), Fields: []byte("Set-Cookie: a=b\r\n")}})
		case "/bad":
			one.accept("no token\r\nX: y")
		case "/refusal":
			one.part(exchange.Part{Last: true, Head: exchange.Head{Instead: exchange.Refusal, Status: 401, Reason: []byte("who?")}})
		case "/fails":
			one.part(exchange.Part{Last: true, Failed: true, Head: exchange.Head{Status: 500, Length: 0}})
		case "/nothing": // a part that belongs to no request of this kind
			one.part(exchange.Part{Last: true, Head: exchange.Head{WebSocket: true}})
		default:
			one.accept("")
		}
	}
	rules := mustRules(t, sites.RuleOptions{Set: []exchange.Field{{Name: "X-Frame-Options", Value: "DENY"}}})
	s := serveTalks(t, Config{}, a, sites.Mount{Prefix: "/", WebSocket: true, Rules: rules})
	c, err := wstest.Dial(s.addr, "/fields")
	if err != nil {
		t.Fatal(err)
	}
	if h := c.Response.Header; h.Get("Sec-WebSocket-Protocol") != "chat" || h.Get("Set-Cookie") != "a=b" || h.Get("X-Frame-Options") != "DENY" ||
		h.Get("Date") == "" || h.Get("Content-Length")+h.Get("Transfer-Encoding")+h.Get("Content-Type") != "" {
		t.Error(h)
	}
	c.Conn.Close()
	if c, err = wstest.Dial(s.addr, "/bad"); err != nil || c.Response.Header.Get("X") != "" || c.Response.Header.Get("Sec-WebSocket-Protocol") != "" {
		t.Error(err)
	} else {
		c.Conn.Close()
	}
	if !strings.Contains(s.log.String(), "ignoring the invalid WebSocket subprotocol") {
		t.Errorf("logged %q", s.log)
	}
	for path, status := range map[string]int{"/refusal": 401, "/fails": 500} {
		_, err := wstest.Dial(s.addr, path)
		var denied *wstest.Denied
		if !errors.As(err, &denied) || denied.Response.StatusCode != status {
			t.Errorf("%s: %v", path, err)
		}
	}
	if answer := s.talk(t, "GET /nothing HTTP/1.0\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 500 ") {
		t.Errorf("%q", answer)
	}
	c, err = wstest.Dial(s.addr, "/nothing")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Receive(); !isClosed(err, 1000, "") {
		t.Error(err)
	}
}

// TestWebSocketHandlerEnds: with which codes handlers close.
func TestWebSocketHandlerEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*talk)
		want string
	}{
		{"with a code", func(one *talk) { one.close(4001, "bye"); one.end(false) }, `closed with 4001 "bye"`},
		{"with a code, and nothing more", func(one *talk) { one.close(1001, "") }, `closed with 1001 ""`},
		{"without a code", func(one *talk) { one.close(0, "") }, `closed with 1005 ""`},
		{"with a bad code", func(one *talk) { one.close(1006, "") }, `closed with 1011 ""`},
		{"without a word", func(one *talk) { one.end(false) }, `closed with 1000 ""`},
		{"by failing", func(one *talk) { one.end(true) }, `closed with 1011 ""`},
		{"and says more", func(one *talk) {
			one.close(1000, "")
			one.send(exchange.OpText, []byte("not sent"))
			one.close(1001, "")
			one.end(true)
		}, `closed with 1000 ""`},
		{"with a message", func(one *talk) {
			one.part(exchange.Part{Last: true, Op: exchange.OpText, Body: []byte("last")})
		}, `"last" closed with 1000 ""`},
		{"with a large message", func(one *talk) {
			one.part(exchange.Part{Last: true, Op: exchange.OpBinary, Body: make([]byte, 10<<20)})
		}, `10485760 bytes closed with 1000 ""`},
	} {
		a := newTalkApp()
		a.message = func(one *talk, _ exchange.Op, _ []byte) { test.end(one) }
		a.ends = func(one *talk, code uint16, _ string) {
			a.note(fmt.Sprint("closed ", code))
			one.end(false)
		}
		s := serveTalks(t, Config{}, a)
		c := s.socket(t)
		c.SendText("end")
		got := ""
		for {
			_, message, err := c.Receive()
			if err != nil {
				got += err.Error()
				break
			}
			if len(message) > 100 {
				got += fmt.Sprintf("%d bytes ", len(message))
			} else {
				got += fmt.Sprintf("%q ", message)
			}
		}
		if got != test.want {
			t.Errorf("%s: %s", test.name, got)
		}
		if _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: then %v", test.name, err)
		}
		eventually(t, test.name, a.idle)
		told := a.notes() == "closed 1001" // the client has answered
		if told != (test.name == "with a code, and nothing more") {
			t.Errorf("%s: %s", test.name, a.notes())
		}
	}
}

// TestWebSocketMessagesCrossCloseFrame: what a client sent before it saw that the server stops or
// reloads reaches the handler, which hears of the end behind it.
func TestWebSocketMessagesCrossCloseFrame(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*wstest.Client)
		hold bool // the handler has taken none of it when the client ends
	}{
		{"a close frame", func(c *wstest.Client) { c.CloseWith(1000, "") }, false},
		{"a close frame behind more than the handler may have", func(c *wstest.Client) { c.CloseWith(1000, "") }, true},
		{"no close frame", func(c *wstest.Client) { c.Conn.Close() }, false},
		{"an invalid frame", func(c *wstest.Client) { c.WriteFrame(0x73, nil); c.ReadFrame(); c.Conn.Close() }, false},
	} {
		const messages = 100
		a := newTalkApp()
		a.hold = test.hold
		got, told, last := 0, 0, make(chan uint16, 1)
		a.message = func(one *talk, _ exchange.Op, data []byte) {
			got++
			told += int(exchange.InputCost) + len(data)
			one.send(exchange.OpText, []byte("dropped"))
		}
		a.ends = func(one *talk, code uint16, _ string) {
			one.end(false)
			last <- code
		}
		s := serveTalks(t, Config{}, a)
		c := s.socket(t)
		stopped := make(chan error, 1)
		go func() { stopped <- s.Retire(context.Background(), time.Minute) }()
		if f, err := c.ReadFrame(); err != nil || f.Op() != wstest.Close {
			t.Fatalf("%s: %v %v", test.name, f, err)
		}
		for range messages { // as if they had been on their way
			c.WriteFrame(wstest.Fin|wstest.Text, bytes.Repeat([]byte("x"), 1000))
		}
		if test.hold {
			go func() {
				eventually(t, "the connection is paused", func() (paused bool) {
					s.do(func() { paused = told > exchange.InputWindow })
					return paused
				})
				s.do(func() { // only now the handler takes what it was given
					a.hold = false
					for _, one := range a.talks {
						one.credit(int64(told))
					}
				})
			}()
		}
		test.end(c)
		if code := <-last; code != 1012 || got != messages {
			t.Errorf("%s: the handler got %d messages of %d, then %d", test.name, got, messages, code)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
}

// TestWebSocketOpensWhileServerStops: a handshake that was accepted just before gets its 101,
// and then its end.
func TestWebSocketOpensWhileServerStops(t *testing.T) {
	t.Parallel()
	a := newTalkApp()
	opened := make(chan *talk, 1)
	a.opened = func(one *talk) { opened <- one }
	s := serveTalks(t, Config{}, a)
	conn := s.dial(t)
	io.WriteString(conn, wstest.Handshake("/"))
	one := <-opened
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	eventually(t, "draining", func() (d bool) { s.do(func() { d = s.loop.sites.Draining() }); return d })
	one.accept("")
	c, err := wstest.Answered(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Receive(); !isClosed(err, 1001, "") {
		t.Error(err)
	}
	conn.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestWebSocketsAreNotForOthers: handlers that take no messages are asked as ever, the server
// itself gets no WebSocket, and answers are not kept.
func TestWebSocketsAreNotForOthers(t *testing.T) {
	t.Parallel()
	plain := newApp(true, demo)
	s := serve(t, Config{}, plain, sites.Mount{Prefix: "/", WebSocket: true})
	if answer := s.talk(t, strings.Replace(wstest.Handshake("/a"), "Connection: ", "Connection: close, ", 1)); !strings.HasPrefix(answer, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("%q", answer)
	}

	a := newTalkApp()
	rule, err := cache.Compile(cache.Rule{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ts := serveTalks(t, Config{CacheSize: 1 << 20}, a, sites.Mount{Prefix: "/", WebSocket: true, Cache: rule})
	inner := ts.subrequests(exchange.Origin{})
	defer inner.Close()
	fields := "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + wstest.Key + "\r\n"
	if got, err := inner.Ask(context.Background(), "/", []byte(fields)); err != nil || got.Status != 200 {
		t.Errorf("%+v, %v", got, err)
	}
	for range 2 {
		c, err := wstest.Dial(ts.addr, "/kept")
		if err != nil {
			t.Fatal(err)
		}
		c.SendText("a")
		if _, got, err := c.Receive(); err != nil || string(got) != "a" {
			t.Error(got, err)
		}
		c.Conn.Close()
	}
}
