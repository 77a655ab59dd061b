package runtime

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"os"
	"strings"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/source/cache"
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

// A client that joins after an event was published does not get it, though the loop hears of both
// at once.
func TestJoinAfterPublish(t *testing.T) {
	t.Parallel()
	s := serve(t, channelConfig(), newApp(true, listening))
	c := s.dial(t)
	io.WriteString(c, "GET /0 HTTP/1.1\r\nHost: x\r\n\r\n")
	readBody(t, c)
	hold, held := make(chan struct{}), make(chan struct{})
	go s.do(func() { close(held); <-hold })
	<-held
	s.publish(t, "a", "before")
	io.WriteString(c, "GET /listen/a HTTP/1.0\r\nHost: x\r\n\r\n")
	close(hold)
	s.awaitSubscribers(t, "a", 1)
	s.publish(t, "a", "after")
	lines := bufio.NewScanner(c)
	for lines.Scan() && lines.Text() != "data: after" {
		if lines.Text() == "data: before" {
			t.Error("it got what was published before")
		}
	}
	if lines.Text() != "data: after" {
		t.Error("it did not get what was published after it had joined")
	}
}

// stream is a subscriber as a client has it.
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
	return listenOver(t, s.dial(t), request)
}

// listenOver opens a stream on a connection.
func listenOver(t testing.TB, c net.Conn, request string) *stream {
	t.Helper()
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
	seq, err := s.Subscribers().Publish(0, &live.Message{Name: name, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return live.MakeID("e", seq)
}

func (s *testServer) subscribers(name string) (n int) {
	s.do(func() { n = s.loop.subscribers.Streams(name) })
	return n
}

func (s *testServer) awaitSubscribers(t testing.TB, name string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d subscribers of %s", n, name), func() bool { return s.subscribers(name) == n })
}

func channelConfig() Config { return Config{Channels: live.StreamConfig{Epoch: "e"}} }

// TestReplay: a client that comes back gets the events that it has missed.
func TestReplay(t *testing.T) {
	t.Parallel()
	ids := map[string]string{}
	event := func(one string) string {
		if one == "b3" {
			return "id: own\nevent: x\ndata: b3\n"
		}
		return "id: " + ids[one] + "\ndata: " + one + "\n"
	}
	begin := func(t *testing.T) *testServer {
		s := serve(t, channelConfig(), newApp(false, listening))
		for _, one := range []string{"a1", "b1", "a2", "c1", "b2", "a3"} {
			ids[one] = s.publish(t, one[:1], one)
		}
		if _, err := s.Subscribers().Publish(0, &live.Message{Name: "b", Data: "b3", ID: "own", Event: "x"}); err != nil {
			t.Fatal(err)
		}
		ids["a4"] = s.publish(t, "a", "a4")
		return s
	}
	begin(t) // all servers give the same ids
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
		s := begin(t)
		l := s.listenTo(t, test.names, test.field)
		l.expect("retry: 3000\n")
		for _, one := range strings.Fields(test.want) {
			l.expect(event(one))
		}
		name := test.names[strings.LastIndex(test.names, ",")+1:]
		l.expect("id: " + s.publish(t, name, "end") + "\ndata: end\n")
	}
}

// TestSubscriberBehindABody: what a handler says that knows nothing of events does not
// become a part of the first one.
func TestSubscriberBehindABody(t *testing.T) {
	t.Parallel()
	s := serve(t, channelConfig(), newApp(false, listening))
	for _, version := range []string{"1.0", "1.1"} {
		for body, want := range map[string][]string{
			"":                 nil,
			"{}":               {"{}\n"},
			"null\n":           {"null\n", ""},
			"data: x\n\n":      {"data: x\n"},
			"data: x\n\n: y\n": {"data: x\n", ": y\n", ""},
		} {
			l := s.listenAs(t, fmt.Sprintf("POST /listen/news HTTP/%s\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", version, len(body), body))
			l.expect("retry: 3000\n")
			for _, block := range want {
				l.expect(block)
			}
			s.awaitSubscribers(t, "news", 1)
			l.expect("id: " + s.publish(t, "news", "hello") + "\ndata: hello\n")
			l.conn.Close()
			s.awaitSubscribers(t, "news", 0)
		}
	}
}

// Events published while the handler runs come after those that it returns,
// however much that is.
func TestSubscriberJoinsEarly(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		begun, goOn := make(chan struct{}, 1), make(chan struct{})
		first := strings.Repeat(": "+strings.Repeat("x", 998)+"\n\n", 2000)
		s := serve(t, channelConfig(), newApp(inline, func(c *call) {
			c.part(exchange.Part{File: -1, Body: []byte(first), Head: exchange.Head{
				Status: 200, Length: -1, Channel: []byte("news"), Request: []byte(c.Head),
			}})
			begun <- struct{}{}
			if !inline {
				<-goOn
			}
			c.part(exchange.Part{Last: true, File: -1, Body: []byte("data: own\n\n")})
		}))
		l := s.listenTo(t, "x", "")
		<-begun
		eventually(t, "it has joined", func() bool { return s.Subscribers().Counts()["news"] == 1 })
		s.publish(t, "news", "early")
		close(goOn)
		l.expect("retry: 3000\n")
		for range 2000 {
			if text, err := l.block(); err != nil || len(text) != 1001 {
				t.Fatalf("%.50q, %v", text, err)
			}
		}
		l.expect("data: own\n")
		l.expect("id: e-1\ndata: early\n")
	})
}

