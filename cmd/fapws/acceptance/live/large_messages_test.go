package live_test

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

func echoes(t *testing.T, c *wstest.Client, message []byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- c.Send(wstest.Binary, message) }()
	fapwstest.Truef(t, fapwstest.Received(t, c) == string(message), "another message was echoed")
	fapwstest.Equal(t, <-sent, nil)
}

// The kernel clears each new page, which takes longer than everything else.
func TestLargeMessagesReuseMemory(t *testing.T) {
	t.Parallel()
	const clients, messages = 8, 20
	most := 30
	if fapwstest.OnlyMode != "" { // sanitizers replace malloc
		most *= 16
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "echo.py")
	time.Sleep(1500 * time.Millisecond) // until the memory that only the start needed has been returned
	message := bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
	echo := func() {
		var all sync.WaitGroup
		for range clients {
			c := s.Socket("/asgi")
			all.Go(func() {
				for range messages {
					echoes(t, c, message)
				}
				c.Conn.Close()
			})
		}
		all.Wait()
	}
	echo()
	before := s.MinorFaults()
	echo()
	faults := (s.MinorFaults() - before) / (clients * messages)
	fapwstest.Truef(t, faults <= most, "%d page faults for each message", faults)
}

func TestIdleWebSocketsKeepNoMemoryOfLargeMessages(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "echo.py", "--ws-ping-interval", "0")
	clients := make([]*wstest.Client, 16)
	for i := range clients {
		clients[i] = s.Socket("/asgi")
		echoes(t, clients[i], []byte("small"))
	}
	before := s.RSS()
	message := bytes.Repeat([]byte("x"), 1<<20)
	for _, c := range clients {
		echoes(t, c, message)
		echoes(t, c, []byte("small")) // the application keeps its last message
	}
	fapwstest.Eventually(t, "hardly more memory than before", func() bool { return s.RSS() <= before+kib(6<<10)<<10 })
}

// While the rest of a large message is late, the kernel reports its bytes one by one, so the server sees that its client
// is there.
func TestLargeMessageMayEndSlowly(t *testing.T) {
	t.Parallel()
	const size, late = 300 << 10, 8
	s := fapwstest.Serve(t, fapwstest.Threads, "echo.py", "--ws-ping-interval", "1s", "--ws-ping-timeout", "1s")
	c := s.Socket("/asgi")
	frame := binary.BigEndian.AppendUint64([]byte{wstest.Fin | wstest.Binary, 0x80 | 127}, size)
	frame = append(frame, make([]byte, 4+size-late)...) // the mask is 0
	fapwstest.Equal(t, fapwstest.Try(c.Conn.Write(frame)).Must(t), len(frame))
	for range late {
		time.Sleep(600 * time.Millisecond)
		fapwstest.Equal(t, fapwstest.Try(c.Conn.Write([]byte{0})).Must(t), 1)
	}
	fapwstest.Equal(t, len(fapwstest.Received(t, c)), size)
}
