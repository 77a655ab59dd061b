package live_test

import (
	"encoding/binary"
	"regexp"
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
			if r := w.Head("GET"); r.StatusCode != 101 {
				t.Fatal(r.Status)
			}
			if reads {
				continue
			}
			const size = 1 << 20
			frame := append(binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, size), make([]byte, 4+size)...)
			go func() {
				for {
					if _, err := w.Write(frame); err != nil {
						return
					}
				}
			}()
			unsent := regexp.MustCompile(`fapws_unsent_bytes(\{.*\})? [1-9]`)
			fapwstest.Eventually(t, "output waits", func() bool {
				_, text, _ := s.Ctl("metrics")
				return unsent.MatchString(text)
			})
		}
	}
	s.Stop()
}
