package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// answering starts a server of WebSockets that sends back what answer makes of each
// message, and nothing more once that is "".
func answering(t *testing.T, answer func(number int, text string) string) *process {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		for n := 0; ; n++ {
			text, err := wsutil.ReadClientText(conn) // an unmasked frame is an error
			if err != nil {
				return
			}
			back := answer(n, string(text))
			if back == "" {
				return
			}
			// A ping in between, and the answer in two pieces.
			_ = wsutil.WriteServerMessage(conn, ws.OpPing, []byte("?"))
			frame := ws.MustCompileFrame(ws.NewTextFrame([]byte(back)))
			_, _ = conn.Write(frame[:1])
			time.Sleep(time.Millisecond)
			_, _ = conn.Write(frame[1:])
		}
	})}
	go func() { _ = serve.Serve(l) }()
	t.Cleanup(func() { serve.Close() })
	return &process{server: &server{name: "test"}, port: l.Addr().(*net.TCPAddr).Port}
}

// TestEcho: the loader counts what came back as it was, and takes nothing else.
func TestEcho(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  func(number int, text string) string
		problem string
	}{
		{"right", func(_ int, text string) string { return text }, ""},
		{"another text", func(n int, text string) string { return strings.Repeat("x", len(text)) }, "instead of"},
		{"the one before", func(n int, text string) string {
			if n == 3 {
				return "bcdefghi"
			}
			return text
		}, "instead of"},
		{"too long", func(_ int, text string) string { return text + text }, "length byte"},
		{"leaves", func(n int, text string) string { return text[:len(text)*(1-n/2)] }, "left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sockets, err := answering(t, c.answer).upgradeAll("/", 3)
			defer closeAll(sockets)
			if err != nil {
				t.Fatal(err)
			}
			latencies, err := echo(sockets, 50*time.Millisecond)
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("error %v, want one with %q", err, c.problem)
				}
				return
			}
			if err != nil || len(latencies) < 3 {
				t.Errorf("%d echoes, %v", len(latencies), err)
			}
			for _, s := range sockets {
				if s.number == 0 {
					t.Error("a WebSocket was left out")
				}
			}
			once, err := echo(sockets, 0)
			if len(once) != 3 || err != nil {
				t.Errorf("%d echoes of one round, %v", len(once), err)
			}
		})
	}
}
