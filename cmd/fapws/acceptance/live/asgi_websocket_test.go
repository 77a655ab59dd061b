package live_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

func TestASGIWebSocketReceivesAndSends(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgisockets.py", Complains: true}.Serve(t, m)
		c := s.Socket("/echo/a%20b?q=%C3%A9", "Sec-WebSocket-Protocol: one", "Sec-WebSocket-Protocol: two, three",
			wstest.Deflate)
		h := c.Response.Header
		fapwstest.Truef(t, h.Get("Sec-WebSocket-Protocol") == "three" && h.Get("X-Said") == "yes", "%v", h)
		for _, text := range []string{"hé", "", strings.Repeat("longer ", 50000)} {
			answers(t, c, text, text)
		}
		data := bytes.Repeat([]byte{0, 255, 7}, 100000)
		c.Send(wstest.Binary, data)
		fapwstest.Hears(t, c, string(data))
		says(t, c, "scope")
		var scope map[string]any
		fapwstest.Must(t, json.Unmarshal([]byte(fapwstest.Received(t, c)), &scope))
		for key, want := range map[string]string{
			"type": "websocket", "scheme": "ws", "path": "/echo/a b", "raw": "/echo/a%20b", "query": "q=%C3%A9",
			"root_path": "", "client": "127.0.0.1",
			"http_version": "1.1", "subprotocols": "[one two three]",
			"extensions": "map[fapws.groups:map[socket:4.294967296e+09] websocket.http.response:map[]]",
			"asgi":       "map[spec_version:2.5 version:3.0]",
			"state":      "map[]", "method": "<nil>",
		} {
			fapwstest.Equalf(t, fmt.Sprint(scope[key]), want, "%s", key)
		}
		closed, err := c.CloseWith(4001, "bye")
		fapwstest.Truef(t, err == nil && closed.Code == 4001, "%v %v", closed, err)
		notes(s, "disconnect 4001 bye")
		c = s.Socket("/echo")
		fapwstest.ResetSocket(c)
		notes(s, "disconnect 1006 ")

		c = s.Socket("/closes")
		fapwstest.Hears(t, c, "last words")
		closesWith(t, c, 4321, strings.Repeat("é", 61))
		notes(s, "4321\nRuntimeError\nRuntimeError\nRuntimeError")
		closesWith(t, s.Socket("/returns"), 1000, "")
		closesWith(t, s.Socket("/raises"), 1011, "")
		s.Says(`error in handler .*, GET /raises HTTP/1.1 from 127.0.0.1 \(asyncio thread\)\n` +
			`Traceback(.*\n)+RuntimeError: the application fails`)

		for _, d := range []struct {
			path        string
			status      int
			body, notes string
		}{
			{"/denies", 403, "", "websocket.disconnect\nRuntimeError"},
			{"/explains", 451, "not here", "RuntimeError\nRuntimeError"},
			{"/raises?early", 500, "", ""},
			{"/silent", 500, "", ""},
		} {
			fapwstest.DeniesSocket(t, s.Address, d.status, d.body, d.path)
			if d.notes != "" {
				notes(s, d.notes)
			}
		}
		s.Says(`GET /silent HTTP/1.1 from 127.0.0.1: the application returned without 'websocket.accept' or ` +
			`'websocket.close'`)

		c = s.Socket("/wrong")
		fapwstest.Hears(t, c, "still here")
		notes(s, "RuntimeError\nRuntimeError\nTypeError\nValueError\nTypeError\nTypeError\nValueError\nValueError\n"+
			"RuntimeError\nValueError\nTypeError\nTypeError\nValueError\nUnicodeEncodeError\nValueError\n"+
			"TypeError\nRuntimeError")
		c.Conn.Close()

		c = s.Socket("/several")
		for i := range 3 {
			fapwstest.Hears(t, c, fmt.Sprint("tick ", i))
		}
		time.Sleep(50 * time.Millisecond)
		answers(t, c, "this", "heard this")
		closesWith(t, c, 1000, "")
	})
}

