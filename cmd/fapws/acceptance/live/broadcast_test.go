package live_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

func pidOf(t *testing.T, c *wstest.Client) (pid, version string) {
	t.Helper()
	says(t, c, "pid")
	pid, version, _ = strings.Cut(told(t, c), " ")
	return pid, version
}

func told(t *testing.T, c *wstest.Client) string {
	t.Helper()
	for {
		if got := fapwstest.Received(t, c); got != "" {
			return got
		}
	}
}

func gets(t *testing.T, c *wstest.Client, want string) {
	t.Helper()
	fapwstest.Equal(t, told(t, c), want)
}

// onBoth opens two WebSockets, which belong to different workers if s has two workers.
func onBoth(s *fapwstest.Server, path string) (a, b *wstest.Client) {
	s.T.Helper()
	a = s.Socket(path)
	first, _ := pidOf(s.T, a)
	// If one worker is awake and another sleeps, the worker that is awake accepts new connections. On a busy machine,
	// one worker may get many connections in a row.
	fapwstest.Eventually(s.T, "a WebSocket of the other worker", func() bool {
		b = s.Socket(path)
		if second, _ := pidOf(s.T, b); second != first || len(s.Handlers()) == 1 {
			return true
		}
		b.Conn.Close()
		return false
	})
	return a, b
}

func TestBroadcastReachesAllClientsInAllProcesses(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "broadcast.py")
		a, b := onBoth(s, "/room?x")
		again, other := s.Socket("/again?x&y"), s.Socket("/other")
		all := []*wstest.Client{a, b, again}
		everybody := func(want string) {
			t.Helper()
			for _, c := range all {
				gets(t, c, want)
			}
		}
		fapwstest.Eventually(t, "three are in group x", func() bool { return s.Get("/count?x", 200).Text == "3" })
		fapwstest.Must(t, a.Send(wstest.Binary, []byte{0, 255, 7}))
		for _, c := range all {
			op, got, err := c.Receive()
			for err == nil && len(got) == 0 {
				op, got, err = c.Receive()
			}
			fapwstest.Truef(t, op == wstest.Binary && string(got) == "\x00\xff\x07" && err == nil, "got %d %q, %v", op, got, err)
		}
		text := strings.Repeat("hé \x00", 10000)
		says(t, b, "thread "+text)
		everybody(text)
		s.Get("/task", 200).Is(t, "sent")
		everybody("from a task")

		says(t, again, "group y to one")
		gets(t, again, "to one")
		says(t, a, "group y to another")
		gets(t, again, "to another")
		says(t, again, "leave x")
		gets(t, again, "left")
		says(t, again, "group x to two")
		says(t, a, "thread to all")
		gets(t, again, "to all")
		// The two messages come from different senders, so they may arrive in either order.
		for _, c := range []*wstest.Client{a, b} {
			got := []string{told(t, c), told(t, c)}
			fapwstest.Truef(t, slices.Contains(got, "to two") && slices.Contains(got, "to all"), "got %q", got)
		}
		says(t, again, "odd z") // __hash__ of a subclass of str is not called
		gets(t, again, "joined")
		says(t, again, "group z to z")
		gets(t, again, "to z")
		says(t, other, "for others")
		gets(t, other, "for others")
		_, err := wstest.Dial(s.Address, "/room?refused")
		fapwstest.Truef(t, err != nil, "it was not refused")
		everybody("one is refused")
		s.Get("/fork", 200).Is(t, "7")
		s.Get("/wrong", 200).Is(t, strings.Join([]string{
			"TypeError a message must be str or bytes, not int",
			`UnicodeEncodeError 'utf-8' codec can't encode character '\ud800' in position 0: surrogates not allowed`,
			"TypeError a group must be a str, not int",
			"ValueError a group must have 1 to 128 characters, not 0",
			"ValueError a group must have 1 to 128 characters, not 129",
			"ValueError broadcast: the message has 70000 bytes; --channel-max-event allows 65536",
			"ValueError broadcast: this WebSocket is not in PATHS",
			"TypeError 'int' object is not iterable",
			"TypeError broadcast(websockets, message): room is not a WebSocket",
			"TypeError broadcast: group works only with a WebSocket of PATHS",
		}, "\n"))
	})
}

// opening opens a WebSocket, and returns as soon as its on_open callback runs and has joined the group.
func opening(s *fapwstest.Server, group string) <-chan *wstest.Client {
	s.T.Helper()
	opened := make(chan *wstest.Client)
	go func() {
		c, err := wstest.Dial(s.Address, "/room?"+group)
		fapwstest.Equal(s.T, err, nil)
		opened <- c
	}()
	fapwstest.Eventually(s.T, "on_open runs", func() bool { return s.Get("/count?"+group, 200).Text == "1" })
	return opened
}

