package tls_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// A TLS connection cannot move to a different worker. At a reload, a stream of events ends after a complete event.
func TestReloadEndsStreamsAndWebSocketsOverTLS(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Workers)
	until := func(stream *fapwstest.Client, text string) (seen string) {
		t.Helper()
		for !strings.HasSuffix(seen, text) {
			line, err := stream.In.ReadString('\n')
			fapwstest.Needf(t, err == nil, "%v before %q, after %q", err, text, seen)
			seen += line
		}
		return seen
	}
	stream, _ := dial(t, s, config)
	stream.Send("GET /news HTTP/1.0\r\nHost: example.org\r\n\r\n")
	until(stream, "retry: 3000\n\n")
	below, _ := dial(t, s, config)
	socket, err := wstest.Open(below.Conn, "/echo")
	fapwstest.Must(t, err)
	socket.SendText("hello")
	fapwstest.Hears(t, socket, "hello")
	say := func(text string) {
		t.Helper()
		w, _ := dial(t, s, config)
		w.Fetch("/say?"+text).Want(t, 200)
		w.Close()
	}
	say("before")
	seen := until(stream, "data: before\n")
	id := strings.TrimSpace(seen[strings.LastIndex(seen, "id: ")+4 : strings.LastIndex(seen, "data:")])
	s.Control("reload")
	var closed *wstest.Closed
	_, _, err = socket.Receive()
	fapwstest.Truef(t, errors.As(err, &closed) && closed.Code == 1012, "the WebSocket: %v", err)
	fapwstest.Lacks(t, stream.Rest(), "data:")
	say("after")
	stream, _ = dial(t, s, config)
	stream.Send("GET /news HTTP/1.0\r\nHost: example.org\r\nLast-Event-ID: " + id + "\r\n\r\n")
	fapwstest.Lacks(t, until(stream, "data: after\n"), "before")
}

// No request was sent on the connection yet, so the server must not close the connection at a reload: clients do not
// retry the first request on a connection.
func TestNewConnectionOverTLSStaysOpenAtAReload(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s, config := secured(t, m, "--max-requests", "1000000")
		for _, early := range []int{0, 1, 20} { // bytes of the request that arrive before the reload
			w, _ := dial(t, s, config)
			request := fapwstest.Request("POST", "/length", "x")
			w.Send(request[:early])
			s.Reload()
			w.Ask(request[early:]).Want(t, 200)
		}
	})
}

// Only the old worker has the keys of a connection. A request that no client retries must not be lost, so the old worker
// answers it. A connection without a further request must not hold up the end of the old worker.
func TestIdleConnectionsOverTLSServeOneMoreRequestAfterAReload(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s, config := secured(t, m, "--max-requests", "1000000", "--keep-alive", "1h", "--graceful-timeout", "1h")
		var idle []*fapwstest.Client
		for range 5 {
			w, _ := dial(t, s, config)
			serves(w)
			idle = append(idle, w)
		}
		two := config.Clone()
		two.NextProtos = []string{"h2"}
		c := tls.Client(s.Dial().Conn, two)
		io.WriteString(c, http2.ClientPreface)
		f := http2.NewFramer(c, c)
		f.WriteSettings()
		f.WriteSettingsAck()
		frame, err := f.ReadFrame()
		fapwstest.Needf(t, err == nil && frame.Header().Type == http2.FrameSettings, "%v %v", frame, err)
		s.Reload()
		for _, w := range idle[:3] {
			a := w.Ask(fapwstest.Request("POST", "/length", "x")).Want(t, 200)
			fapwstest.Truef(t, a.Close, "no Connection: close: %q", a.Header)
		}
		for _, w := range idle {
			w.Closed()
		}
		for {
			frame, err := f.ReadFrame()
			if err == io.EOF {
				break
			}
			fapwstest.Must(t, err)
			g, is := frame.(*http2.GoAwayFrame)
			fapwstest.Truef(t, !is || g.ErrCode == http2.ErrCodeNo, "%v", g)
		}
		w, _ := dial(t, s, config)
		serves(w)
	})
}

// A client that has just connected sends its first request without knowing that the server stops. The server waits for
// it only for a short time, so a test on a slow machine tries again.
func TestStopAnswersTheFirstRequestOfANewConnection(t *testing.T) {
	const waits = 2 * time.Second // at least
	fapwstest.InEach(t, fapwstest.Modes, func(t *testing.T, m fapwstest.Mode) {
		for name, early := range map[string]func(w *fapwstest.Client, config *tls.Config) net.Conn{
			"TCP": func(w *fapwstest.Client, config *tls.Config) net.Conn { return tls.Client(w.Conn, config) },
			"TLS": func(w *fapwstest.Client, config *tls.Config) net.Conn {
				c := tls.Client(w.Conn, config)
				fapwstest.Must(t, c.Handshake())
				return c
			},
			"head": func(w *fapwstest.Client, config *tls.Config) net.Conn {
				c := tls.Client(w.Conn, config)
				fapwstest.Try(io.WriteString(c, "POST ")).Must(t)
				return c
			},
		} {
			fapwstest.Eventually(t, "a response after "+name, func() bool {
				s, config := secured(t, m)
				began := time.Now()
				c := early(s.Dial(), config)
				s.SignalLogs(syscall.SIGTERM, "info stopping")
				w := fapwstest.NewClient(t, c)
				request := fapwstest.Request("POST", "/length", "x")
				if name == "head" {
					request = strings.TrimPrefix(request, "POST ")
				}
				a, err := w.Tries(request)
				late := time.Since(began) > waits
				fapwstest.Truef(t, late || err == nil && a.StatusCode == 200, "%s: %v", name, err)
				s.EndsWith(0)
				return err == nil
			})
		}
	})
}
