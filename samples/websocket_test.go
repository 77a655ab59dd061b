package samples

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// webSocket is a client's end of a WebSocket.
type webSocket struct {
	t    *testing.T
	conn net.Conn
}

// dial opens a WebSocket at a path of the server. A refusal is the status.
func (s *server) dial(path string, protocols ...string) (_ *webSocket, chosen string, status int) {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), fapwstest.Patience)
	defer cancel()
	dialer := ws.Dialer{Protocols: protocols}
	conn, early, shake, err := dialer.Dial(ctx, "ws"+strings.TrimPrefix(s.URL, "http")+path)
	var refused ws.StatusError
	if errors.As(err, &refused) {
		return nil, "", int(refused)
	}
	if err != nil {
		s.T.Fatalf("WebSocket %s: %v", path, err)
	}
	if early != nil { // it came with the answer
		conn = &behind{conn, early.Read}
	}
	_ = conn.SetDeadline(time.Now().Add(fapwstest.Patience))
	s.T.Cleanup(func() { conn.Close() })
	return &webSocket{t: s.T, conn: conn}, shake.Protocol, http.StatusSwitchingProtocols
}

// talk opens a WebSocket, which the server must accept.
func (s *server) talk(path string, protocols ...string) *webSocket {
	s.T.Helper()
	w, _, status := s.dial(path, protocols...)
	if w == nil {
		s.T.Fatalf("WebSocket %s: status %d", path, status)
	}
	return w
}

// behind is a connection that reads through a buffer.
type behind struct {
	net.Conn
	read func([]byte) (int, error)
}

func (b *behind) Read(p []byte) (int, error) { return b.read(p) }

func (w *webSocket) send(text string) {
	w.t.Helper()
	if err := wsutil.WriteClientText(w.conn, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// next returns the next message. Pings are answered meanwhile.
func (w *webSocket) next() string {
	w.t.Helper()
	text, err := wsutil.ReadServerText(w.conn)
	if err != nil {
		w.t.Fatalf("no message: %v", err)
	}
	return string(text)
}

// await reads messages, which are JSON, until one is as wanted.
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

// closed reads until the server closes, and returns its code.
func (w *webSocket) closed() ws.StatusCode {
	w.t.Helper()
	for {
		_, err := wsutil.ReadServerText(w.conn)
		var end wsutil.ClosedError
		if errors.As(err, &end) {
			return end.Code
		}
		if err != nil {
			w.t.Fatalf("the server has left without a close frame: %v", err)
		}
	}
}

// leave closes with a code, and waits until the server has closed, too.
func (w *webSocket) leave(code ws.StatusCode) {
	w.t.Helper()
	frame := ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
	if err := ws.WriteFrame(w.conn, frame); err != nil {
		w.t.Fatal(err)
	}
	if got := w.closed(); got != code {
		w.t.Errorf("closed with %d, want %d", got, code)
	}
	w.conn.Close()
}
