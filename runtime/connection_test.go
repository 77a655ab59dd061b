package runtime

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1conn"
)

// all returns the HTTP/1 connections; it must be called on the event loop.
func (l *loop) all() (list []*http1conn.Conn) {
	for _, c := range l.conns.All() {
		if own, ok := c.Protocol().(*http1conn.Conn); ok {
			list = append(list, own)
		}
	}
	return list
}

func (s *testServer) waiting() (list []*http1conn.Conn) {
	s.do(func() {
		for _, c := range s.loop.all() {
			if c.Writing() {
				list = append(list, c)
			}
		}
	})
	return list
}

// A client that shuts down its sending side receives the whole file; after a disconnect, file and connection are
// closed.
func TestFilesOnDiskAreSentByOtherGoroutinesInOrder(t *testing.T) {
	t.Parallel()
	body := pattern(8 << 20)
	s := start(t, patient(Config{}), &instant{body: []byte("small")},
		append(tree(t, map[string]string{"large": string(body)}), exchange.Mount{Prefix: "/app"})...)
	asked := 0
	s.do(func() {
		s.loop.conns.Cached = func(int, int64) bool {
			asked++
			return asked%3 == 0
		}
	})
	for _, end := range []string{"next", "half", "leave"} {
		c := slowly(t, s)
		io.WriteString(c, "GET /s/large HTTP/1.1\r\nHost: x\r\n\r\nGET /app HTTP/1.1\r\nHost: x\r\n\r\n")
		switch end {
		case "leave":
			io.ReadFull(c, make([]byte, 1<<20))
			c.SetLinger(0)
			c.Close()
			continue
		case "half":
			eventually(t, "it waits", func() bool { return len(s.waiting()) == 1 })
			c.CloseWrite()
		}
		checktest.Equalf(t, readBody(t, c), body, "%s: wrong bytes", end)
		if end == "next" {
			checktest.Equalf(t, string(readBody(t, c)), "small", "then")
		}
		c.Close()
	}
	s.gone(t)
	c := slowly(t, s)
	io.WriteString(c, "GET /s/large HTTP/1.1\r\nHost: x\r\n\r\n")
	io.ReadFull(c, make([]byte, 1<<20))
	s.do(s.loop.closeAll)
	all, err := io.ReadAll(c)
	checktest.Truef(t, err != nil || len(all) < 7<<20, "it got everything")
	s.gone(t)
}

func TestHalfClosedClientGetsTheWholeResponse(t *testing.T) {
	body := string(pattern(8 << 20))
	s := start(t, patient(Config{}), &instant{body: []byte(body)}, exchange.Mount{Prefix: "/"})
	c := slowly(t, s)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "it waits for room", func() bool { return len(s.waiting()) == 1 })
	files := openFiles(t)
	c.CloseWrite()
	eventually(t, "the loop has seen it", func() (seen bool) {
		s.do(func() {
			list := s.loop.all()
			seen = len(list) == 1 && list[0].Writing() && list[0].State() == http1conn.StateClosed
		})
		return seen
	})
	now := openFiles(t)
	checktest.Truef(t, now <= files, "%d descriptors more", now-files)
	all, err := io.ReadAll(c)
	_, got, _ := strings.Cut(string(all), "\r\n\r\n")
	checktest.Truef(t, err == nil && got == body, "%d bytes, %v", len(got), err)
	s.gone(t)
}

func TestConnectionThatThePollerRejectsIsClosed(t *testing.T) {
	s := start(t, patient(Config{}), &instant{body: pattern(8 << 20)}, exchange.Mount{Prefix: "/"})
	files := openFiles(t)
	for _, waits := range []bool{false, true} {
		client := slowly(t, s)
		eventually(t, "it is connected", func() bool { return s.loop.live.Load() == 1 })
		if waits {
			io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			eventually(t, "it waits for room", func() bool { return len(s.waiting()) == 1 })
		}
		s.do(func() { s.loop.all()[0].Ready(eventloop.Unwatched) })
		client.Close()
		eventually(t, "it is closed", func() bool { return s.loop.live.Load() == 0 && openFiles(t) <= files })
	}
}

// recv(2) stops at urgent data, but the server must also read the bytes after it.
func TestBytesAfterUrgentDataAreRead(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	c := s.dial(t)
	raw, err := c.SyscallConn()
	checktest.Must(t, err)
	for range 3 {
		hold, held := make(chan struct{}), make(chan struct{})
		go s.do(func() { close(held); <-hold })
		<-held
		io.WriteString(c, "GET /be")
		raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
		checktest.Needf(t, err == nil || err == unix.EISCONN, "%v", err)
		io.WriteString(c, "hind HTTP/1.1\r\nHost: x\r\n\r\n")
		close(hold)
		got := readBody(t, c)
		checktest.Needf(t, string(got) == "hello", "%q", got)
	}
}