// The server sends the fields of the WebSocket handshake (RFC 6455 §4.2.2).
func TestASGIWebSocketThatBreaksTheHandshakeFails(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgisockets.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, c := range []struct{ query, says string }{
		{"field=Sec-WebSocket-Accept", `'headers' of 'websocket\.accept' must not have '(?i)Sec-WebSocket-Accept'`},
		{"field=sec-websocket-extensions", `'headers' of 'websocket\.accept' must not have '(?i)sec-websocket-extensions'`},
		{"field=Sec-WebSocket-Protocol", `'headers' of 'websocket\.accept' must not have '(?i)Sec-WebSocket-Protocol'`},
	} {
		var denied *wstest.Denied
		_, err := wstest.Dial(s.Address, "/accepts?"+c.query, "Sec-WebSocket-Protocol: one, Two")
		fapwstest.Truef(t, errors.As(err, &denied) && denied.Response.StatusCode == 500, "%s: %v", c.query, err)
		s.Says(`\nValueError: send\(\): ` + c.says)
	}
	// wstest.Dial fails if the client did not offer the subprotocol of the response.
	for _, query := range []string{"subprotocol=Two", "subprotocol=", "subprotocol=two", "field=x-said"} {
		closesWith(t, s.Socket("/accepts?"+query, "Sec-WebSocket-Protocol: one, Two"), 1000, "")
	}
}

func TestASGIWebSocketTasksNoticeADisconnectAtOnce(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgisockets.py")
	for range 2 {
		c := s.Socket("/waits")
		fapwstest.ResetSocket(c)
		notes(s, "told: 1006")
		c = s.Socket("/waits")
		go c.CloseWith(4007, "")
		notes(s, "told: 4007")
		c = smallBuffers(s.Socket("/pours"))
		c.Receive()
		time.Sleep(100 * time.Millisecond)
		fapwstest.ResetSocket(c)
		notes(s, "pouring: at once")
	}
}

func TestASGIWebSocketBackPressureWorksInBothDirections(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgisockets.py")
	memory := func() (n int) {
		var live int
		fmt.Sscan(s.Get("/memory", 200).Text, &live, &n)
		return n
	}
	before := memory()
	c := s.Socket("/pours")
	c.Receive()
	d := s.Socket("/sleeps")
	sent := make(chan int)
	go func() {
		n := 0
		for range 400 {
			if d.Send(wstest.Binary, bytes.Repeat([]byte("x"), 65536)) != nil {
				break
			}
			n++
		}
		sent <- n
	}()
	time.Sleep(400 * time.Millisecond)
	fapwstest.Eventually(t, "hardly more memory", func() bool { return memory() <= before+kib(8<<10) })
	for range 400 {
		fapwstest.Hears(t, d, "65536")
	}
	n := <-sent
	fapwstest.Truef(t, n == 400, "%v were sent", n)
	for range 500 {
		fapwstest.Equal(t, len(fapwstest.Received(t, c)), 65536)
	}
	c.Conn.Close()
}

func TestASGIWebSocketsGet1001WhenTheServerStops(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgisockets.py")
	a, b := s.Socket("/echo"), s.Socket("/waits")
	s.Signal(syscall.SIGTERM)
	closesWith(t, a, 1001, "")
	closesWith(t, b, 1001, "")
	s.EndsWith(0)
	said := s.Stdout.String()
	fapwstest.Truef(t, strings.Contains(said, "disconnect 1001 ") && strings.Contains(said, "told: 1001"),
		"the applications said %q", said)
}

func TestASGIWebSocketsComeAndGoWithoutLeaks(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgisockets.py")
	comeAndGo(t, s, "/echo", func(c *wstest.Client, turn int) {
		switch turn {
		case 0:
			c.CloseWith(1000, "")
		case 1:
			c.SendText("nobody hears it")
			c.Conn.(*net.TCPConn).SetLinger(0)
		case 2:
			answers(t, c, "x", "x")
		}
	}, func() (memory int, left bool) {
		live := -1
		fmt.Sscan(s.Get("/live", 200).Text, &live, &memory)
		return memory, live == 0
	})
}