// A client that subscribes before it has the answer to an earlier request gets that first, and then each event since it has joined.
func TestSubscriberBehindAnotherRequest(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	s := serve(t, channelConfig(), newApp(false, func(c *call) {
		if c.Path == "/slow" {
			<-goOn
			c.reply(200, "slow")
			return
		}
		listening(c)
	}))
	c := s.dial(t)
	io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /listen/news HTTP/1.0\r\nHost: x\r\n\r\n")
	eventually(t, "it has joined", func() bool { return s.Subscribers().Counts()["news"] == 1 })
	s.publish(t, "news", "early")
	close(goOn)
	s.awaitSubscribers(t, "news", 1)
	s.publish(t, "news", "late")
	var all strings.Builder
	for lines := bufio.NewScanner(io.TeeReader(c, &all)); lines.Scan() && lines.Text() != "data: late"; {
	}
	got := strings.TrimRight(strings.ReplaceAll(all.String(), "\r\n", "\n"), "\n")
	if first, stream, _ := strings.Cut(got, "slow"); !strings.HasPrefix(first, "HTTP/1.1 200 OK\n") || !strings.HasSuffix(stream, "\n\nretry: 3000\n\nid: e-1\ndata: early\n\nid: e-2\ndata: late") {
		t.Errorf("%q", got)
	}
}

// A client that leaves before the handler has ended is forgotten.
func TestSubscriberLeavesEarly(t *testing.T) {
	t.Parallel()
	begun := make(chan *call, 1)
	s := serve(t, channelConfig(), newApp(false, func(c *call) {
		c.part(exchange.Part{File: -1, Head: exchange.Head{Status: 200, Length: -1, Channel: []byte("news"), Request: []byte(c.Head)}})
		begun <- c
	}))
	l := s.listenTo(t, "x", "")
	c := <-begun
	l.conn.Close()
	<-c.gone
	eventually(t, "it has left", func() bool { return len(s.Subscribers().Counts()) == 0 && s.loop.live.Load() == 0 })
	c.part(exchange.Part{Last: true, File: -1})
	eventually(t, "the handler has ended", c.app.idle)
}

// A handler that fails breaks the stream off.
func TestSubscriberOfAFailedHandler(t *testing.T) {
	t.Parallel()
	s := serve(t, channelConfig(), newApp(false, func(c *call) {
		c.part(exchange.Part{File: -1, Body: []byte(":\n\n"), Head: exchange.Head{Status: 200, Length: -1, Channel: []byte("news"), Request: []byte(c.Head)}})
		c.part(exchange.Part{Last: true, Failed: true, File: -1})
	}))
	l := s.listenTo(t, "x", "")
	l.expect("retry: 3000\n")
	l.expect(":\n")
	if rest, err := l.block(); err == nil || err == io.EOF {
		t.Errorf("%q, %v", rest, err)
	}
	if len(s.Subscribers().Counts()) != 0 {
		t.Error("it still listens")
	}
}

