package runtime

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func TestLocalConnectionsAreNotPaced(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	s.do(func() { s.loop.paced = true })
	s.dial(t)
	var name string
	eventually(t, "a connection", func() (ok bool) {
		s.do(func() {
			for _, c := range s.loop.conns.All() {
				name, _ = unix.GetsockoptString(c.Fd(), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
				ok = true
			}
		})
		return ok
	})
	checktest.Equalf(t, strings.TrimRight(name, "\x00"), "reno", "it has %q", name)
}
