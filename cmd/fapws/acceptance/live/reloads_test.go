package live_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// FAPWS_LIVE_RELOADS is the number of reloads (default 3).
func TestEachMessageReachesTheApplicationThroughReloads(t *testing.T) {
	t.Parallel()
	reloads := fapwstest.Amount(t, "FAPWS_LIVE_RELOADS", 3)
	s := fapwstest.Serve(t, fapwstest.Workers, "live.py")
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	var mu sync.Mutex
	heard := map[string]bool{}
	events := listen(s, "/news")
	go func() {
		for e, err := events.next(); err == nil; e, err = events.next() {
			mu.Lock()
			heard[e.data] = true
			mu.Unlock()
		}
	}()
	var said []string
	for _, path := range []string{"/say", "/asgi/say"} {
		senders.Go(func() {
			texts := sendsUntil(ctx, s, path)
			mu.Lock()
			defer mu.Unlock()
			said = append(said, texts...)
		})
	}
	for range reloads {
		s.Control("reload")
	}
	stop()
	senders.Wait()
	fapwstest.Eventually(t, fmt.Sprintf("the %d messages arrive", len(said)), func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(said, func(text string) bool { return !heard[text] })
	})
	t.Logf("%d messages", len(said))
}

func replaced(err error) bool {
	var closed *wstest.Closed
	return errors.As(err, &closed) && (closed.Code == 1012 || closed.Code == 1001)
}

// sendsUntil sends messages to a WebSocket until ctx is canceled, and returns these messages. After a close frame from
// the server, sendsUntil answers with a close frame and opens a new connection.
func sendsUntil(ctx context.Context, s *fapwstest.Server, path string) (said []string) {
	t := s.T
	for ctx.Err() == nil {
		c, err := wstest.Dial(s.Address, path)
		if err != nil {
			t.Errorf("%s cannot connect: %v", path, err)
			return said
		}
		c.Conn.SetDeadline(time.Now().Add(2 * fapwstest.Patience))
		closed := make(chan error, 1)
		go func() {
			f, err := c.ReadFrame()
			if err == nil {
				code, _ := f.Code()
				err = &wstest.Closed{Code: code}
			}
			closed <- err
		}()
		for err == nil && ctx.Err() == nil {
			text := fmt.Sprintf("%s: %d", path, len(said))
			if err := c.SendText(text); err != nil {
				t.Errorf("%s cannot send: %v", path, err)
				return said
			}
			said = append(said, text)
			select {
			case err = <-closed:
			case <-time.After(5 * time.Millisecond):
			}
		}
		_ = c.WriteFrame(wstest.Fin|wstest.Close, nil)
		if err == nil {
			<-closed
		} else if !replaced(err) {
			t.Errorf("%s: %v", path, err)
		}
		_, err = c.ReadFrame()
		fapwstest.Truef(t, err != nil, "%s got a frame behind the close frame", path)
		c.Conn.Close()
	}
	return said
}

