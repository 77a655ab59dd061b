package live_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// atRest waits until counter has increased and then stayed the same for a moment. On a slow machine, the counter may
// increase again after atRest has returned, so callers must not rely on a final value.
func atRest(t *testing.T, counter func() int64) {
	t.Helper()
	last, same := int64(0), 0
	fapwstest.Eventually(t, "it is at rest", func() bool {
		now := counter()
		if now != last || now == 0 {
			same = 0
		}
		last = now
		same++
		return same > 100
	})
}

// smallBuffers makes the kernel buffer little data between c and its server, whatever the settings of the system.
func smallBuffers(c *wstest.Client) *wstest.Client {
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(256 << 10)
	_ = c.Conn.(*net.TCPConn).SetWriteBuffer(256 << 10)
	return c
}

// kib returns a limit for the growth of memory. With the race detector, the limit is 16 times as high.
func kib(n int) int {
	if fapwstest.OnlyMode != "" {
		return 16 * n
	}
	return n
}

func says(t *testing.T, c *wstest.Client, text string) {
	t.Helper()
	fapwstest.Equal(t, c.SendText(text), nil)
}

// answers fails unless the next message after text is want.
func answers(t *testing.T, c *wstest.Client, text, want string) {
	t.Helper()
	says(t, c, text)
	fapwstest.Hears(t, c, want)
}

func closesWith(t *testing.T, c *wstest.Client, code int, reason string) {
	t.Helper()
	var closed *wstest.Closed
	for {
		_, _, err := c.Receive()
		if err == nil {
			continue
		}
		fapwstest.Truef(t, errors.As(err, &closed) && closed.Code == code && closed.Reason == reason,
			"got %v; want it closed with %d %q", err, code, reason)
		break
	}
	c.Conn.Close()
}

func notes(s *fapwstest.Server, want string) {
	s.T.Helper()
	var got string
	fapwstest.Eventually(s.T, fmt.Sprintf("notes %q", want), func() bool {
		if more := s.Get("/noted", 200).Text; more != "" {
			got = strings.TrimPrefix(got+"\n"+more, "\n")
		}
		return got == want || len(got) >= len(want)
	})
	fapwstest.Equalf(s.T, got, want, "noted")
}

// The callback calls send() until send() raises an exception, because the client has closed the WebSocket. The test
// does not run inline, because the callback would block the event loop.
func TestWebSocketSendFailsAfterTheClientHasClosed(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "sockets.py")
	c := s.Socket("/endless")
	fapwstest.Hears(t, c, "tick")
	go c.CloseWith(4005, "enough")
	notes(s, "ClientDisconnected\nclosed 4005 enough")
}

