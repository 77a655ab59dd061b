package runtime

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/websocket/wstest"
)

func TestIdleWebSocketsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const n = 1000
	path := filepath.Join(t.TempDir(), "log")
	each := func(what, request string, also []byte, most int64) {
		t.Run(what, func(t *testing.T) {
			format := checktest.Try(logfile.ParseFormat("combined")).Must(t)
			file := checktest.Try(logfile.Open(logfile.Options{Path: path})).Must(t)
			t.Cleanup(func() { file.Close() })
			// no pings, because these clients would not answer them
			cfg := Config{Sites: exchange.Config{AccessLog: &logfile.AccessLog{File: file, Format: format}},
				WebSockets: live.SocketConfig{Ping: time.Hour}}
			ts := start(t, settled(cfg), &echoing{}, exchange.Mount{Prefix: "/", Upgrades: exchange.ToMessages})
			buf := make([]byte, 4096)
			var clients []rawClient
			open := func() {
				c := dialRaw(t, ts.addr)
				// an incomplete request, which the server must keep until the rest arrives
				unix.Write(c.fd, []byte(request[:20]))
				unix.Write(c.fd, []byte(request[20:]))
				c.read(buf)
				if also != nil { // a WebSocket message, in two pieces
					unix.Write(c.fd, also[:7])
					unix.Write(c.fd, also[7:])
				}
				clients = append(clients, c)
			}
			open()
			before := memory()
			for range n {
				open()
			}
			ts.do(func() {})
			eachCosts(t, what, before, n, most)
			for _, c := range clients {
				unix.Close(c.fd)
			}
		})
	}
	const fields = "Host: localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 " +
		"Firefox/128.0\r\n"
	each("an idle connection", "GET / HTTP/1.1\r\n"+fields+"\r\n", nil, 4096)
	message := (&wstest.Client{}).AppendFrame(nil, wstest.Fin|wstest.Ping, make([]byte, 100))
	handshake := wstest.Handshake("/", strings.TrimSpace(fields[strings.Index(fields, "User"):]), wstest.Deflate)
	each("an idle WebSocket", handshake, message, 2250)
}
