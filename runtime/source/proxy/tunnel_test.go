package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
)

// This test covers only resets; the tests of package conn check that bytes and the end of the input are forwarded.
func TestTunnelClosesTheOtherSide(t *testing.T) {
	t.Run("client, before the answer", func(t *testing.T) {
		asked, ended := make(chan bool), make(chan bool)
		url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
			close(asked)
			io.Copy(io.Discard, r)
			close(ended)
		})
		address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
		c, _ := client(t, address, handshake+"\r\n")
		<-asked
		c.SetLinger(0)
		c.Close()
		<-ended
		if said := logged(); said != "" {
			t.Errorf("it is the fault of nobody: %s", said)
		}
	})
	t.Run("server", func(t *testing.T) {
		opened := make(chan bool)
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
			io.WriteString(c, accepted(key)+"\r\n")
			<-opened
			c.SetLinger(0)
		})
		address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
		_, r := client(t, address, handshake+"\r\n")
		status(t, r, 101)
		close(opened)
		if all, _ := io.ReadAll(r); len(all) > 0 {
			t.Errorf("%q", all)
		}
		waittest.Eventually(t, "a line in the log", func() bool {
			return strings.Contains(logged(), "WebSocket closed: the upstream broke off")
		})
	})
}