func TestWebSocketForSynchronousCodeReceivesAndSends(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "sockets.py", Complains: true}.Serve(t, m)
		c := s.Socket("/room/x", "Sec-WebSocket-Protocol: one, two", "Origin: https://app.example", wstest.Deflate)
		fapwstest.Equalf(t, c.Response.Header.Get("Sec-WebSocket-Protocol"), "two", "subprotocol")
		other := s.Socket("/room", "Origin: http://localhost")
		for _, text := range []string{"echo hé", "echo " + strings.Repeat("longer ", 30000)} {
			answers(t, c, text, text)
		}
		data := bytes.Repeat([]byte{0, 255, 7}, 100000)
		fapwstest.Must(t, c.Send(wstest.Binary, data))
		fapwstest.Hears(t, c, string(data))
		says(t, other, "all together")
		fapwstest.Hears(t, c, "together")
		fapwstest.Hears(t, other, "together")
		s.Get("/shout?5", 200).Is(t, "2")
		fapwstest.Hears(t, c, "!!!!!")
		fapwstest.Hears(t, other, "!!!!!")
		closed, err := c.CloseWith(4001, "bye")
		fapwstest.Truef(t, err == nil && closed.Code == 4001, "%v %v", closed, err)
		notes(s, "left 4001 bye")
		says(t, other, "close 4002 as you wish")
		closesWith(t, other, 4002, "as you wish")
		notes(s, "left 4002 as you wish")

		for _, origin := range []string{"https://localhost", "HTTPS://LOCALHOST:443", "https://a.b.example.net"} {
			_, err := s.Socket("/room", "Origin: "+origin).CloseWith(1000, "raise")
			fapwstest.Equal(t, err, nil)
			notes(s, "left 1000 raise")
		}
		s.Says(`error in on_close of handler .*\nTraceback(.*\n)+RuntimeError: on_close fails`)
		c = s.Socket("/room?speaks")
		fapwstest.Hears(t, c, "hello")
		closesWith(t, c, 4001, "not today")
		notes(s, "left 4001 not today")
		c = s.Socket("/room?sent")
		fapwstest.Hears(t, c, "hello")
		closesWith(t, c, 1008, "")
		notes(s, "left 1008 ")
		c = s.Socket("/room")
		says(t, c, "wrong")
		closesWith(t, c, 4003, "")
		notes(s, "TypeError\nTypeError 1\nTypeError\nUnicodeEncodeError\nValueError 999\nValueError 1005\nValueError "+
			"1006\nValueError 1015\nValueError 2000\nValueError 5000\n"+
			"ValueError 1000\nRuntimeError\nBrokenPipeError\nleft 4003 ")
		c = s.Socket("/room")
		says(t, c, "raise something")
		closesWith(t, c, 1011, "")
		notes(s, "left 1011 ")
		s.Says(`error in on_message of handler .*WebSocket\(hear\), GET /room HTTP/1.1 from 127.0.0.1 \(thread \d+\)\n` +
			`Traceback(.*\n)+RuntimeError: something`)

		c = s.Socket("/room")
		fapwstest.ResetSocket(c)
		notes(s, "left 1006 ")

		for _, r := range []struct {
			path, origin string
			status       int
			body         string
		}{
			{"/room?false", "", 403, ""},
			{"/room?teapot", "", 418, "short and stout"},
			{"/room?gone", "", 410, "it was here"},
			{"/room?raises", "", 500, ""},
			{"/room", "https://evil.example", 403, "is not allowed"},
			{"/room", "http://app.example", 403, ""},
			{"/room", "null", 403, ""},
			{"/room", "http://localhost:81", 403, ""},
			{"/room", "http://localhost.evil.example", 403, ""},
			{"/room", "http://user@localhost", 403, ""},
			{"/room", "http://a.example.net", 403, ""},
		} {
			var fields []string
			if r.origin != "" {
				fields = append(fields, "Origin: "+r.origin)
			}
			fapwstest.DeniesSocket(t, s.Address, r.status, r.body, r.path, fields...)
		}
		s.Says(`warning a page of 'https://evil.example' asked for the WebSocket '/room' of 'localhost' and was refused`)
		notes(s, "left 1011 ")
		for _, fields := range [][]string{nil, {"Connection: Upgrade", "Upgrade: websocket",
			"Sec-WebSocket-Version: 12", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}} {
			h := s.Get("/room", 426, fields...).Header
			fapwstest.Truef(t, slices.Equal(h["Upgrade"], []string{"websocket"}) &&
				slices.Equal(h["Connection"], []string{"Upgrade"}), "426: %v", h)
		}
	})
}

