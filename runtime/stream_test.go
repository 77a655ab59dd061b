package runtime

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"fapws/runtime/sites"
)

// streams is a mount that takes bodies in pieces.
var streams = sites.Mount{Prefix: "/", Streams: true}

const (
	postChunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	lastRequest = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)

func postSized(n int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", n)
}

// gatherBody is an application that answers with the body it was given in pieces.
func gatherBody(c *call) {
	body, err := c.all()
	if err != nil {
		c.end(true)
		return
	}
	c.reply(200, c.Method+c.Path+":"+body)
}

// write sends text in steps of n bytes, 0: at once.
func write(t testing.TB, c io.Writer, text string, n int) {
	if n == 0 {
		n = len(text)
	}
	for len(text) > 0 {
		k := min(n, len(text))
		if _, err := io.WriteString(c, text[:k]); err != nil {
			t.Error(err)
			return
		}
		text = text[k:]
	}
}

// However a body is framed and cut into packets, the application gets it in order,
// and the requests around it theirs.
func TestStreamedBodies(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0123456789", 100)
	request := postSized(1000) + digits +
		postChunked + chunked(digits, 7) +
		postChunked + chunked("", 1) +
		"POST /big HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(strings.Repeat(digits, 200), 70000) +
		postSized(0) +
		"POST /trailers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;name=value\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n" +
		lastRequest
	want := "200:POST/:" + digits + " 200:POST/:" + digits + " 200:POST/: 200:POST/big:" + strings.Repeat(digits, 200) +
		" 200:POST/: 200:POST/trailers:hello 200:GET/last:"
	for _, step := range []int{0, 1, 7, 50, 4096} {
		text := request
		if step == 1 || step == 7 { // that many packets take their time
			text = strings.Replace(request, chunked(strings.Repeat(digits, 200), 70000), chunked(digits, 300), 1)
		}
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			t.Parallel()
			a := newApp(false, gatherBody)
			s := serve(t, Config{}, a, streams)
			c := s.dial(t)
			c.SetNoDelay(true)
			go write(t, c, text, step)
			all, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			expected := want
			if text != request {
				expected = strings.Replace(want, strings.Repeat(digits, 200), digits, 1)
			}
			if got := bodies(t, string(all)); got != expected {
				t.Errorf("got %d bytes %.300q, want %d %.300q", len(got), got, len(expected), expected)
			}
			eventually(t, "all released", a.idle)
		})
	}
}

// What is here already is handed over whole, other requests at once.
func TestStreamedAtOnce(t *testing.T) {
	t.Parallel()
	calls := make(chan *call, 1)
	a := newApp(false, func(c *call) {
		calls <- c
		gatherBody(c)
	})
	s := serve(t, Config{}, a, streams)
	for _, test := range []struct {
		name, sent, rest string
		more             bool
		size             int64
		body             string
	}{
		{"sized", postSized(5) + "hello", "", false, 5, "hello"},
		{"chunked", postChunked + "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "", false, 5, "hello"},
		{"sized, half", postSized(5) + "he", "llo", true, 5, "he"},
		{"sized, head", postSized(5), "hello", true, 5, ""},
		{"chunked, half", postChunked + "2\r\nhe\r\n3\r\nl", "lo\r\n0\r\n\r\n", true, -1, "hel"},
		{"chunked, all but the end", postChunked + "5\r\nhello\r\n0\r\n", "\r\n", true, -1, "hello"},
		{"chunked, head", postChunked, "5\r\nhello\r\n0\r\n\r\n", true, -1, ""},
	} {
		c := s.dial(t)
		c.SetNoDelay(true)
		io.WriteString(c, test.sent)
		got := <-calls
		if got.Body != test.body || got.Size != test.size {
			t.Errorf("%s: body %q, size %d", test.name, got.Body, got.Size)
		}
		a.mu.Lock()
		if got.More != test.more {
			t.Errorf("%s: more: %v", test.name, got.More)
		}
		a.mu.Unlock()
		io.WriteString(c, test.rest+lastRequest)
		<-calls
		all, err := io.ReadAll(c)
		if text := bodies(t, string(all)); err != nil || text != "200:POST/:hello 200:GET/last:" {
			t.Errorf("%s: %q, %v", test.name, text, err)
		}
	}
	eventually(t, "all released", a.idle)
}

// A response of HTTP/1.0, which ends with the connection, is seen to be cut off.
func TestStreamCutOff10(t *testing.T) {
	t.Parallel()
	inItsTime(t, func(timeout time.Duration) (wrong string) {
		a := newApp(false, func(c *call) {
			c.send("begun")
			c.all()
			c.end(true)
		})
		s := serve(t, Config{Sites: sites.Config{BodyTimeout: timeout}}, a, streams)
		c := s.dial(t)
		io.WriteString(c, "POST / HTTP/1.0\r\nContent-Length: 10\r\n\r\nhello")
		if all, err := io.ReadAll(c); err == nil {
			return fmt.Sprintf("it looks whole: %q", all)
		}
		eventually(t, "all released", a.idle)
		return ""
	})
}

func TestStream10(t *testing.T) {
	t.Parallel()
	a := newApp(false, gatherBody)
	s := serve(t, Config{}, a, streams)
	c := s.dial(t)
	io.WriteString(c, "POST / HTTP/1.0\r\nContent-Length: 10\r\n\r\nhello")
	eventually(t, "it is submitted", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.calls) == 1 })
	io.WriteString(c, "world"+lastRequest) // which HTTP/1.0 without keep-alive does not allow
	all, err := io.ReadAll(c)
	if got := bodies(t, string(all)); err != nil || got != "200:POST/:helloworld" {
		t.Errorf("%q, %v", got, err)
	}
}

