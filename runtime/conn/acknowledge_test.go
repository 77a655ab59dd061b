package conn

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Behind a handshake, in which the client has spoken last, the kernel does not put its acknowledgment off: a client with Nagle's algorithm would keep
// its first request back for 40 ms.
func TestLastMessageIsAcknowledged(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial(nil, nil)
	p := s.only()
	s.until("TLS", func() bool { return p.transport != nil })
	if quick, err := unix.GetsockoptInt(p.Fd(), unix.IPPROTO_TCP, unix.TCP_QUICKACK); quick != 1 {
		t.Errorf("TCP_QUICKACK is %d, %v", quick, err)
	}
	echoes(t, c, []byte("hello"))
}