func TestWebSocketMessagesAfterTheCloseAreNotDecompressed(t *testing.T) {
	t.Parallel()
	c := fapwstest.Serve(t, fapwstest.Threads, "sockets.py").Socket("/room", wstest.Deflate)
	says(t, c, "close 4002 enough")
	f, err := c.ReadFrame()
	fapwstest.Needf(t, err == nil && f.Op() == 8, "%v %v", f, err)
	send := func(first byte, payload string) { fapwstest.Must(t, c.WriteFrame(first, []byte(payload))) }
	send(wstest.Fin|wstest.RSV1|wstest.Text, "no deflate")
	_ = c.Conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	// The server must still wait for the client's close frame. If it had tried to decompress the message, it would have
	// disconnected the client.
	f, err = c.ReadFrame()
	fapwstest.Truef(t, errors.Is(err, os.ErrDeadlineExceeded), "%v %v", f, err)
	_ = c.Conn.SetReadDeadline(time.Time{})
	send(wstest.Fin|wstest.Close, "\x0f\xa2")
	f, err = c.ReadFrame()
	fapwstest.Equalf(t, err, io.EOF, "%v", f)
}

func TestWebSocketsGet1001AndOnCloseWhenTheServerStops(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "sockets.py")
		a, b := s.Socket("/room"), s.Socket("/room")
		lingers := fapwstest.Repeat(8, func(int) *wstest.Client { return s.Socket("/room?lingers") })
		says(t, b, "sleep 0.3")
		time.Sleep(50 * time.Millisecond)
		s.Signal(syscall.SIGTERM)
		closesWith(t, a, 1001, "")
		closesWith(t, b, 1001, "")
		for _, c := range lingers {
			closesWith(t, c, 1001, "")
		}
		s.EndsWith(0)
		fapwstest.Equalf(t, strings.Count(s.Stdout.String(), "left 1001"), 2+len(lingers), "on_close")
	})
}

func TestOverdueWebSocketCallbackClosesWith1011(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "sockets.py", "--timeout", "1")
		var c *wstest.Client
		// On a busy machine, even the callback for a short message may time out, so the test connects again.
		echoes := func() bool {
			if c.SendText("echo hello") != nil {
				return false
			}
			_, got, err := c.Receive()
			return err == nil && string(got) == "echo hello"
		}
		fapwstest.Eventually(t, "a connection that was idle for longer than the timeout is alive", func() bool {
			var err error
			if c, err = wstest.Dial(s.Address, "/room"); err != nil {
				return false
			}
			t.Cleanup(func() { c.Conn.Close() })
			return echoes() && s.Get("/hang", 504) != nil && echoes()
		})
		says(t, c, "hang")
		s.Says(`GET /room HTTP/1.1 from 127.0.0.1 port \d+ timed out after .* in handler .*WebSocket\(hear\) ` +
			`\(thread \d+\); stack:\n(.*\n)*.*time.sleep\(0.01\)`)
		closesWith(t, c, 1011, "")
		fapwstest.Eventually(t, "on_close", func() bool {
			return strings.Contains(s.Dial().InTime("/noted").Text, "left 1011 ")
		})
	})
}

func TestWebSocketsAreShownOnTheStack(t *testing.T) {
	t.Parallel()
	// The check may take longer than --ws-ping-timeout, so the server sends no pings.
	s := fapwstest.Serve(t, fapwstest.Threads, "sockets.py", "--ws-ping-interval", "0")
	s.Socket("/room?idle")
	c := s.Socket("/room?busy")
	says(t, c, "wait")
	fapwstest.Eventually(t, "the stack of a callback", func() bool {
		_, out, _ := s.Ctl("stack")
		return strings.Contains(out, "/room?idle") && strings.Contains(out, "WebSocket, idle") && strings.Contains(out,
			"gate.wait()")
	})
	s.Get("/open", 200)
	fapwstest.Hears(t, c, "waited")
}

