package runtime

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

// sum is an application that answers with the size of the body, where it was
// stored, and its ends.
func sum(c *call) {
	ends := c.Body
	if len(ends) > 8 {
		ends = ends[:4] + ends[len(ends)-4:]
	}
	c.reply(200, fmt.Sprintf("%d %v %s", len(c.Body), c.Spooled, ends))
}

func chunked(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const max, spool = 10000, 2000
	digits := strings.Repeat("0123456789", 1+max/10)
	post := func(fields, body string) string {
		return "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + "\r\n" + body
	}
	sized := func(n int) string { return post(fmt.Sprintf("Content-Length: %d\r\n", n), digits[:n]) }
	const te = "Transfer-Encoding: chunked\r\n"
	for _, test := range []struct{ name, request, want string }{
		{"none", post("", ""), "200:0 false "},
		{"zero", sized(0), "200:0 false "},
		{"short", sized(10), "200:10 false 01236789"},
		{"in memory", sized(spool), "200:2000 false 01236789"},
		{"in a file", sized(spool + 1), "200:2001 false 01237890"}, // whole in one read: nothing to store
		{"largest", sized(max), "200:10000 false 01236789"},
		{"too big", sized(max + 1), "413:input body too big\n"},
		{"announced too big", post("Content-Length: 10001\r\n", ""), "413:input body too big\n"},
		{"announced too big, expected", post("Content-Length: 10001\r\nExpect: 100-continue\r\n", ""), "413:input body too big\n"},
		{"chunked", post(te, chunked(digits[:spool], 7)), "200:2000 false 01236789"},
		{"chunked in a file", post(te, chunked(digits[:spool+1], 700)), "200:2001 true 01237890"},
		{"chunked largest", post(te, chunked(digits[:max], 3000)), "200:10000 true 01236789"},
		{"chunked too big", post(te, chunked(digits[:max+1], 3000)), "413:input body too big\n"},
		{"chunk announced too big", post(te, "fffffffffff\r\n"), "413:input body too big\n"},
		{"chunked bad", post(te, "5\r\nhelloX"), "400"},
		{"chunked and length", post(te+"Content-Length: 5\r\n", "0\r\n\r\n"), "400"},
		{"unknown expectation", post("Expect: tea\r\nContent-Length: 1\r\n", "x"), "417"},
	} {
		t.Run(test.name, func(t *testing.T) {
			modes(t, func(t *testing.T, inline bool) {
				a := newApp(inline, sum)
				s := serve(t, Config{MaxBodySize: max, SpoolSize: spool}, a)
				got := bodies(t, s.talk(t, test.request))
				if got != test.want && !(len(test.want) == 3 && strings.HasPrefix(got, test.want+":")) {
					t.Errorf("got %q, want %q", got, test.want)
				}
				eventually(t, "all released", a.idle)
			})
		})
	}
}

// However a request is cut into packets, the application sees the same.
func TestBytesArriveSlowly(t *testing.T) {
	t.Parallel()
	request := "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked("hello, world", 5) +
		"POST /y HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nhello, again" +
		"GET /z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	const want = "200:12 false hellorld 200:12 false hellgain 200:0 false "
	for _, step := range []int{1, 2, 3, 7, 50} {
		s := serve(t, Config{}, newApp(true, sum))
		c := s.dial(t)
		c.SetNoDelay(true)
		for rest := request; rest != ""; {
			n := min(step, len(rest))
			if _, err := io.WriteString(c, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		all, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := bodies(t, string(all)); got != want {
			t.Errorf("in steps of %d: %q, want %q", step, got, want)
		}
	}
}

func TestLargeUpload(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, sum)
		s := serve(t, Config{SpoolDir: t.TempDir()}, a)
		for range 3 {
			resp, err := http.Post("http://"+s.addr+"/", "text/plain", strings.NewReader(strings.Repeat("01234567", size/8)))
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := fmt.Sprintf("%d true 01234567", size); string(got) != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}

// 100 Continue is sent when the body is wanted, and only then.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	const head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	s := serve(t, Config{}, newApp(true, sum), sites.Mount{Prefix: "/"})
	c := s.dial(t)
	io.WriteString(c, head)
	const interim = "HTTP/1.1 100 Continue\r\n\r\n"
	buf := make([]byte, len(interim))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != interim {
		t.Fatalf("%q, %v", buf, err)
	}
	io.WriteString(c, "hello")
	rest, _ := io.ReadAll(c)
	if got := bodies(t, string(rest)); got != "200:5 false hello" {
		t.Errorf("after the body: %q", got)
	}

	if got := bodies(t, s.talk(t, head+"hello")); got != "200:5 false hello" {
		t.Errorf("body sent at once: %q", got)
	}

	none := serve(t, Config{}, newApp(true, sum), sites.Mount{Prefix: "/elsewhere"})
	if got := bodies(t, none.talk(t, head)); got != "404:Not Found\n" {
		t.Errorf("no route: %q", got)
	}
}

// A client that sends all of a refused body, however long it takes, still
// reads the answer.
func TestRefusedBodyDoesNotResetTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{MaxBodySize: 1000}, newApp(true, sum))
	for range 20 {
		c := s.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
		for range 50 {
			if _, err := c.Write(make([]byte, 100000)); err != nil {
				t.Fatalf("sending what is refused: %v", err)
			}
		}
		all, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := bodies(t, string(all)); got != "413:input body too big\n" {
			t.Errorf("got %q", got)
		}
	}
}

func TestSpoolDirectoryMissing(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{SpoolSize: 10, SpoolDir: "/nonexistent"}, newApp(true, sum))
	got := bodies(t, s.talk(t, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked("hello, world", 12)))
	if got != "500:Internal Server Error\n" {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(s.log.String(), "cannot store a request body in /nonexistent") {
		t.Errorf("log: %s", s.log)
	}
}

func TestQueueFull(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	a := newApp(false, func(c *call) {
		<-release
		c.reply(200, c.Path)
	})
	a.limit = 1
	s := serve(t, Config{}, a)
	first, second := s.dial(t), s.dial(t)
	io.WriteString(first, "GET /first HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	eventually(t, "the first is in flight", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.calls) == 1 })

	// The connection stays usable: the body was read.
	io.WriteString(second, "POST /second HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
	answer := make([]byte, 12)
	if _, err := io.ReadFull(second, answer); err != nil || string(answer) != "HTTP/1.1 503" {
		t.Fatalf("%q, %v", answer, err)
	}
	close(release)
	if all, _ := io.ReadAll(first); bodies(t, string(all)) != "200:/first" {
		t.Errorf("first: %q", all)
	}
	eventually(t, "the queue is empty", a.idle)
	io.WriteString(second, "GET /third HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	rest, _ := io.ReadAll(second)
	if got := bodies(t, string(answer)+string(rest)); got != "503:Service Unavailable\n 200:/third" {
		t.Errorf("second: %q", got)
	}
	if !strings.Contains(string(rest), "Retry-After: 1\r\n") {
		t.Errorf("no Retry-After in %q", rest)
	}
}

// Descriptors of spooled bodies do not leak, whichever side ends the request.
func TestSpoolIsClosed(t *testing.T) {
	a := newApp(true, func(c *call) { c.part(exchange.Part{Last: true, File: -1, Head: exchange.Head{Status: 200}}) })
	s := serve(t, Config{SpoolSize: 10}, a)
	before := openFiles(t)
	for range 10 {
		c := s.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat("x", 500))
		c.Close()
		s.talk(t, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(strings.Repeat("x", 1000), 100))
	}
	eventually(t, "as many descriptors as before", func() bool { return openFiles(t) <= before })
}

func openFiles(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
