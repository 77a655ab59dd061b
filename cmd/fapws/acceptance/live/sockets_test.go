package live_test

import (
	"encoding/binary"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A library that takes over the socket of the connection may end the connection by an exception that WSGI servers do
// not log.
func TestRawSocketMayEndByAnExceptionThatIsNotLogged(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "rawsocket.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, how := range []string{"connection", "timeout", "stop", "file", "value"} {
		c := s.Socket("/raises?" + how)
		answers(t, c, how, how)
		closed, err := c.CloseWith(1000, "")
		fapwstest.Truef(t, err == nil && closed.Code == 1000, "%q %v %v", how, closed, err)
	}
	s.Says("FileNotFoundError: at the end\n")
	s.Says("ValueError: at the end\n")
	s.Stop()
	fapwstest.Equal(t, strings.Count(s.Stderr.String(), ": at the end\n"), 2)
}

// If Flask-SocketIO uses an async mode other than "threading", the log says at the start that "threading" is the
// right mode.
func TestFlaskSocketIOWorksInThreadingMode(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import os
from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ["ASYNC_MODE"])

@socketio.on("ask")
def ask(data):
    emit("answer", data)
`)
	serve := func(mode string, m fapwstest.Mode) *fapwstest.Server {
		return fapwstest.Command{Script: script + ":app",
			Env: []string{"ASYNC_MODE=" + mode, "VIRTUAL_ENV=" + fapwstest.Today(t)}}.Serve(t, m)
	}
	serve("gevent", fapwstest.Threads).Says(`warning Socket\.IO uses async_mode "gevent", .*: use async_mode="threading"`)
	serve("threading", fapwstest.Inline).Says(`warning simple-websocket, .*: remove --threads 0`)
	s := serve("threading", fapwstest.Threads)
	for range 3 {
		c := s.Socket("/socket.io/?EIO=4&transport=websocket")
		fapwstest.Matches(t, fapwstest.Received(t, c), "^0{")
		says(t, c, "40")
		fapwstest.Matches(t, fapwstest.Received(t, c), "^40{")
		for range 5 {
			answers(t, c, `42["ask",1]`, `42["answer",1]`)
		}
		fapwstest.ResetSocket(c)
	}
	s.Stop()
	fapwstest.Lacks(t, s.Stderr.String(), "Socket.IO", "Traceback")
}

func TestRawSocketSupportsTheCallsOfLibraries(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Asleep},
		func(t *testing.T, m fapwstest.Mode) {
			s := fapwstest.Serve(t, m, "rawsocket.py")
			s.Get("/plain", 200).Is(t, "False")
			if m.Inline() {
				fapwstest.DeniesSocket(t, s.Address, 501, "", "/echo")
				return
			}
			fapwstest.DeniesSocket(t, s.Address, 403, "asks for a WebSocket", "/echo?refuse")
			for i := range 3 {
				c := s.Socket("/echo")
				for _, size := range []int{0, 5, 125, 200000} {
					text := strings.Repeat("é", size)
					answers(t, c, text, text)
				}
				switch i {
				case 0:
					closed, err := c.CloseWith(1000, "bye")
					fapwstest.Truef(t, err == nil && closed.Code == 1000, "%v %v", closed, err)
				case 1:
					fapwstest.ResetSocket(c)
					s.Stdout.Await(t, regexp.MustCompile("gone"))
				}
			}
			s.Get("/plain", 200).Is(t, "False")
			// The server stops although one WebSocket is still open.
		})
}

func TestUnansweredClosesDoNotDelayTheStop(t *testing.T) {
	s := fapwstest.Serve(t, fapwstest.Threads, "echo.py", "--graceful-timeout", "1h", "--write-timeout", "1h",
		"--ws-ping-timeout", "0")
	for _, path := range []string{"/callbacks", "/asgi"} {
		for _, reads := range []bool{true, false} {
			w := s.Dial()
			w.Send(fapwstest.Get(path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
			r := w.Head("GET")
			fapwstest.Needf(t, r.StatusCode == 101, "%q", r.Status)
			if reads {
				continue
			}
			const size = 1 << 20
			frame := append(binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, size), make([]byte, 4+size)...)
			var sent atomic.Int64
			go func() {
				for {
					n, err := w.Write(frame)
					if err != nil {
						return
					}
					sent.Add(int64(n))
				}
			}()
			atRest(t, sent.Load) // the server reads no more, because its output waits
		}
	}
	s.Stop()
}

const plainRequests = `
async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": scope["method"].encode()})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close"})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REQUEST_METHOD"].encode()]
`

func TestRequestWithoutAValidWebSocketHandshakeIsAPlainRequest(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, filepath.Join(t.TempDir(), "plain.py"), plainRequests)
	const fields = "Host: a\r\nUpgrade: websocket\r\n" +
		"" +
		"" +
		"" +
		"" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, application := range []string{"asgi", "wsgi"} {
		s := fapwstest.Serve(t, fapwstest.Threads, script+":"+application)
		for _, head := range []string{
			"GET / HTTP/1.0\r\nConnection: Upgrade\r\n",
			"GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
			"GET / HTTP/1.1\r\n",
			"GET / HTTP/1.1\r\nConnection: keep-alive\r\n",
			"POST / HTTP/1.1\r\nConnection: Upgrade\r\nContent-Length: 2\r\n",
			"PUT / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nContent-Length: 2\r\n",
		} {
			method, _, _ := strings.Cut(head, " ")
			body := ""
			if method != "GET" {
				body = "ab"
			}
			s.Ask(head+fields+"\r\n"+body).Is(t, method)
		}
		if application == "asgi" {
			s.Ask("GET / HTTP/1.1\r\nConnection: Upgrade\r\n"+fields+"\r\n").Want(t, 403)
		}
	}
}

func TestWebSocketsPassTheAutobahnCases(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		path := map[bool]string{true: "/asgi", false: "/callbacks"}[m.Inline()]
		fapwstest.WebSocketCases(t, fapwstest.Serve(t, m, "echo.py").Address, path)
	})
}
