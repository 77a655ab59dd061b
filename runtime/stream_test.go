package runtime

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/exchange"
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

// A response that goes on while the request does.
func TestStreamDuplex(t *testing.T) {
	t.Parallel()
	a := newApp(false, func(c *call) {
		c.send("begin\n")
		for {
			piece, err := c.receive()
			if err != nil {
				c.end(err != io.EOF)
				return
			}
			c.send(piece)
		}
	})
	s := serve(t, Config{}, a, streams)
	c := s.dial(t)
	r := bufio.NewReader(c)
	for range 2 { // the connection is kept
		io.WriteString(c, postChunked)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(resp.Body)
		for i := range 50 {
			if line, err := lines.ReadString('\n'); err != nil || i == 0 && line != "begin\n" || i > 0 && line != fmt.Sprintf("line %d\n", i) {
				t.Fatalf("%d: %q, %v", i, line, err)
			}
			line := fmt.Sprintf("line %d\n", i+1)
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(line), line)
		}
		io.WriteString(c, "0\r\n\r\n")
		if rest, err := io.ReadAll(lines); err != nil || string(rest) != "line 50\n" {
			t.Fatalf("%q, %v", rest, err)
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

// Large bodies come as they were sent, in pieces as large as a handler may have, and what
// follows them is found.
func TestStreamLargeBodies(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 5<<20+12345)
	for i := range content {
		content[i] = byte('!' + r.IntN(90))
	}
	for name, request := range map[string]string{
		"sized":        postSized(len(content)) + string(content),
		"chunked":      postChunked + chunked(string(content), 300_000),
		"small chunks": postChunked + chunked(string(content), 501),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := make(chan struct{})
			var largest atomic.Int64
			a := newApp(false, func(c *call) {
				<-begin
				body := []byte(c.Body)
				for {
					piece, err := c.receive()
					if err != nil {
						break
					}
					largest.Store(max(largest.Load(), int64(len(piece))))
					body = append(body, piece...)
				}
				c.reply(200, fmt.Sprint(len(body), " ", c.Method == "GET" || bytes.Equal(body, content)))
			})
			s := serve(t, Config{Sites: sites.Config{MaxBodySize: -1}}, a, streams)
			c := s.dial(t)
			var sent atomic.Int64
			go func() {
				for text := request + request + lastRequest; text != ""; {
					n, err := io.WriteString(c, text[:min(16<<10, len(text))])
					if sent.Add(int64(n)); err != nil {
						return
					}
					text = text[n:]
				}
			}()
			eventually(t, "it is paused", func() bool { return s.stopped() == 1 })
			eventually(t, "the kernel has more than one buffer", func() bool { return sent.Load() >= int64(256<<10+3*s.cfg.ReadBuffer) })
			close(begin)
			all, err := io.ReadAll(c)
			want := fmt.Sprintf("200:%d true ", len(content))
			if got := bodies(t, string(all)); err != nil || got != want+want+"200:0 true" {
				t.Fatalf("%q, %v", got, err)
			}
			if n := largest.Load(); name == "sized" && n <= int64(s.cfg.ReadBuffer) {
				t.Errorf("the largest piece had %d bytes", n)
			}
		})
	}
}

// A client that sends without end to an application that takes nothing is not read
// from; when the application takes all, all comes.
func TestStreamBackPressure(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	for _, test := range []struct {
		name, request string
	}{
		{"sized", postSized(size) + strings.Repeat("x", size)},
		{"chunked", postChunked + chunked(strings.Repeat("x", size), 1000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inItsTime(t, func(timeout time.Duration) (wrong string) {
				begin := make(chan struct{})
				a := newApp(false, func(c *call) {
					<-begin
					n := len(c.Body)
					for {
						piece, err := c.receive()
						if err != nil {
							break
						}
						n += len(piece)
					}
					c.reply(200, fmt.Sprint(n))
				})
				// Of the time in which it is not read, nothing is the client's.
				s := serve(t, Config{Sites: sites.Config{MaxBodySize: -1, BodyTimeout: timeout, BodyRate: 100 << 10}, Timeout: time.Hour}, a, streams)
				c := s.dial(t)
				go io.WriteString(c, test.request+lastRequest)
				eventually(t, "it is paused, or late", func() bool { return s.stopped() == 1 || s.loop.live.Load() == 0 })
				time.Sleep(timeout + time.Duration(3*tickLength))
				close(begin)
				all, err := io.ReadAll(c)
				if want := fmt.Sprintf("200:%d 200:0", size); err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 200") || bodies(t, string(all)) != want {
					return fmt.Sprintf("%.200q, %v", all, err)
				}
				a.mu.Lock()
				defer a.mu.Unlock()
				if most := a.maxInput; most > sites.MaxPiece+2*exchange.InputCost {
					t.Errorf("%d bytes were delivered ahead", most)
				}
				return ""
			})
		})
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

// Other requests wait for one that is streamed, and for its response.
func TestStreamPipelined(t *testing.T) {
	t.Parallel()
	order := make(chan string, 3)
	a := newApp(false, func(c *call) {
		order <- "begin " + c.Method
		body, _ := c.all()
		order <- "end " + c.Method
		c.reply(200, body)
	})
	s := serve(t, Config{}, a, streams)
	c := s.dial(t)
	c.SetNoDelay(true)
	io.WriteString(c, postSized(10)+"hello")
	if got := <-order; got != "begin POST" {
		t.Fatal(got)
	}
	io.WriteString(c, "world"+lastRequest)
	all, _ := io.ReadAll(c)
	if got := bodies(t, string(all)); got != "200:helloworld 200:" {
		t.Errorf("%q", got)
	}
	if got := [...]string{<-order, <-order}; got != [...]string{"end POST", "begin GET"} {
		t.Errorf("%q", got)
	}
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
