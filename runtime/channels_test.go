package runtime

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"fapws/runtime/channel"
	"fapws/runtime/exchange"
)

// listening is an application whose /listen/a,b answers with channels a and b; all
// else is demo. The body of the request is sent first. /listen404/a is an error.
func listening(c *call) {
	status := 200
	path := c.Path
	if rest, ok := strings.CutPrefix(path, "/listen404/"); ok {
		path, status = "/listen/"+rest, 404
	}
	names, ok := strings.CutPrefix(path, "/listen/")
	if !ok {
		demo(c)
		return
	}
	c.part(exchange.Part{Last: true, File: -1, Body: []byte(c.Body), Head: exchange.Head{
		Status: status, Length: -1, Channel: []byte(names), Request: []byte(c.Head),
		Fields: []byte("X-Mine: yes\r\nContent-Type: text/plain\r\n"),
	}})
}

// stream is a listener as a client has it.
type stream struct {
	t    testing.TB
	conn net.Conn
	head string
	r    *bufio.Reader // of the body, without its framing
}

// listenTo opens a stream. more are header fields, each with CRLF.
func (s *testServer) listenTo(t testing.TB, names, more string) *stream {
	t.Helper()
	return s.listenAs(t, "GET /listen/"+names+" HTTP/1.1\r\nHost: x\r\n"+more+"\r\n")
}

func (s *testServer) listenAs(t testing.TB, request string) *stream {
	t.Helper()
	c := s.dial(t)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	st := &stream{t: t, conn: c}
	raw := bufio.NewReader(c)
	for !strings.HasSuffix(st.head, "\r\n\r\n") {
		line, err := raw.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, st.head)
		}
		st.head += line
	}
	st.r = raw
	if strings.Contains(st.head, "Transfer-Encoding: chunked\r\n") {
		st.r = bufio.NewReader(httputil.NewChunkedReader(raw))
	}
	return st
}

// block reads up to an empty line, and returns it without that.
func (s *stream) block() (string, error) {
	var text string
	for {
		line, err := s.r.ReadString('\n')
		text += line
		if err != nil {
			return text, err
		}
		if line == "\n" {
			return strings.TrimSuffix(text, "\n"), nil
		}
	}
}

// expect reads one block.
func (s *stream) expect(want string) {
	s.t.Helper()
	if got, err := s.block(); err != nil || got != want {
		s.t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func (s *testServer) publish(t testing.TB, name, data string) string {
	t.Helper()
	seq, err := s.Server.Publish(&channel.Message{Name: name, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return channel.MakeID("e", seq)
}

func (s *testServer) listeners(name string) (n int) {
	s.do(func() {
		if c := s.loop.channels.hub.Of(name); c != nil {
			for _, p := range c.Listeners {
				if p.state != listenerJoining {
					n++
				}
			}
		}
	})
	return n
}

func (s *testServer) awaitListeners(t testing.TB, name string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d listeners of %s", n, name), func() bool { return s.listeners(name) == n })
}

func channelConfig() Config { return Config{Channels: ChannelConfig{Epoch: "e"}} }

func TestListener(t *testing.T) {
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, listening)
		s := serve(t, channelConfig(), a)
		l := s.listenAs(t, "POST /listen/news HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\ndata: first\n\n")
		for _, want := range []string{
			"HTTP/1.1 200 OK\r\n", "Content-Type: text/event-stream\r\n", "Cache-Control: no-store\r\n", "X-Accel-Buffering: no\r\n",
			"Transfer-Encoding: chunked\r\n", "X-Mine: yes\r\n",
		} {
			if !strings.Contains(l.head, want) {
				t.Errorf("no %q in %q", want, l.head)
			}
		}
		if strings.Contains(l.head, "text/plain") || strings.Contains(strings.ToLower(l.head), "fapws-channel") {
			t.Errorf("%q", l.head)
		}
		l.expect("retry: 3000\n")
		l.expect("data: first\n")
		s.awaitListeners(t, "news", 1)
		old := s.listenAs(t, "GET /listen/news HTTP/1.0\r\n\r\n")
		if strings.Contains(old.head, "chunked") {
			t.Errorf("HTTP/1.0 gets %q", old.head)
		}
		old.expect("retry: 3000\n")
		s.awaitListeners(t, "news", 2)
		id := s.publish(t, "news", "hello")
		s.publish(t, "other", "not for them")
		for _, l := range []*stream{l, old} {
			l.expect("id: " + id + "\ndata: hello\n")
		}
		if !a.idle() {
			t.Error("the handler still has something")
		}
		if err := old.conn.Close(); err != nil {
			t.Error(err)
		}
		s.awaitListeners(t, "news", 1)
		l.conn.(*net.TCPConn).CloseWrite()
		s.awaitListeners(t, "news", 0)
		if rest, err := io.ReadAll(l.conn); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		eventually(t, "all connections are gone", func() bool { return s.loop.live.Load() == 0 })
	})
}

func TestReplay(t *testing.T) {
	s := serve(t, channelConfig(), newApp(false, listening))
	ids := map[string]string{}
	for _, one := range []string{"a1", "b1", "a2", "c1", "b2", "a3"} {
		ids[one] = s.publish(t, one[:1], one)
	}
	if _, err := s.Server.Publish(&channel.Message{Name: "b", Data: "b3", ID: "own", Event: "x"}); err != nil {
		t.Fatal(err)
	}
	ids["a4"] = s.publish(t, "a", "a4")
	event := func(one string) string {
		if one == "b3" {
			return "id: own\nevent: x\ndata: b3\n"
		}
		return "id: " + ids[one] + "\ndata: " + one + "\n"
	}
	for _, test := range []struct{ names, field, want string }{
		{"a,b", "", ""},
		{"a,b", "Last-Event-ID: " + ids["a2"] + "\r\n", "b2 a3 b3 a4"},
		{"b", "Last-Event-ID: " + ids["a2"] + "\r\n", "b2 b3"},
		{"a,b", "last-event-id: own\r\n", "a4"},
		{"a", "Last-Event-ID: own\r\n", "a1 a2 a3 a4"}, // not one of a
		{"a,b,c", "Last-Event-ID: other-3\r\n", "a1 b1 a2 c1 b2 a3 b3 a4"},
		{"a", "Last-Event-ID: " + ids["a4"] + "\r\n", ""},
		{"a", "Last-Event-ID: \r\n", "a1 a2 a3 a4"},
		{"none", "Last-Event-ID: x\r\n", ""},
	} {
		l := s.listenTo(t, test.names, test.field)
		l.expect("retry: 3000\n")
		for _, one := range strings.Fields(test.want) {
			l.expect(event(one))
		}
		name := test.names[strings.LastIndex(test.names, ",")+1:]
		s.awaitListeners(t, name, 1)
		s.do(func() { s.loop.channels.send(only(s, name), []*channel.Event{channel.NewText(": end\n\n")}) })
		l.expect(": end\n")
		l.conn.Close()
		s.awaitListeners(t, name, 0)
	}
}

// only returns the one listener of a channel. On the loop.
func only(s *testServer, name string) *listener { return s.loop.channels.hub.Of(name).Listeners[0] }

func TestListenersEndWithTheServer(t *testing.T) {
	s := serve(t, channelConfig(), newApp(false, listening))
	l := s.listenTo(t, "news", "")
	l.expect("retry: 3000\n")
	s.awaitListeners(t, "news", 1)
	s.publish(t, "news", "last")
	begin := time.Now()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	l.expect("id: e-1\ndata: last\n")
	if rest, err := io.ReadAll(l.r); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v, not the last chunk", rest, err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Error(took)
	}
}