func TestWebSocketsThatCannotMoveOutliveAReloadByTheGrace(t *testing.T) {
	t.Parallel()
	open := func(grace string) (*fapwstest.Server, *wstest.Client) {
		s := fapwstest.Serve(t, fapwstest.Workers, "asgisockets.py", "--graceful-timeout", "60s", "--ws-reload-grace", grace)
		c := s.Socket("/echo")
		s.Reload()
		return s, c
	}
	s, c := open("60s")
	for _, text := range []string{"after", "the reload"} {
		fapwstest.Must(t, c.SendText(text))
		_, got, err := c.Receive()
		fapwstest.Needf(t, err == nil && string(got) == text, "%q, %v", got, err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Stop()
	}()
	closesWith(t, c, 1001, "")
	<-stopped
	_, c = open("1s")
	closesWith(t, c, 1012, "")
}

func TestGraceForWebSocketsEndsWithTheOldCode(t *testing.T) {
	t.Parallel()
	fapwstest.Command{Flags: []string{"--ws-reload-grace", "31s", "--graceful-timeout", "30s"}, Script: "asgisockets.py"}.
		Fails(t, 2, "ws-reload-grace (flag --ws-reload-grace) is 31s, longer than graceful-timeout, 30s")
}

type stayer struct {
	t *testing.T
	*wstest.Client
	resumed string
}

func openStayer(s *fapwstest.Server, path string, fields ...string) *stayer {
	s.T.Helper()
	c := s.Socket(path, fields...)
	c.Conn.SetDeadline(time.Now().Add(5 * fapwstest.Patience))
	return &stayer{s.T, c, "resumed by 1"}
}

func (c *stayer) asks(text string) string {
	c.t.Helper()
	says(c.t, c.Client, text)
	return c.hears()
}

func (c *stayer) hears() string {
	c.t.Helper()
	for {
		if got := fapwstest.Received(c.t, c.Client); got != c.resumed {
			return got
		}
	}
}

func staying(t *testing.T, m fapwstest.Mode) (s *fapwstest.Server, script string) {
	script = fapwstest.Copied(t, "staying.py")
	return fapwstest.Command{Script: script}.Serve(t, m), script
}

// The WebSocket uses synchronous callbacks, and keeps its groups, data, subprotocol, compression, and an incomplete
// frame.
func TestWebSocketsMoveToTheNewWorkerAtAReload(t *testing.T) {
	asleep := fapwstest.Mode{Name: fapwstest.Asleep.Name,
		Flags: slices.Concat(fapwstest.Asleep.Flags, fapwstest.Workers.Flags)}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, asleep}, webSocketsStay)
}

func webSocketsStay(t *testing.T, m fapwstest.Mode) {
	s, script := staying(t, m)
	plain := openStayer(s, "/told?x=1", "Sec-WebSocket-Protocol: a")
	packed := openStayer(s, "/told?x=2", wstest.Deflate)
	left := openStayer(s, "/told?x=3")
	fapwstest.Needf(t, packed.Deflate, "no compression")
	fapwstest.Equal(t, left.asks("leave"), "left")
	first, resumed := "^1", "^1"
	// In the mode Asleep, on_resume also runs each time the application wakes up, so the counters are higher.
	if m.Name == fapwstest.Asleep.Name {
		first, resumed = "^([1-9]0)?1", "^[1-9]"
	}
	for i, c := range []*stayer{plain, packed} {
		fapwstest.Matches(t, c.asks("count"), fmt.Sprintf("%s by 1 in [0-9]+ x=%d ", first, i+1))
	}
	frame := plain.AppendFrame(nil, wstest.Fin|wstest.Text, []byte("count"))
	fapwstest.Try(plain.Conn.Write(frame[:3])).Must(t)
	fapwstest.Change(t, script, "VERSION = 1", "VERSION = 2")
	s.Control("reload")
	for _, c := range []*stayer{plain, packed, left} {
		got := c.hears()
		fapwstest.Needf(t, got == "resumed by 2", "%q", got)
		c.resumed = "resumed by 2"
	}
	fapwstest.Try(plain.Conn.Write(frame[3:])).Must(t)
	fapwstest.Matches(t, plain.hears(), resumed+"02 by 2 in .* x=1 a$")
	fapwstest.Matches(t, packed.asks("count"), resumed+"02 by 2 in .* x=2 None$")
	text := strings.Repeat("to all. ", 100)
	says(t, plain.Client, "say "+text)
	for _, c := range []*stayer{plain, packed} {
		fapwstest.Equal(t, c.hears(), text)
	}
	fapwstest.Equal(t, left.asks("echo"), "echo")
	plain.CloseWith(1000, "")
	fapwstest.Matches(t, packed.hears(), resumed+"03 closed with 1000 by 2$")
}