func TestBroadcastDuringOnOpenArrivesAfterIt(t *testing.T) {
	t.Parallel()
	// The test does not run inline, because inline, no other handler could run during on_open.
	s := fapwstest.Serve(t, fapwstest.Workers, "broadcast.py")
	a := s.Socket("/room")
	opened := opening(s, "slowly")
	says(t, a, "group slowly come in")
	c := <-opened
	if c == nil {
		return
	}
	defer c.Conn.Close()
	gets(t, c, "come in")
}

func TestBroadcastsThatWaitCountAsMemoryHoweverSmall(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "broadcast.py")
	a := s.Socket("/room")
	opened := opening(s, "gate")
	const most = 1 << 20 / 200
	s.Get(fmt.Sprintf("/heavy?%dx1", most), 200).Is(t, "all")
	for n := 0; n < most; {
		if told(t, a) == "x" {
			n++
		}
	}
	s.Get("/open", 200)
	if c := <-opened; c != nil {
		defer c.Conn.Close()
		for n, err := 0, error(nil); err == nil; n++ {
			_, _, err = c.Receive()
			fapwstest.Needf(t, n != most-1, "all messages waited")
		}
	}
}

func TestBroadcastsAtAReloadReachOldAndNewWorkers(t *testing.T) {
	t.Parallel()
	script := fapwstest.Copied(t, "broadcast.py")
	s := fapwstest.Command{Script: script}.Serve(t, fapwstest.Workers)
	a, b := onBoth(s, "/room")
	folder := t.TempDir()
	answered := make(chan string)
	go func() { answered <- s.Get("/late?"+folder, 200).Text }()
	fapwstest.FileSays(t, folder+"/entered", "") // by an old worker
	fapwstest.Change(t, script, "VERSION = 1", "VERSION = 2")
	fapwstest.Change(t, script, "def repeat", "def another")
	fapwstest.Change(t, script, "on_message=repeat", "on_message=another")
	fapwstest.Change(t, script, "PATHS = [", `PATHS = [("/first", WebSocket(enter, hear, leave)), `)
	s.SignalLogs(syscall.SIGHUP, "reloaded: 2 workers")
	for _, c := range []*wstest.Client{a, b} {
		_, version := pidOf(t, c)
		fapwstest.Equalf(t, version, "1", "version")
		_, err := c.CloseWith(1000, "")
		fapwstest.Equal(t, err, nil)
	}
	a, b = onBoth(s, "/room?x")
	first, other := s.Socket("/first?x"), s.Socket("/other")
	fapwstest.Write(t, folder+"/go", "")
	fapwstest.Equalf(t, <-answered, "done", "the old worker answered")
	for _, c := range []*wstest.Client{a, b} {
		gets(t, c, "late, from 1")
		gets(t, c, "late, to x")
	}
	says(t, first, "pid")
	got := told(t, first)
	fapwstest.Truef(t, strings.HasSuffix(got, " 2"), "got %q", got)
	says(t, other, "to the new one")
	gets(t, other, "to the new one")
	_, version := pidOf(t, a)
	fapwstest.Equalf(t, version, "2", "version")
	says(t, a, "thread after it")
	gets(t, a, "after it")
	gets(t, b, "after it")
	pid, _ := pidOf(t, b)
	number, _ := strconv.Atoi(pid)
	fapwstest.Kill(t, syscall.SIGKILL, number)
	s.Complains = true
	says(t, a, "thread still here")
	gets(t, a, "still here")
	fapwstest.Eventually(t, "one is counted", func() bool { return s.Get("/count", 200).Text == "1" })
}

// A client that does not read disconnects while the server waits for it.
func TestReloadCallsOnCloseOnceForEachWebSocket(t *testing.T) {
	t.Parallel()
	text := fapwstest.Source(t, "refused.py")
	folder := t.TempDir()
	script := fapwstest.Write(t, filepath.Join(folder, "refused.py"), text)
	s := fapwstest.Command{Script: script, Complains: true, Flags: []string{"--ws-reload-grace", "0"}}.Serve(t,
		fapwstest.Workers)
	var clients []*wstest.Client
	for i := range 10 {
		c := s.Socket(fmt.Sprintf("/room?%d", i))
		answers(t, c, "hello", "hello")
		clients = append(clients, c)
	}
	behind := s.Socket("/room?behind")
	says(t, behind, "much")
	old := s.Workers()
	fapwstest.Change(t, script, `("/room"`, `("/elsewhere"`)
	s.Signal(syscall.SIGHUP)
	for _, c := range clients {
		closesWith(t, c, 1012, "")
	}
	time.Sleep(300 * time.Millisecond)
	fapwstest.ResetSocket(behind)
	s.Says("reloaded: 2 workers")
	s.HasWorkers(2, old...)
	lines := strings.Fields(fapwstest.Read(t, filepath.Join(folder, "closed")))
	slices.Sort(lines)
	fapwstest.Equalf(t, strings.Join(lines, " "), "0 1 2 3 4 5 6 7 8 9 behind", "on_close was called for")
}

