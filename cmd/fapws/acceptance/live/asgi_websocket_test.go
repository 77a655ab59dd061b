package live_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
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
			says(t, c, text)
			fapwstest.Hears(t, c, text)
		}
		data := bytes.Repeat([]byte{0, 255, 7}, 100000)
		c.Send(wstest.Binary, data)
		fapwstest.Hears(t, c, string(data))
		says(t, c, "scope")
		var scope map[string]any
		_, text, _ := c.Receive()
		fapwstest.Must(t, json.Unmarshal(text, &scope))
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
		s.Says(
			`error in handler .*, GET /raises HTTP/1.1 from 127.0.0.1 \(asyncio thread\)\n` +
				`Traceback(.*\n)+RuntimeError: the application fails`)

		for _, d := range []struct {
			path   string
			status int
			body   string
			notes  string
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
		s.Says(
			`GET /silent HTTP/1.1 from 127.0.0.1: the application returned without 'websocket.accept' or ` +
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
		says(t, c, "this")
		fapwstest.Hears(t, c, "heard this")
		closesWith(t, c, 1000, "")
	})
}

// The server sends the fields of the WebSocket handshake (RFC 6455 §4.2.2).
func TestASGIWebSocketThatBreaksTheHandshakeFails(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgisockets.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, c := range []struct{ query, says string }{
		{"field=Sec-WebSocket-Accept", `'headers' of 'websocket\.accept' must not have '(?i)Sec-WebSocket-Accept'`},
		{"field=sec-websocket-extensions",
			`'headers' of 'websocket\.accept' must not have '(?i)sec-websocket-extensions'`},
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
		_, data, err := c.Receive()
		fapwstest.Needf(t, err == nil && len(data) == 65536, "%v %v", len(data), err)
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
			says(t, c, "x")
			fapwstest.Hears(t, c, "x")
		}
	}, func() (memory int, left bool) {
		live := -1
		fmt.Sscan(s.Get("/live", 200).Text, &live, &memory)
		return memory, live == 0
	})
}