// A WebSocket cannot move to a new worker if the application keeps a reference to its object, if its data contains
// objects that the server cannot copy, or if the new code has a different WebSocket at the path. A callback that is
// running ends before the WebSocket is closed.
func TestWebSocketsThatCannotMoveAreClosedWith1012(t *testing.T) {
	t.Parallel()
	s, script := staying(t, fapwstest.Workers)
	known, kept, waits := openStayer(s, "/room?a"), openStayer(s, "/room?b"), openStayer(s, "/room?c")
	a, b := known.asks("know"), kept.asks("keep")
	fapwstest.Truef(t, a == "known" && b == "kept", "%q, %q", a, b)
	folder := t.TempDir()
	says(t, waits.Client, "wait "+folder)
	says(t, waits.Client, "count")
	fapwstest.FileSays(t, folder+"/waits", "")
	s.Control("reload")
	for _, c := range []*stayer{known, kept} {
		closesWith(t, c.Client, 1012, "")
	}
	fapwstest.Write(t, folder+"/go", "")
	for _, want := range []string{"waited", "2 by 1 in "} {
		got := waits.hears()
		for strings.Contains(got, "closed with") {
			got = waits.hears()
		}
		fapwstest.Truef(t, strings.HasPrefix(got, want), "%q, want %q", got, want)
	}
	fapwstest.Change(t, script, `("/room", room)`, `("/hall", room)`)
	s.Control("reload")
	closesWith(t, waits.Client, 1012, "")
}

func TestWebSocketsAnswerEachMessageThroughReloads(t *testing.T) {
	t.Parallel()
	for _, m := range []fapwstest.Mode{
		fapwstest.Workers, {Name: "one inline worker", Flags: []string{"--workers", "1", "--threads", "0"}},
	} {
		t.Run(m.Name, func(t *testing.T) { throughReloads(t, m) })
	}
}

func throughReloads(t *testing.T, m fapwstest.Mode) {
	const clients, speakers, reloads = 40, 3, 4
	s := fapwstest.Serve(t, m, "staying.py")
	workers := len(s.Workers())
	files := func() (n int) {
		s.HasWorkers(workers)
		for _, pid := range append(s.Workers(), s.Cmd.Process.Pid) {
			entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)) // none if the process has ended
			n += len(entries)
		}
		return n
	}
	all := make([]*stayer, clients)
	for i := range all {
		all[i] = openStayer(s, fmt.Sprint("/room?", i))
	}
	var readers, senders sync.WaitGroup
	var echoes atomic.Int64
	ended := make(chan struct{})
	heard := make([][]string, clients) // the broadcasts that each client has received
	for i, c := range all {
		echo := make(chan string, 1)
		readers.Go(func() {
			defer close(echo)
			for {
				_, got, err := c.Receive()
				switch text := string(got); {
				case err != nil:
					select {
					case <-ended:
					default:
						t.Errorf("client %d: %v", i, err)
					}
					return
				case text == "all end":
					return
				case strings.HasPrefix(text, "all "):
					heard[i] = append(heard[i], text)
				default:
					echo <- text
				}
			}
		})
		senders.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				default:
				}
				text := fmt.Sprintf("echo %d", n)
				says(t, c.Client, text)
				if got, open := <-echo; got != text {
					t.Errorf("client %d: %q, want %q, %t", i, got, text, open)
					return
				}
				echoes.Add(1)
				if i < speakers {
					says(t, c.Client, fmt.Sprintf("say all %d %d", i, n))
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	held := files()
	for i := range reloads {
		before := echoes.Load()
		s.Control("reload")
		fapwstest.Eventually(t, "clients are answered after a reload", func() bool {
			return t.Failed() || echoes.Load() > before+clients
		})
		time.Sleep(time.Duration(i%3) * 200 * time.Millisecond)
	}
	fapwstest.Eventually(t, fmt.Sprintf("hardly more than the %d descriptors before the first reload", held), func() bool {
		return t.Failed() || files() <= held+clients/5
	})
	close(ended)
	senders.Wait()
	if t.Failed() {
		return
	}
	says(t, openStayer(s, "/room?last").Client, "say all end")
	readers.Wait()
	for i, texts := range heard {
		fapwstest.Needf(t, slices.Equal(texts, heard[0]), "client %d got the broadcasts %q, another client %q", i, texts,
			heard[0])
	}
	next := map[int]int{}
	for _, text := range heard[0] {
		var who, n int
		fmt.Sscanf(text, "all %d %d", &who, &n)
		fapwstest.Needf(t, n == next[who], "%q, want number %d", text, next[who])
		next[who]++
	}
	t.Logf("%d echoes, %d broadcasts to %d clients, through %d reloads", echoes.Load(), len(heard[0]), clients, reloads)
}