func TestThousandWebSocketsNeedNoThreadsAndReleaseAll(t *testing.T) {
	t.Parallel()
	const crowd = 1000
	s := fapwstest.Serve(t, fapwstest.Threads, "sockets.py", "--max-clients", "3000", "--ws-ping-interval", "0")
	var n, threads, files, memory [3]int
	look := func(i int) { fmt.Sscan(s.Get("/state", 200).Text, &n[i], &threads[i], &files[i], &memory[i]) }
	s.Get("/state", 200)
	look(0)
	all := make([]*wstest.Client, crowd)
	for i := range all {
		all[i] = s.Socket("/room")
	}
	look(1)
	perOne := float64(memory[1]-memory[0]) / crowd
	fapwstest.Truef(t, n[1] == crowd && perOne <= float64(kib(12)), "%d websockets, %.1f KiB each", n[1], perOne)
	var echoed sync.WaitGroup
	for i, c := range all {
		echoed.Go(func() {
			for k := range 5 {
				text := fmt.Sprintf("echo %d of %d", k, i)
				answers(t, c, text, text)
			}
		})
	}
	echoed.Wait()
	s.Get("/shout?10", 200).Is(t, fmt.Sprint(crowd))
	for i, c := range all {
		fapwstest.Hears(t, c, "!!!!!!!!!!")
		if i%2 == 0 {
			c.CloseWith(1000, "")
		}
		c.Conn.Close()
	}
	fapwstest.Eventually(t, "all have left", func() bool {
		look(2)
		return n[2] == 0 && files[2] <= files[0]+2 && threads[2] <= threads[0]+4
	})
}

func TestWebSocketsComeAndGoWithoutLeaks(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "sockets.py")
		var n, threads, files, first, memory int
		comeAndGo(t, s, "/room", func(c *wstest.Client, turn int) {
			switch turn {
			case 0:
				c.CloseWith(1000, "")
			case 1:
				c.SendText("close 4000 here")
				c.CloseWith(4001, "there")
			case 2:
				c.SendText("echo nobody hears it")
				c.Conn.(*net.TCPConn).SetLinger(0)
			}
		}, func() (int, bool) {
			fmt.Sscan(s.Get("/state", 200).Text, &n, &threads, &files, &memory)
			left := n == 0 && (first == 0 || files <= first+2)
			if left && first == 0 {
				first = files
			}
			return memory, left
		})
	})
}

// comeAndGo opens WebSockets and closes each in one of four ways, until the memory of the server no longer grows. state
// returns the memory of the server, and whether everything else is released.
func comeAndGo(t *testing.T, s *fapwstest.Server, path string, leave func(c *wstest.Client, turn int),
	state func() (memory int, left bool)) {
	round := func(turns int) (memory int) {
		fapwstest.AtOnce(4, func(w int) {
			for i := range turns {
				c, err := wstest.Dial(s.Address, path)
				if err != nil {
					t.Error(err)
					return
				}
				leave(c, (i+w)%4)
				c.Conn.Close()
			}
		})
		fapwstest.Eventually(t, "all have left", func() (left bool) {
			memory, left = state()
			return left
		})
		s.Get("/noted", 200)
		return memory
	}
	round(100)
	before := round(100)
	after := round(400)
	// On a busy machine, the memory may grow in one round, but only a leak makes it grow in all rounds.
	for tries := 0; after > before+kib(5000); tries++ {
		fapwstest.Needf(t, tries != 3, "memory went from %d to %d KiB", before, after)
		before, after = after, round(400)
	}
}

func TestWebSocketSlowReaderAffectsNobodyElse(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "sockets.py")
	c := s.Socket("/room")
	slow := smallBuffers(s.Socket("/room?slow"))
	var n, threads, files, before, after int
	fmt.Sscan(s.Get("/state", 200).Text, &n, &threads, &files, &before)
	sent := 0
	for range 800 {
		sent++
		if s.Get("/shout?65536", 200).Text == "1" {
			break
		}
		fapwstest.Equal(t, len(fapwstest.Received(t, c)), 65536)
	}
	fapwstest.Truef(t, sent >= 10 && sent != 800, "the slow one was given up after %d messages", sent)
	fmt.Sscan(s.Get("/state", 200).Text, &n, &threads, &files, &after)
	fapwstest.Truef(t, after <= before+kib(16<<10), "memory went from %d to %d KiB", before, after)
	fapwstest.Hears(t, c, strings.Repeat("!", 65536))
	closesWith(t, slow, 1013, "too slow")
	notes(s, "left 1013 too slow")
}

