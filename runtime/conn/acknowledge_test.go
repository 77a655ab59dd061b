package conn

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Without the acknowledgment, Nagle's algorithm would delay the client's first request by 40 ms.
func TestLastHandshakeMessageIsAcknowledgedAtOnce(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial(nil, nil)
	p := s.only()
	s.until("TLS", func() bool { return p.transport != nil })
	if quick, err := unix.GetsockoptInt(p.Fd(), unix.IPPROTO_TCP, unix.TCP_QUICKACK); quick != 1 {
		t.Errorf("TCP_QUICKACK is %d, %v", quick, err)
	}
	echoes(t, c, []byte("hello"))
}
