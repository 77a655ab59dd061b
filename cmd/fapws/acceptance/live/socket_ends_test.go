package live_test

import (
	"regexp"
	"strings"
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
		says(t, c, how)
		fapwstest.Hears(t, c, how)
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
		_, text, err := c.Receive()
		fapwstest.Needf(t, err == nil && strings.HasPrefix(string(text), "0{"), "%s, %v", text, err)
		says(t, c, "40")
		_, text, err = c.Receive()
		fapwstest.Needf(t, err == nil && strings.HasPrefix(string(text), "40{"), "%s, %v", text, err)
		for range 5 {
			says(t, c, `42["ask",1]`)
			fapwstest.Hears(t, c, `42["answer",1]`)
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
					says(t, c, text)
					fapwstest.Hears(t, c, text)
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
