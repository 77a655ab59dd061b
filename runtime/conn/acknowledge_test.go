package conn

import (
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

// Without the acknowledgment, Nagle's algorithm would delay the client's first request by 40 ms.
func TestLastHandshakeMessageIsAcknowledgedAtOnce(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial(nil, nil)
	p := s.only()
	s.until("TLS", func() bool { return p.transport != nil })
	quick, err := unix.GetsockoptInt(p.Fd(), unix.IPPROTO_TCP, unix.TCP_QUICKACK)
	checktest.Equalf(t, quick, 1, "TCP_QUICKACK, %v", err)
	echoes(t, c, []byte("hello"))
}
