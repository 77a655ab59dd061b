package samples

import (
	"encoding/json"
	"errors"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

type webSocket struct {
	t *testing.T
	*wstest.Client
}

func (s *server) talk(path string, fields ...string) *webSocket {
	s.T.Helper()
	return &webSocket{s.T, s.Socket(path, fields...)}
}

// denial returns the status with which the server rejects a WebSocket.
func (s *server) denial(path string) int {
	s.T.Helper()
	var denied *wstest.Denied
	_, err := wstest.Dial(s.Address, path)
	fapwstest.Needf(s.T, errors.As(err, &denied), "WebSocket %s: %v", path, err)
	return denied.Response.StatusCode
}

func (w *webSocket) send(text string) {
	w.t.Helper()
	fapwstest.Must(w.t, w.SendText(text))
}

func (w *webSocket) next() string {
	w.t.Helper()
	op, text, err := w.Receive()
	fapwstest.Needf(w.t, err == nil && op == wstest.Text, "no message: %v, kind %d", err, op)
	return string(text)
}

// await reads messages, which are JSON, until wanted returns true.
func (w *webSocket) await(what string, wanted func(message map[string]any) bool) map[string]any {
	w.t.Helper()
	for {
		var message map[string]any
		text := w.next()
		fapwstest.Mustf(w.t, json.Unmarshal([]byte(text), &message), "%q", text)
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
		fapwstest.Mustf(w.t, err, "the server has left without a close frame")
	}
}

func (w *webSocket) leave(code int) {
	w.t.Helper()
	end, err := w.CloseWith(code, "")
	fapwstest.Truef(w.t, err == nil && end.Code == code, "closed with %v, %v, want %d", end, err, code)
}
