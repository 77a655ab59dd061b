package http_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Connections with large unfinished bodies leave descriptors to other clients, and those that had to wait go on when others have ended.
func TestUnfinishedBodies(t *testing.T) {
	const waiting = 5
	s := fapwstest.Command{Script: "input.py", Shell: "ulimit -n 256"}.Serve(t, fapwstest.Mode{})
	body := strings.Repeat("0123456789abcdef", 64<<10)
	digest := fmt.Sprintf("%d %x", len(body), sha256.Sum256([]byte(body)))
	var all []*fapwstest.Client
	for range 150 {
		w := s.Dial()
		w.Send("POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: ", fmt.Sprint(len(body)), "\r\n\r\n", body[:400_000])
		all = append(all, w)
	}
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	other := fapwstest.NewClient(t, c)
	other.Send(fapwstest.Request("POST", "/read", body))
	other.Answer().Is(t, digest)
	for _, w := range all[:len(all)-waiting] {
		w.Close()
	}
	for _, w := range all[len(all)-waiting:] {
		w.Send(body[400_000:])
		w.Answer().Is(t, digest)
	}
}
