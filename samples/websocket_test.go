package samples

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"fapws/runtime/websocket/wstest"
)

type webSocket struct {
	t *testing.T
	*wstest.Client
}

// dial opens a WebSocket, and returns the status if the server rejects it.
func (s *server) dial(path string, protocols ...string) (_ *webSocket, chosen string, status int) {
	s.T.Helper()
	var fields []string
	if len(protocols) > 0 {
		fields = []string{"Sec-WebSocket-Protocol: " + strings.Join(protocols, ", ")}
	}
	c, err := wstest.Dial(strings.TrimPrefix(s.URL, "http://"), path, fields...)
	var refused *wstest.Denied
	if errors.As(err, &refused) {
		return nil, "", refused.Response.StatusCode
	}
	if err != nil {
		s.T.Fatalf("WebSocket %s: %v", path, err)
	}
	s.T.Cleanup(func() { c.Close() })
	return &webSocket{s.T, c}, c.Response.Header.Get("Sec-WebSocket-Protocol"), http.StatusSwitchingProtocols
}

func (s *server) talk(path string, protocols ...string) *webSocket {
	s.T.Helper()
	w, _, status := s.dial(path, protocols...)
	if w == nil {
		s.T.Fatalf("WebSocket %s: status %d", path, status)
	}
	return w
}

func (w *webSocket) send(text string) {
	w.t.Helper()
	if err := w.SendText(text); err != nil {
		w.t.Fatal(err)
	}
}

func (w *webSocket) next() string {
	w.t.Helper()
	op, text, err := w.Receive()
	if err != nil || op != wstest.Text {
		w.t.Fatalf("no message: %v, kind %d", err, op)
	}
	return string(text)
}

// await reads messages, which are JSON, until wanted returns true.
func (w *webSocket) await(what string, wanted func(message map[string]any) bool) map[string]any {
	w.t.Helper()
	for {
		var message map[string]any
		text := w.next()
		if err := json.Unmarshal([]byte(text), &message); err != nil {
			w.t.Fatalf("%q: %v", text, err)
		}
		if wanted(message) {
			return message
		}
	}
}

func (w *webSocket) closed() int {
	w.t.Helper()
	for {
		_, _, err := w.Receive()
		var end *wstest.Closed
		if errors.As(err, &end) {
			return end.Code
		}
		if err != nil {
			w.t.Fatalf("the server has left without a close frame: %v", err)
		}
	}
}

func (w *webSocket) leave(code int) {
	w.t.Helper()
	if end, err := w.CloseWith(code, ""); err != nil || end.Code != code {
		w.t.Errorf("closed with %v, %v, want %d", end, err, code)
	}
}
