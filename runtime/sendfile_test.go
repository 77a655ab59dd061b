package runtime

import (
	"net"
	"os"
	"strings"
	"testing"

	"fapws/runtime/exchange"
)

// Files take their turn among other responses, and a client that leaves in
// the middle of one leaves nothing behind.
func TestHandlersSendFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := string(pattern(8 << 20))
	if err := os.WriteFile(dir+"/big", []byte(big), 0o600); err != nil {
		t.Fatal(err)
	}
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, func(c *call) {
			if c.Path == "/end" {
				c.reply(200, "end")
				return
			}
			c.part(exchange.Part{Last: true, File: -1, Head: exchange.Head{Status: 200, Length: -1, SendFile: []byte(" " + dir + c.Path),
				Request: []byte("GET " + c.Path + " HTTP/1.1\r\nHost: x\r\n\r\n")}})
		})
		s := serve(t, Config{SendfileRoots: []string{dir}}, a)
		got := bodies(t, s.talk(t, "GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\nGET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		if got != "200:"+big+" 404:Not Found\n 200:end" {
			t.Errorf("%d bytes, ending with %q", len(got), got[max(0, len(got)-60):])
		}
		if !strings.Contains(s.log.String(), `: X-Sendfile: "`+dir+`/none" cannot be sent: no such file or directory`) {
			t.Error(s.log)
		}
		var clients []net.Conn
		for range 8 {
			c := slowly(t, s)
			c.Write([]byte("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"))
			c.Read(make([]byte, 100))
			clients = append(clients, c)
		}
		for _, c := range clients {
			c.Close()
		}
		eventually(t, "every exchange ends", a.idle)
		eventually(t, "every connection ends", func() bool { return s.loop.live.Load() == 0 })
	})
}