// The application may still send messages after the client's close frame has arrived, because the application has not
// received the disconnect event yet.
func TestASGIApplicationGetsMessagesThatPrecedeTheClose(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/closing.py:app", "--write-timeout", "3s")
	open := func(path string, messages ...string) *wstest.Client {
		c := s.Socket(path)
		var all []byte
		for _, m := range messages {
			all = c.AppendFrame(all, wstest.Fin|wstest.Text, []byte(m))
		}
		all = c.AppendFrame(all, wstest.Fin|wstest.Close, []byte("\x0f\xa1bye"))
		fapwstest.Try(c.Conn.Write(all)).Must(t)
		return c
	}
	noted := func(path, want string) {
		t.Helper()
		got := ""
		fapwstest.Eventually(t, path+" notes "+want, func() bool {
			got = s.Get("/noted"+path, 200).Text
			return len(got) >= len(want)
		})
		fapwstest.Equalf(t, got, want, "%s", path)
	}
	// closes returns the messages that precede the close frame. The server waits a second for the application
	// before it sends this frame.
	closes := func(c *wstest.Client) (before []string) {
		t.Helper()
		for {
			f, err := c.ReadFrame()
			fapwstest.Needf(t, err == nil, "%v after %v", err, before)
			if f.Op() == wstest.Close {
				code, _ := f.Code()
				fapwstest.Equalf(t, code, 4001, "closed with")
				break
			}
			if len(before) < 100 {
				before = append(before, string(f.Payload))
			}
		}
		c.Conn.Close()
		return before
	}

	for _, test := range []struct {
		path          string
		messages      []string
		echoed, noted string
	}{
		{"/answers/none", nil, "", "disconnect 4001 bye OSError"},
		{"/answers/one", []string{"0"}, "0", "sent 0 disconnect 4001 bye OSError"},
		{"/answers/later", []string{"0", ".01", ".02"}, "0 .01 .02", "sent 0 sent .01 sent .02 disconnect 4001 bye OSError"},
		// The application answers too late, so the client gets no messages. The application still gets all messages
		// that the client sent before the close frame.
		{"/answers/slow", []string{"1.6", "0", ".0", "0.0"}, "",
			"sent 1.6 sent 0 sent .0 sent 0.0 disconnect 4001 bye OSError"},
		{"/listens", []string{"x", "y"}, "", "disconnect OSError"},
		{"/stays", nil, "", "websocket.disconnect"},
	} {
		began := time.Now()
		got := strings.Join(closes(open(test.path, test.messages...)), " ")
		fapwstest.Truef(t, got == test.echoed || time.Since(began) >= time.Second, "%s: the client got %q, want %q",
			test.path, got, test.echoed)
		noted(test.path, test.noted)
	}

	c := open("/answers/gone", "0.3", "0")
	c.Conn.Close()
	noted("/answers/gone", "sent 0.3 sent 0 disconnect 4001 bye OSError")

	// A task that never calls receive() can continue for a limited time.
	closes(open("/pushes"))
	noted("/pushes", "OSError")
	closes(open("/pushes/unread", "x", "y"))
	noted("/pushes/unread", "OSError")
	closes(open("/floods", "x"))
	noted("/floods", "OSError")
	c = open("/floods/unread")
	c.Conn.(*net.TCPConn).CloseWrite()
	noted("/floods/unread", "OSError")
	c = open("/counts/gone", "x")
	fapwstest.ResetSocket(c)
	s.Get("/gone", 200)
	noted("/counts/gone", "few")
}

// Workers with the old code send 1012 only when they no longer accept connections, so a client that reconnects at once
// gets the new code.
func TestASGIReloadClosesWebSocketsWith1012AfterNewWorkersAccept(t *testing.T) {
	t.Parallel()
	script := fapwstest.Copied(t, "version.py")
	s := fapwstest.Command{Script: script + ":application", Flags: []string{"--ws-reload-grace", "0"}}.Serve(t,
		fapwstest.Workers)
	const clients, reloads = 24, 2
	open := func(want int) (*wstest.Client, error) {
		c, err := wstest.Dial(s.Address, "/")
		if err != nil {
			return nil, err
		}
		c.Conn.SetDeadline(time.Now().Add(fapwstest.Patience))
		if _, version, err := c.Receive(); err != nil || string(version) != fmt.Sprint(want) {
			c.Conn.Close()
			return nil, fmt.Errorf("version %q, want %d, %v", version, want, err)
		}
		return c, nil
	}
	all := make([]*wstest.Client, clients)
	for i := range all {
		all[i] = fapwstest.Try(open(1)).Must(t)
		defer func() { all[i].Conn.Close() }()
	}
	for version := 2; version < 2+reloads && !t.Failed(); version++ {
		fapwstest.Change(t, script, fmt.Sprintf("VERSION = %d", version-1), fmt.Sprintf("VERSION = %d", version))
		var again sync.WaitGroup
		for i := range all {
			again.Go(func() {
				if _, _, err := all[i].Receive(); !replaced(err) {
					t.Errorf("a WebSocket ended with %v", err)
					return
				}
				c, err := open(version)
				if err != nil {
					t.Error(err)
					return
				}
				all[i].Conn.Close()
				all[i] = c
			})
		}
		s.Control("reload")
		again.Wait()
	}
}