func TestPanicOnTheLoopClosesOnlyTheConnection(t *testing.T) {
	t.Parallel()
	rec := &logRecorder{}
	s := serve(t, Config{Log: rec.add})
	begin := time.Now()
	for range 3 {
		checktest.Equal(t, s.talk(t, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n"), "")
		got := s.talk(t, "GET /a HTTP/1.0\r\n\r\n")
		checktest.Truef(t, strings.HasSuffix(got, "hello"), "then %q", got)
	}
	lines := strings.Count(rec.String(), "bug: oops")
	checktest.Truef(t, lines >= 1 && lines <= 1+int(time.Since(begin)/time.Second), "%d log lines: %s", lines, rec)
}

// A request that crosses the end of an idle connection must not cause RST, after which clients report an error instead
// of sending the request again.
func TestRequestThatArrivesWhenAnIdleConnectionEndsCausesNoReset(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	s.loop.ticking.Store(true) // so that no deadline passes
	c := s.dial(t)
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	checktest.Try(io.WriteString(c, request)).Must(t)
	checktest.Equal(t, string(readBody(t, c)), "hello")
	s.do(s.loop.drain)
	var b [1]byte
	for range 3 {
		n, err := c.Read(b[:])
		checktest.Needf(t, n == 0 && err == io.EOF, "%d bytes, %v", n, err)
		checktest.Try(io.WriteString(c, request)).Must(t)
		s.do(func() {})
	}
	c.Close()
	s.gone(t)
}

// While the server stops, subrequests succeed until the last connection has closed, and then fail, although the loop
// still runs.
func TestSubrequestsAreAnsweredWhileTheServerStops(t *testing.T) {
	t.Parallel()
	ending := serve(t, Config{})
	ending.do(ending.loop.connectionOpened)
	ending.do(ending.loop.drain)
	a, err := ending.subrequest(t.Context(), exchange.Origin{Host: "x"}, "/x", nil)
	checktest.Truef(t, err == nil && a.StatusCode == 200 && a.Body.Close() == nil, "%v %v", a, err)
	ending.do(ending.loop.closeAll)
	ending.do(func() { ending.loop.connectionClosed(conn.Wait) })
	ended := checktest.Try(New(settled(Config{}))).Must(t)
	ended.Close()
	for _, s := range []*Server{ending.Server, ended} {
		_, err := s.subrequest(t.Context(), exchange.Origin{}, "/x", nil)
		checktest.Truef(t, err != nil, "the subrequest is answered")
	}
}

var mixture = []string{
	"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n" + strings.Repeat("x", 4096),
	"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"GET /nowhere\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}

// FuzzConnection sends arbitrary data in two packets, and checks that the server sends only complete responses before
// it closes the connection.
func FuzzConnection(f *testing.F) {
	for _, m := range mixture {
		f.Add([]byte(m), uint16(20))
		f.Add([]byte(m+m), uint16(len(m)+5))
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\nGET * HTTP/1.1\r\n"), uint16(3))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"), uint16(70))
	s := serve(f, Config{Sites: exchange.Config{MaxBodySize: 10000, SpoolSize: 1000, HeadTimeout: time.Second,
		BodyTimeout: time.Second}})
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		c := s.dial(t)
		defer c.Close()
		c.SetNoDelay(true)
		k := min(int(cut), len(data))
		c.Write(data[:k])
		c.Write(data[k:])
		c.CloseWrite()
		all, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, unix.ECONNRESET) {
			var timeout net.Error
			checktest.Needf(t, !errors.As(err, &timeout) || !timeout.Timeout(), "no end after %.200q", all)
		}
		// The test cannot find the end of a response to HEAD, or of a stream over HTTP/1.0.
		if !bytes.Contains(data, []byte("HEAD")) {
			checkResponses(t, all)
		}
		text := s.log.String()
		checktest.Needf(t, !strings.Contains(text, "bug:") || bytes.Contains(data, []byte("/panic")), "%s", text)
		eventually(t, "no exchange is left", func() (idle bool) {
			s.do(func() { idle = s.loop.sites.Active() == 0 && s.loop.app.Idle() })
			return idle
		})
	})
}

func checkResponses(t *testing.T, all []byte) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(all))
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		resp, err := http.ReadResponse(r, nil)
		checktest.Mustf(t, err, "in %.300q", all)
		_, err = io.Copy(io.Discard, resp.Body)
		checktest.Mustf(t, err, "body: in %.300q", all)
	}
}

func TestLocalConnectionsAreNotPaced(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	s.do(func() { s.loop.paced = true })
	s.dial(t)
	var name string
	eventually(t, "a connection", func() (ok bool) {
		s.do(func() {
			for _, c := range s.loop.conns.All() {
				name, _ = unix.GetsockoptString(c.Fd(), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
				ok = true
			}
		})
		return ok
	})
	checktest.Equalf(t, strings.TrimRight(name, "\x00"), "reno", "it has %q", name)
}
