package runtime

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/conn"
)

func TestUnixSocketAndPeer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sock")
	modes(t, func(t *testing.T, inline bool) {
		peers := make(chan string, 1)
		a := newApp(inline, func(c *call) {
			p := c.Peer
			peers <- strings.Join([]string{p.Addr, p.Port, p.ServerName, p.ServerPort}, "|")
			c.reply(200, strings.Repeat("x", 1<<20))
		})
		s := serve(t, Config{}, a)
		ln, err := conn.Listen("unix:"+path, conn.DefaultListenOptions)
		if err != nil {
			t.Fatal(err)
		}
		s.Accept(ln)

		const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, request)
		if all, err := io.ReadAll(c); err != nil || len(all) < 1<<20 {
			t.Errorf("%d bytes, %v", len(all), err)
		}
		if got := <-peers; got != "||localhost|80" {
			t.Errorf("peer of a unix socket: %q", got)
		}

		tcp := s.dial(t)
		io.WriteString(tcp, request)
		io.ReadAll(tcp)
		_, port, _ := net.SplitHostPort(tcp.LocalAddr().String())
		_, serverPort, _ := net.SplitHostPort(s.addr)
		if got, want := <-peers, "127.0.0.1|"+port+"|127.0.0.1|"+serverPort; got != want {
			t.Errorf("peer %q, want %q", got, want)
		}
	})
}
