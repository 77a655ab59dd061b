package live_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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

func TestWebSocketsOutliveAReloadByTheGrace(t *testing.T) {
	t.Parallel()
	for script, path := range map[string]string{"asgisockets.py": "/echo", "staying.py": "/room"} {
		open := func(grace string) (*fapwstest.Server, *wstest.Client) {
			s := fapwstest.Command{Script: fapwstest.Copied(t, script), Flags: []string{"--graceful-timeout", "60s",
				"--ws-reload-grace", grace}}.Serve(t, fapwstest.Workers)
			c := s.Socket(path)
			s.Reload()
			return s, c
		}
		s, c := open("60s")
		for _, text := range []string{"after", "the reload"} {
			answers(t, c, text, text)
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
}

func TestGraceForWebSocketsEndsWithTheOldCode(t *testing.T) {
	t.Parallel()
	fapwstest.Command{Flags: []string{"--ws-reload-grace", "31s", "--graceful-timeout", "30s"}, Script: "asgisockets.py"}.
		Fails(t, 2, "ws-reload-grace (flag --ws-reload-grace) is 31s, longer than graceful-timeout, 30s")
}

// staying runs staying.py, which writes the file closed beside itself.
func staying(t *testing.T, m fapwstest.Mode, flags ...string) (s *fapwstest.Server, script string) {
	t.Helper()
	script = fapwstest.Copied(t, "staying.py")
	return fapwstest.Command{Script: script, Flags: flags}.Serve(t, m), script
}

func closedSockets(t *testing.T, script string) []string {
	t.Helper()
	lines := strings.Fields(fapwstest.Read(t, filepath.Join(filepath.Dir(script), "closed")))
	slices.Sort(lines)
	return lines
}

// Each worker counts the clients of the others, up to a second late.
func hasMembers(t *testing.T, c *wstest.Client, n int) {
	t.Helper()
	fapwstest.Eventually(t, fmt.Sprint(n, " members"), func() bool {
		says(t, c, "members")
		return told(t, c) == fmt.Sprint(n)
	})
}

// Meanwhile, clients of the old and of the new code get each other's broadcasts, in the same order.
func TestWebSocketsEndOnceAfterTheGrace(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, {Name: "one inline worker",
		Flags: []string{"--workers", "1", "--threads", "0"}}}, webSocketsEndOnce)
}

func webSocketsEndOnce(t *testing.T, m fapwstest.Mode) {
	s, script := staying(t, m, "--ws-reload-grace", "2s")
	const clients = 10
	var all []*wstest.Client
	for i := range clients {
		all = append(all, s.Socket(fmt.Sprint("/room?", i)))
	}
	hasMembers(t, all[0], clients)
	old := s.Workers()
	fapwstest.Change(t, script, "VERSION = 1", "VERSION = 2")
	s.Control("reload")
	late := s.Socket("/room?late")
	says(t, late, "version")
	fapwstest.Equal(t, told(t, late), "2")
	for _, c := range []*wstest.Client{late, all[0]} {
		says(t, c, "say to all")
	}
	for _, c := range append(all, late) {
		for range 2 {
			gets(t, c, "to all")
		}
	}
	says(t, all[1], "version")
	fapwstest.Equal(t, told(t, all[1]), "1")
	for _, c := range all {
		for {
			f, err := c.ReadFrame()
			fapwstest.Must(t, err)
			if f.Op() == wstest.Close {
				code, _ := f.Code()
				fapwstest.Equal(t, code, 1012)
				break
			}
		}
		fapwstest.Must(t, c.WriteFrame(wstest.Fin|wstest.Close, []byte{1012 >> 8, 1012 & 0xff}))
		_, err := c.ReadFrame()
		fapwstest.Truef(t, errors.Is(err, io.EOF), "%v after the close frame", err)
		c.Conn.Close()
	}
	s.HasWorkers(len(old), old...)
	hasMembers(t, late, 1)
	want := make([]string, clients)
	for i := range want {
		want[i] = fmt.Sprint(i, ":1012")
	}
	fapwstest.Equalf(t, closedSockets(t, script), want, "on_close was called for")
}

// A callback that is running at the end of the grace ends before on_close is called.
func TestRunningCallbackEndsBeforeOnClose(t *testing.T) {
	t.Parallel()
	s, script := staying(t, fapwstest.Workers, "--ws-reload-grace", "0")
	c := s.Socket("/room?waits")
	folder := t.TempDir()
	says(t, c, "wait "+folder)
	fapwstest.FileSays(t, folder+"/waits", "")
	old := s.Workers()
	s.Control("reload")
	closesWith(t, c, 1012, "")
	fapwstest.Write(t, folder+"/go", "")
	s.HasWorkers(len(old), old...)
	fapwstest.Equal(t, closedSockets(t, script), []string{"waits:1012"})
}

// All clients of a worker that is replaced because of its memory connect again, to the next worker.
func TestWorkerWithManyWebSocketsIsReplacedWhenItExceedsMaxRSS(t *testing.T) {
	t.Parallel()
	const clients = 1000
	s, script := staying(t, fapwstest.Mode{Flags: []string{"--workers", "1"}}, "--max-rss", "250M", "--ws-reload-grace",
		"1s")
	old := s.Workers()
	var all [clients]*wstest.Client
	for i := range all {
		all[i] = s.Socket(fmt.Sprint("/room?", i))
	}
	says(t, all[0], "grow 300000000")
	s.Says("exceed max-rss")
	var again sync.WaitGroup
	for i := range all {
		again.Go(func() {
			closesWith(t, all[i], 1012, "")
			if c, err := wstest.Dial(s.Address, "/room?again"); err != nil {
				t.Error(err)
			} else {
				all[i] = c
			}
		})
	}
	again.Wait()
	s.HasWorkers(1, old...)
	for _, c := range all {
		answers(t, c, "hello", "hello")
	}
	hasMembers(t, all[0], clients)
	fapwstest.Equalf(t, len(closedSockets(t, script)), clients, "on_close was called")
}

const slowToClose = `
import os, time
from fapws import WebSocket

def closed(ws, code, reason):
    time.sleep(0.1)
    with open(os.path.join(os.path.dirname(__file__), "closed"), "a") as f:
        f.write(f"{code} ")

PATHS = [("/room", WebSocket(on_close=closed))]
`

func TestServerEndsAfterItHasCalledEachOnClose(t *testing.T) {
	t.Parallel()
	const clients = 60 // one thread calls on_close for longer than five seconds
	script := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), slowToClose)
	s := fapwstest.Serve(t, fapwstest.Threads, script, "--threads", "4")
	var all [clients]*wstest.Client
	for i := range all {
		all[i] = s.Socket("/room")
	}
	s.Signal(syscall.SIGTERM)
	var ends sync.WaitGroup
	for _, c := range all {
		ends.Go(func() { closesWith(t, c, 1001, "") })
	}
	ends.Wait()
	s.Ended()
	fapwstest.Equalf(t, len(closedSockets(t, script)), clients, "on_close was called")
	fapwstest.Truef(t, !strings.Contains(s.Stderr.String(), "did not return"), "%s", s.Stderr.String())
}
