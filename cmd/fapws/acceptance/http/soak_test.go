package http_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// FAPWS_SOAK_REQUESTS (default 3000) is the number of requests in each mode.
func TestSoakLeavesNoDescriptorsThreadsOrMemory(t *testing.T) {
	requests := fapwstest.Amount(t, "FAPWS_SOAK_REQUESTS", 3000)
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "soak.py", Complains: true}.Serve(t, m)
		soak(s, max(requests/4, 2000))
		before := measure(s)
		soak(s, requests)
		after := measure(s)
		t.Logf("%d requests: %v, before %v", requests, after, before)
		// Repeat the checks. The server opens files of /proc for a moment, and it ends threads and releases memory only
		// after some idle time.
		fapwstest.Eventually(t, "no more descriptors than before", func() bool { return !measure(s).opens(before) })
		const (
			moreThreads = 4        // Go and the thread pool may start threads
			moreMemory  = 16 << 20 // the race detector keeps some memory
		)
		fapwstest.Eventually(t, "as many threads as before", func() bool { return s.Threads() <= before.threads+moreThreads })
		fapwstest.Eventually(t, "as much memory as before", func() bool { return s.RSS() <= before.rss+moreMemory })
	})
}

type figures struct {
	kinds        map[string]int
	threads, rss int
}

func (f figures) String() string {
	return fmt.Sprintf("%d KiB, %d threads, %v", f.rss>>10, f.threads, f.kinds)
}

func (f figures) opens(before figures) bool {
	for name, n := range f.kinds {
		if n > before.kinds[name] {
			return true
		}
	}
	return false
}

func measure(s *fapwstest.Server) (f figures) {
	s.T.Helper()
	fapwstest.Eventually(s.T, "all connections are closed", func() bool {
		f = figures{map[string]int{}, s.Threads(), s.RSS()}
		for _, target := range s.Descriptors() {
			if name, _, found := strings.Cut(target, ":["); found {
				target = name
			}
			f.kinds[target]++
		}
		// The eight sockets are: one listener, two for signals, one for channels, one reserved for rejecting clients,
		// one for fapws ctl, and two for asyncio without uvloop.
		return connections(s) == 0 && f.kinds["socket"] <= 8
	})
	return f
}

func soak(s *fapwstest.Server, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for i := range 8 {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for left.Load() > 0 && !s.T.Failed() {
				left.Add(-int64(soakConnection(s, random)))
			}
		})
	}
	all.Wait()
}

func soakConnection(s *fapwstest.Server, random *rand.Rand) (sent int) {
	w := s.Dial()
	defer w.Close()
	for range 1 + random.IntN(20) {
		sent++
		switch what := random.IntN(40); {
		case what == 0:
			text := fapwstest.Request("POST", []string{"/echo", "/pieces"}[random.IntN(2)],
				strings.Repeat("x", 1+random.IntN(400_000)))
			w.Send(text[:random.IntN(len(text))])
			w.Reset()
			return sent
		case what == 1:
			w.Get([]string{"/endless", "/bytes", "/stream", "/static/soak.py", "/page?1"}[random.IntN(5)])
			_, _ = w.Read(make([]byte, 1+random.IntN(3000)))
			w.Reset()
			return sent
		case what == 2:
			w.Ask("GET / HTTP/1.1\r\nHost : a\r\n\r\n").Want(s.T, 400)
			return sent
		case what == 3:
			w.Send(fapwstest.Get("/text?1"), fapwstest.Get("/stream"), fapwstest.Get("/none"), fapwstest.Get("/bytes"))
			w.Reset()
			return sent + 3
		case what == 4:
			w.Send(fapwstest.Get("/text?1"), fapwstest.Request("POST", "/echo", "two"),
				fapwstest.Get("/static/page.html"), keptPage("5", "de"), fapwstest.Get("/text?5"))
			w.Answer().Is(s.T, "text 1")
			w.Answer().Is(s.T, "two")
			w.Answer().Is(s.T, "<p>h\u00e9</p>\n")
			w.Answer().Is(s.T, strings.Repeat("5 de ", 300))
			w.Answer().Is(s.T, "text 5")
			sent += 4
		case what == 5:
			body := strings.Repeat("0123456789", 30_000)
			fapwstest.Equalf(s.T, w.Ask(fapwstest.Chunked("POST", "/echo", body, 7000)).Want(s.T, 200).Text, body, "echo")
		case what == 6:
			body := strings.Repeat(strconv.Itoa(random.IntN(1_000_000)), 1+random.IntN(30_000))
			text := fapwstest.Chunked("POST", "/pieces", body, 1+random.IntN(9000))
			go func() { _, _ = w.Write([]byte(text)) }()
			fapwstest.Equalf(s.T, w.Answer().Want(s.T, 200).Text, body, "bytes that came back")
		case what == 7:
			w.Send(fapwstest.Request("POST", "/refuses", strings.Repeat("x", random.IntN(100_000))))
			if a := w.Answer().Want(s.T, 403); a.Close {
				return sent
			}
		case what == 8:
			socket(s, random)
		case what < 12:
			number, language := strconv.Itoa(random.IntN(40)), []string{"de", "en"}[random.IntN(2)]
			w.Send(keptPage(number, language))
			w.Answer().Is(s.T, strings.Repeat(number+" "+language+" ", 300))
		case what == 12:
			w.Fetch("/none").Want(s.T, 500)
		case what < 16:
			a := w.Fetch("/stream").Want(s.T, 200)
			fapwstest.Truef(s.T, len(a.Text) == 20_000 && bytes.HasSuffix([]byte(a.Text), []byte("0019")),
				"stream of %d bytes", len(a.Text))
		case what < 19:
			fapwstest.Equal(s.T, len(w.Fetch([]string{"/bytes", "/memory"}[what%2]).Want(s.T, 200).Text), 100_000)
		case what < 22:
			w.Fetch([]string{"/file", "/static/page.html"}[what%2]).Is(s.T, "<p>h\u00e9</p>\n")
		case what < 26:
			w.Send(fapwstest.Request("POST", "/form?a=1", "a=2&b=%26", "Content-Type: application/x-www-form-urlencoded"))
			w.Answer().Is(s.T, `{"a":["1","2"],"b":["&"]}`)
		case what < 31:
			body := strings.Repeat("e", 1+random.IntN(5000))
			w.Ask(fapwstest.Request("POST", "/echo", body)).Is(s.T, body)
		default:
			n := strconv.Itoa(random.IntN(1_000_000))
			w.Fetch("/text?"+n).Is(s.T, "text "+n).Field(s.T, "X-Query", n)
		}
	}
	return sent
}

func keptPage(number, language string) string {
	return fapwstest.Get("/page?"+number, "Accept-Language: "+language)
}

func socket(s *fapwstest.Server, random *rand.Rand) {
	c, err := wstest.Dial(s.Address, "/socket", []string{wstest.Deflate, "X-A: b"}[random.IntN(2)])
	if err != nil {
		s.T.Error(err)
		return
	}
	defer c.Conn.Close()
	for range random.IntN(5) {
		want := strings.Repeat("message ", 1+random.IntN(10_000))
		_ = c.SendText(want)
		_, got, err := c.Receive()
		fapwstest.Truef(s.T, err == nil && string(got) == want, "%d of %d bytes, %v", len(got), len(want), err)
	}
	switch random.IntN(4) {
	case 0:
		c.CloseWith(1000, "")
	case 1:
		_ = c.SendText("nobody hears it")
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
	case 2:
		_ = c.WriteFrame(byte(random.IntN(256)), []byte("anything"))
	}
}
