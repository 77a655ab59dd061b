package runtime

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A client that has vanished, without a word, is forgotten two heartbeats after one that it does not get, or a
// bit more.
func TestSubscriberVanishes(t *testing.T) {
	t.Parallel()
	if !inOwnNetwork(t) {
		return // it ran there
	}
	cfg := channelConfig()
	cfg.Channels.Heartbeat = time.Second
	s := serve(t, cfg, newApp(false, listening))
	stays := s.listenTo(t, "news", "")
	c := dialRaw(t, s.addr)
	defer unix.Close(c.fd)
	unix.Write(c.fd, []byte("GET /listen/news HTTP/1.1\r\nHost: x\r\n\r\n"))
	c.read(make([]byte, 4096))
	s.awaitSubscribers(t, "news", 2)
	// From now on its kernel throws away what comes: no acknowledgement, no reset.
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	if err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]}); err != nil {
		t.Fatal(err)
	}
	s.awaitSubscribers(t, "news", 1)
	stays.expect("retry: 3000\n")
	stays.expect(":\n")
}