func TestWebSocketSendWaitsForTheClient(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "sockets.py")
		c := s.Socket("/room")
		other := s.Socket("/room")
		c.Conn.Close()
		notes(s, "left 1006 ")
		s.Get("/task", 200).Is(t, "TimeoutError")
		other.Conn.Close()
		notes(s, "left 1006 ")
		c = smallBuffers(s.Socket("/room"))
		says(t, c, "pour")
		if m.Inline() {
			notes(s, "pouring: TimeoutError")
			return
		}
		time.Sleep(300 * time.Millisecond)
		s.Get("/state", 200) // works only if the waiting send() has released the GIL
		for total := 0; total < 4096*16384; {
			total += len(fapwstest.Received(t, c))
		}
		notes(s, "poured")
		says(t, c, "pour_soon")
		notes(s, "pouring: TimeoutError")
		says(t, c, "echo all before")
		for got := ""; got != "echo all before"; {
			got = fapwstest.Received(t, c)
		}
		says(t, c, "pour")
		c.Receive()
		fapwstest.ResetSocket(c)
		notes(s, "pouring: ClientDisconnected\nleft 1006 ")
	})
}

func TestWebSocketSmallMessagesDoNotFillMemory(t *testing.T) {
	s := fapwstest.Serve(t, fapwstest.Threads, "sockets.py")
	c := smallBuffers(s.Socket("/room"))
	before := s.RSS()
	says(t, c, "drip")
	s.Stalls("send() waits for the client", "/drops")
	s.GrownAtMost(before, 64<<20)
	fapwstest.ResetSocket(c)
	notes(s, "dripping: ClientDisconnected\nleft 1006 ")
}

func TestWebSocketClientMayDisconnectDuringOnOpen(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "broadcast.py")
	conn := fapwstest.Try(net.Dial("tcp", s.Address)).Must(t)
	const handshake = "GET /room?slowly HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	fapwstest.Try(conn.Write([]byte(handshake))).Must(t)
	fapwstest.Eventually(t, "on_open runs", func() bool { return s.Get("/count?slowly", 200).Text == "1" })
	conn.Close()
	left := ""
	fapwstest.Eventually(t, "on_close", func() bool { left = s.Get("/left", 200).Text; return left != "" })
	fapwstest.Equalf(t, left, "1006 ", "closed with")
}

func TestWebSocketFloodWaitsAtTheClientOfASlowCallback(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "sockets.py") // inline, a slow callback would block the event loop
	c := smallBuffers(s.Socket("/room"))
	var n, threads, files, before, after int
	fmt.Sscan(s.Get("/state", 200).Text, &n, &threads, &files, &before)
	says(t, c, "wait")
	var total atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 500 {
			if c.Send(wstest.Binary, bytes.Repeat([]byte("x"), 65536)) != nil {
				break
			}
			total.Add(1)
		}
	}()
	atRest(t, total.Load)
	fmt.Sscan(s.Get("/state", 200).Text, &n, &threads, &files, &after)
	fapwstest.Truef(t, after <= before+kib(4<<10), "memory went from %d to %d KiB", before, after)
	fapwstest.Truef(t, total.Load() != 500, "the server took all messages before the callback returned")
	s.Get("/open", 200)
	fapwstest.Hears(t, c, "waited")
	for i := range 500 {
		fapwstest.Equalf(t, len(fapwstest.Received(t, c)), 65536, "message %d", i)
	}
	<-done
	fapwstest.Truef(t, total.Load() == 500, "%v were sent", total.Load())
}

func TestWebSocketSurvivesAForkInItsCallback(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		c := fapwstest.Serve(t, m, "sockets.py").Socket("/room")
		answers(t, c, "fork", "7")
		answers(t, c, "echo still one", "echo still one")
	})
}
