package http_test

import (
	"fmt"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestLargeIncompleteBodiesLeaveDescriptorsToOtherClients(t *testing.T) {
	const waiting = 5
	s := fapwstest.Command{Script: "entered.py", Shell: "ulimit -n 256"}.Serve(t, fapwstest.Mode{})
	body := strings.Repeat("0123456789abcdef", 64<<10)
	digest := fmt.Sprintf("%d bytes", len(body))
	var all []*fapwstest.Client
	for range 150 {
		w := s.Dial()
		w.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ", fmt.Sprint(len(body)), "\r\n\r\n", body[:400_000])
		all = append(all, w)
	}
	other := s.DialFrom("127.0.0.2")
	other.Send(fapwstest.Request("POST", "/", body))
	other.Answer().Is(t, digest)
	for _, w := range all[:len(all)-waiting] {
		w.Close()
	}
	for _, w := range all[len(all)-waiting:] {
		w.Send(body[400_000:])
		w.Answer().Is(t, digest)
	}
}
