package live_test

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