// Streams are never pages of the cache, nor does anybody wait for one.
func TestSubscribersAreNotCached(t *testing.T) {
	t.Parallel()
	s, _ := cachedServer(t, channelConfig(), cache.Rule{TTL: time.Minute}, false, listening)
	var all []*stream
	for range 3 {
		l := s.listenTo(t, "news", "")
		l.expect("retry: 3000\n")
		all = append(all, l)
	}
	s.awaitSubscribers(t, "news", 3)
	id := s.publish(t, "news", "x")
	for _, l := range all {
		l.expect("id: " + id + "\ndata: x\n")
	}
}

// A subscriber has one line in the access log, when it has ended, also if it was handed
// over meanwhile.
func TestSubscriberLog(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/access.log"
	log, close := openLog(t, path, `%r %>s %b %{X-Mine}i`)
	defer close()
	cfg := channelConfig()
	cfg.Sites.AccessLog, cfg.Channels.HandOver = log, true
	s, next := serve(t, cfg, newApp(false, listening)), serve(t, cfg, newApp(false, listening))
	stays, moves := s.listenTo(t, "news", "X-Mine: a\r\n"), s.listenTo(t, "news", "X-Mine: b\r\n")
	s.awaitSubscribers(t, "news", 2)
	s.publish(t, "news", "x")
	for _, l := range []*stream{stays, moves} {
		l.expect("retry: 3000\n")
		l.expect("id: e-1\ndata: x\n")
	}
	stays.conn.Close()
	s.awaitSubscribers(t, "news", 1)
	if n := pass(t, s, next); n != 1 {
		t.Fatalf("%d were handed over", n)
	}
	if _, err := next.Subscribers().Publish(2, &live.Message{Name: "news", Data: "y"}); err != nil {
		t.Fatal(err)
	}
	moves.expect("id: e-2\ndata: y\n")
	moves.conn.Close()
	next.awaitSubscribers(t, "news", 0)
	one := len("retry: 3000\n\nid: e-1\ndata: x\n\n")
	want := fmt.Sprintf("GET /listen/news HTTP/1.1 200 %d a\nGET /listen/news HTTP/1.1 200 %d b\n", one, one+len("id: e-2\ndata: y\n\n"))
	eventually(t, "two lines", func() bool {
		text, _ := os.ReadFile(path)
		return strings.Count(string(text), "\n") == 2
	})
	if text, _ := os.ReadFile(path); string(text) != want {
		t.Errorf("%q, want %q", text, want)
	}
}

func TestSubscriberOnAUnixSocket(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.PerAddress = 1 // there is none to count
	cfg.Channels.HandOver = true
	s, next := serve(t, cfg, newApp(false, listening)), serve(t, cfg, newApp(false, listening))
	path := t.TempDir() + "/s"
	ln, err := conn.Listen("unix:"+path, conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	s.Accept(ln)
	var all []net.Conn
	for range 3 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET /listen/news HTTP/1.0\r\n\r\n")
		all = append(all, c)
	}
	s.awaitSubscribers(t, "news", 3)
	s.publish(t, "news", "x")
	if n := pass(t, s, next); n != 3 {
		t.Errorf("%d were handed over", n)
	}
	for _, s := range []*testServer{s, next} {
		if _, err := s.Subscribers().Publish(2, &live.Message{Name: "news", Data: "y"}); err != nil {
			t.Error(err)
		}
	}
	for _, c := range all {
		got, buf := "", make([]byte, 4096)
		for !strings.HasSuffix(got, "\r\n\r\nretry: 3000\n\nid: e-1\ndata: x\n\nid: e-2\ndata: y\n\n") {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("%v after %q", err, got)
			}
			got += string(buf[:n])
		}
	}
}