func TestSendersThatExceedTheQueueWait(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "broadcast.py", "--channel-max-event", "16M")
		l := listen(s, "/news")
		go func() {
			for _, err := l.next(); err == nil; _, err = l.next() {
			}
		}()
		for target, function := range map[string]string{"/heavy?300x60000": "broadcast", "/flood?30000x400": "publish"} {
			behind := function + ": queue full: 8 MiB of events are waiting, said "
			switch got := s.Get(target, 200).Text; {
			// Inline, the event loop cannot send while it runs a handler, so the call fails at once.
			case m.Inline() && got == behind+"at once":
			case !m.Inline() && (got == "all" || got == behind+"after a second"):
			default:
				t.Errorf("got %q", got)
			}
		}
		fapwstest.Eventually(t, "all of it has been sent", func() bool {
			c := s.Socket("/room")
			defer c.Conn.Close()
			says(t, c, "thread and it goes on")
			for {
				_, got, err := c.Receive()
				if err != nil || string(got) == "and it goes on" {
					return err == nil
				}
			}
		})
	})
}

func TestBroadcastClosesAClientThatDoesNotReadWith1013(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "broadcast.py")
		onBoth(s, "/room") // neither reads
		quick := s.Socket("/room")
		heard := make(chan error)
		var got atomic.Int64
		go func() {
			for {
				_, message, err := quick.Receive()
				if err != nil || string(message) == "end" {
					heard <- err
					return
				}
				got.Add(int64(len(message)))
			}
		}()
		total := int64(0)
		gone := func() bool { return strings.Count(s.Get("/left", 200).Text, "1013 too slow") > 0 }
		for end := time.Now().Add(fapwstest.Patience); !gone(); {
			s.Get("/heavy?10x50000", 200).Is(t, "all")
			fapwstest.Needf(t, !time.Now().After(end), "no client was closed")
			total += 500000
			fapwstest.Eventually(t, "the clients that read have it", func() bool { return got.Load() == total })
		}
		says(t, s.Socket("/room"), "thread end")
		select {
		case err := <-heard:
			fapwstest.Truef(t, err == nil && got.Load() == total, "who reads has got %d bytes of %d, %v", got.Load(), total, err)
		case <-time.After(fapwstest.Patience):
			t.Error("who reads has not got everything")
		}
	})
}

func TestMessagesWithoutBytesCountAsMemory(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "letters.py:application", "--lifespan", "off")
	s.GetLogs("/", 204, `warning asyncio thread blocked; dropping messages of the channel layer`)
}

func TestGroupMessageReachesASGIWebSocketsInAllWorkers(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "groups.py:application"}.Serve(t, m)
		a, b := onBoth(s, "/")
		both := func(want string) {
			t.Helper()
			gets(t, a, want)
			gets(t, b, want)
		}
		fapwstest.Eventually(t, "two are in the lobby", func() bool { return s.Get("/?lobby", 200).Text == "2" })
		says(t, a, "to lobby hello")
		both("hello")
		says(t, b, "thread from a thread")
		both("from a thread")
		says(t, b, `json {"é": [1, null]}`)
		both(`{"é":[1,null]}`)
		fapwstest.Must(t, a.Send(wstest.Binary, []byte{0, 255, 7}))
		both("\x00\xff\x07")

		says(t, b, "join other")
		gets(t, b, "joined")
		says(t, a, "to other for one")
		gets(t, b, "for one")
		says(t, b, "leave lobby")
		gets(t, b, "left")
		says(t, a, "to lobby not for b")
		says(t, a, "to other for b")
		gets(t, b, "for b")
		gets(t, a, "not for b")
		early := s.Socket("/?early")
		gets(t, early, "before it is accepted")
		gets(t, early, "and in order")
		_, err := wstest.Dial(s.Address, "/?refused")
		fapwstest.Truef(t, err != nil, "it was not refused")
		says(t, a, "close")
		closesWith(t, a, 4000, "")
		fapwstest.Eventually(t, "the lobby is empty", func() bool { return s.Get("/?lobby", 200).Text == "0" })
		says(t, b, "errors")
		gets(t, b, strings.Join([]string{
			"TypeError groups.join: takes a WebSocket or its ASGI scope, not None",
			"TypeError groups.join: takes a WebSocket or its ASGI scope, not {'type': 'http'}",
			"RuntimeError groups.join: this WebSocket does not belong to fapws",
			"TypeError a group must be a str, not int",
			"ValueError a group must have 1 to 128 characters, not 129",
			"ValueError groups.join: a WebSocket can be in up to 1000 groups",
			"ValueError a group must have 1 to 128 characters, not 0",
			"ValueError broadcast: the message has 70000 bytes; --channel-max-event allows 65536",
			"TypeError Object of type object is not JSON serializable",
			"TypeError a group must be a str, not int",
		}, "\n"))
	})
}