// stopped returns how many connections wait for credit.
func (s *testServer) stopped() (n int) {
	s.do(func() {
		for _, c := range s.loop.all() {
			if c.Paused() {
				n++
			}
		}
	})
	return n
}

// A request that the handler does not take is answered, and its body not wanted.
func TestStreamQueueFull(t *testing.T) {
	t.Parallel()
	a := newApp(false, gatherBody)
	a.limit = 1
	s := serve(t, Config{}, a, streams)
	first, second := s.dial(t), s.dial(t)
	io.WriteString(first, postSized(5)+"he")
	eventually(t, "the first is in flight", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.calls) == 1 })
	io.WriteString(second, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	all, _ := io.ReadAll(second)
	if got := bodies(t, string(all)); got != "503:Service Unavailable\n" || !strings.Contains(string(all), "Retry-After: 1\r\n") {
		t.Errorf("%q", all)
	}
	io.WriteString(first, "llo"+lastRequest)
	all, _ = io.ReadAll(first)
	if got := bodies(t, string(all)); got != "200:POST/:hello 200:GET/last:" {
		t.Errorf("%q", got)
	}
}

// A client that pauses or trickles is told, or cut off.
func TestStreamTimeouts(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		t.Run(fmt.Sprint(begun), func(t *testing.T) {
			t.Parallel()
			inItsTime(t, func(timeout time.Duration) (wrong string) {
				a := newApp(false, func(c *call) {
					if begun {
						c.send("begun")
					}
					c.all()
					c.end(true)
				})
				s := serve(t, Config{Sites: sites.Config{BodyTimeout: timeout}}, a, streams)
				got := s.talk(t, postSized(10)+"hello")
				if begun && !strings.HasSuffix(got, "\r\n\r\n5\r\nbegun\r\n") || !begun && bodies(t, got) != "408:timed out waiting for the request body\n" {
					return fmt.Sprintf("%q", got)
				}
				eventually(t, "all released", a.idle)
				return ""
			})
		})
	}
}

// Config.Timeout is for the handler: what it waits for the client does not count,
// but when it has all it needs, it does.
func TestStreamOverdue(t *testing.T) {
	t.Parallel()
	a := newApp(false, func(c *call) {
		if c.Query == "hangs" {
			<-c.gone
		}
		c.all()
		c.reply(200, "done")
	})
	s := serve(t, Config{Timeout: time.Minute}, a, streams)
	c := s.dial(t)
	io.WriteString(c, postSized(10)+"hello")
	eventually(t, "it is in flight", func() bool { return len(a.inFlight()) == 1 })
	s.lookLater()
	io.WriteString(c, "world")
	const answer = "HTTP/1.1 200"
	buf := make([]byte, len(answer))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != answer {
		t.Errorf("%q, %v", buf, err)
	}
	c = s.dial(t)
	go io.WriteString(c, "POST /?hangs HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"+strings.Repeat("x", 5000000))
	eventually(t, "it takes no more", func() bool { return s.stopped() == 1 })
	s.lookLater()
	all, _ := io.ReadAll(c)
	if got := bodies(t, string(all)); got != "504:Gateway Timeout\n" {
		t.Errorf("%q", got)
	}
	eventually(t, "all released", a.idle)
}

// What a rewrite, a proxy and a root path say holds for a request that is
// submitted before it is whole.
func TestStreamRouting(t *testing.T) {
	t.Parallel()
	got := make(chan *call, 1)
	a := newApp(false, func(c *call) {
		got <- c
		gatherBody(c)
	})
	rewrite := mustRewrite(t, "/old/", "/new/${rest}")
	s := serve(t, Config{Sites: sites.Config{RootPath: "/root", Proxies: mustPrefixes("127.0.0.0/8"), ProxyProtocol: true}}, a, rewrite, sites.Mount{Prefix: "/new/", Streams: true})
	c := s.dial(t)
	io.WriteString(c, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\nPOST /root/old/%41?q HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
	one := <-got
	if one.Script+" "+one.Path != "/root/new /A" || one.Query != "q" || one.Peer.Addr != "192.0.2.1" {
		t.Errorf("%q %q %q %q", one.Script, one.Path, one.Query, one.Peer.Addr)
	}
	io.WriteString(c, "llo"+strings.Replace(lastRequest, "/last", "/new/last", 1))
	all, _ := io.ReadAll(c)
	if text := bodies(t, string(all)); text != "200:POST/A:hello 200:GET/last:" {
		t.Errorf("%q", text)
	}
}
