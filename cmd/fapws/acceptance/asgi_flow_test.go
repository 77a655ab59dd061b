package acceptance

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Back-pressure both ways: 200 MB are uploaded to an application that takes its time,
// and downloaded by a client that does, in memory that does not grow with them.
func TestASGIBackPressure(t *testing.T) {
	const (
		size  = 200 << 20
		bound = 24 << 20 // how much memory may grow
	)
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "asgi/flow.py:app", "--max-body-size", "1G")
		for _, name := range []string{"warm", "sized", "chunked"} {
			n := size
			if name == "warm" {
				n = 1 << 20
			}
			before := s.rss()
			w := s.dial()
			head := fmt.Sprintf("POST /upload/%s HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", name, n)
			if name == "chunked" {
				head = "POST /upload/chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
			}
			w.send(head)
			sent := make(chan error, 1)
			go func() {
				piece := strings.Repeat("x", 1<<16)
				for left := n; left > 0; left -= len(piece) {
					var err error
					if name == "chunked" {
						_, err = fmt.Fprintf(w.Conn, "8000\r\n%s\r\n8000\r\n%s\r\n", piece[:1<<15], piece[1<<15:])
					} else {
						_, err = io.WriteString(w.Conn, piece)
					}
					if err != nil {
						sent <- err
						return
					}
				}
				if name == "chunked" {
					io.WriteString(w.Conn, "0\r\n\r\n")
				}
				sent <- nil
			}()
			if name != "warm" {
				time.Sleep(300 * time.Millisecond)
				if len(sent) > 0 {
					t.Errorf("%s: all of it was taken before the application has read anything", name)
				}
			}
			s.get("/open/"+name, 200)
			w.answer().is(t, fmt.Sprintf("%d bytes, True", n))
			if err := <-sent; err != nil {
				t.Error(err)
			}
			if grown := s.rss() - before; name != "warm" && grown > bound {
				t.Errorf("%s: the server has %d MiB more", name, grown>>20)
			}
		}

		before := s.rss()
		w := s.dial()
		w.get("/download/1?" + strconv.Itoa(size))
		r := w.head("GET")
		progress := func() int {
			n, _ := strconv.Atoi(s.get("/sent/download/1", 200).body)
			return n
		}
		last := -1
		eventually(t, "the application waits for the client", func() bool {
			time.Sleep(100 * time.Millisecond)
			now := progress()
			waits := now == last
			last = now
			return waits && now > 0
		})
		if last > 16<<20 { // in the buffers of the kernel
			t.Errorf("the application has sent %d bytes to a client that reads nothing", last)
		}
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if grown := s.rss() - before; grown > bound {
			t.Errorf("the server has %d MiB more", grown>>20)
		}
	})
}

// Context variables are those of the import, and what a request sets is its own, in
// its tasks and threads too.
func TestASGIContext(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "asgi/context.py:app")
		var all []*wire
		for i := range 20 {
			w := s.dial()
			w.get(fmt.Sprintf("/steps?%d", i))
			all = append(all, w)
		}
		for i, w := range all {
			w.answer().is(t, fmt.Sprintf("import %d", i))
			w.get(fmt.Sprintf("/receive?again%d", i)) // nothing stays on the connection
		}
		for i, w := range all {
			w.answer().is(t, fmt.Sprintf("import again%d", i))
		}
		s.get("/thread?x", 200).is(t, "x in another thread: True")
		s.get("/task?x", 200).is(t, "Task True True True True")
		s.get("/timeout?x", 200).is(t, "timeout x")
	})
}

// Bodies where there may be none, lengths that are not kept, fields as they are.
func TestASGIResponses(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "asgi/files.py:app", complains: true}.serve(t, m)
		for _, status := range []string{"204", "304"} {
			w := s.dial()
			w.send(get("/status/"+status), get("/status/200"))
			if a := w.answer(); a.body != "" || a.Header.Get("Transfer-Encoding") != "" {
				t.Errorf("%s: %q %v", status, a.body, a.Header)
			}
			w.answer().is(t, "helloworld")
		}
		w := s.dial()
		w.send(request("HEAD", "/status/200", ""), get("/status/404"))
		if a := w.answerTo("HEAD"); a.StatusCode != 200 || a.body != "" {
			t.Errorf("HEAD: %q", a.body)
		}
		w.answer().want(t, 404, "helloworld")

		w = s.dial() // more than was promised is cut
		w.send(get("/length/7/ab"), get("/length/5/a"), get("/length/0/"), get("/length/0/ab"))
		for _, want := range []string{"aaaaabb", "aaaaa", "", ""} {
			w.answer().is(t, want)
		}
		s.says(`longer than its Content-Length`)
		w = s.dial() // less breaks the connection
		w.send(get("/length/12/ab"), get("/length/5/a"))
		if a := w.answer(); a.err == nil || a.body != "aaaaabbbbb" {
			t.Errorf("a short body: %q, %v", a.body, a.err)
		}
		s.says(`body has 10 bytes, its Content-Length is 12`)
		w = s.dial()
		w.send("GET /status/200 HTTP/1.0\r\n\r\n")
		if text := w.rest(); !strings.HasSuffix(text, "\r\n\r\nhelloworld") || strings.Contains(text, "chunked") {
			t.Errorf("HTTP/1.0: %q", text)
		}

		a := s.get("/fields", 200)
		a.field(t, "X-Upper", "1").field(t, "Set-Cookie", "a=1, b=2").field(t, "X-High", "\xe9").field(t, "Server", "mine").field(t, "Date", "today")
		if !a.Close {
			t.Error("Connection: close of the application is not heeded")
		}
	})
}

// http.response.pathsend: the file of a path is the body.
func TestASGIPathsend(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "asgi/files.py:app")
		want := s.get("/path/files.py", 200).field(t, "Content-Type", "text/plain")
		if want.ContentLength != int64(len(want.body)) || !strings.HasPrefix(want.body, `"""http.response.pathsend`) {
			t.Errorf("%d, %.60q", want.ContentLength, want.body)
		}
		w := s.dial()
		w.send(request("HEAD", "/path/files.py", ""), get("/relative/files.py"), get("/path/missing"), get("/path"), get("/bytes/files.py"))
		if a := w.answerTo("HEAD"); a.ContentLength != want.ContentLength || a.body != "" {
			t.Errorf("HEAD: %d, %q", a.ContentLength, a.body)
		}
		w.answer().is(t, want.body)
		w.answer().want(t, 200, "FileNotFoundError: [Errno 2]", "missing'")
		w.answer().want(t, 200, "IsADirectoryError: [Errno 21]")
		w.answer().want(t, 200, "TypeError: send(): 'path' of 'http.response.pathsend' must be a str")
	})
}
