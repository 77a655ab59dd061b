package runtime

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/websocket/wstest"

	"golang.org/x/sys/unix"
)

// echoing sends the messages of a WebSocket back, on the loop and from one buffer.
type echoing struct {
	instant
	parts []exchange.Part
	next  int
	buf   []byte
}

func (h *echoing) Submit(r *exchange.Request) bool {
	if !r.WebSocket {
		return h.instant.Submit(r)
	}
	h.add(exchange.Part{Ticket: r.Ticket, First: true, Head: exchange.Head{WebSocket: true}})
	return true
}

func (h *echoing) Deliver(in exchange.Input) {
	if in.Op == exchange.OpClose {
		h.add(exchange.Part{Ticket: in.Ticket, Last: true})
		return
	}
	at := len(h.buf)
	h.buf = append(h.buf, in.Data...)
	h.add(exchange.Part{Ticket: in.Ticket, Op: in.Op, Body: h.buf[at:len(h.buf):len(h.buf)]})
	h.add(exchange.Part{Ticket: in.Ticket, Op: exchange.OpCredit, Credit: int64(len(in.Data)) + exchange.InputCost})
}

func (h *echoing) add(p exchange.Part) {
	p.File = -1
	h.parts = append(h.parts, p)
}

func (h *echoing) Cancel(t exchange.Ticket, _ time.Duration) {
	h.add(exchange.Part{Ticket: t, Last: true})
}

func (h *echoing) Next(p *exchange.Part) bool {
	if h.next == len(h.parts) {
		h.parts, h.next, h.buf = h.parts[:0], 0, h.buf[:0]
		return h.instant.Next(p)
	}
	*p = h.parts[h.next]
	h.next++
	return true
}

// serveEchoing starts a server with echoing, whose messages are smaller than a transfer.
func serveEchoing(t testing.TB) *testServer {
	t.Helper()
	return start(t, settled(Config{}), &echoing{}, mounted(sites.Mount{Prefix: "/", WebSocket: true}))
}

// A message, once the buffers have their size, is echoed without allocating.
func TestWebSocketMessagesDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := serveEchoing(t)
	for _, test := range []struct {
		name   string
		fields []string
		size   int
	}{
		{"small", nil, 20},
		{"large", nil, 10000},
		{"compressed", []string{wstest.Deflate}, 1000},
	} {
		c := dialRaw(t, s.addr)
		buf := make([]byte, 64<<10)
		unix.Write(c.fd, []byte(wstest.Handshake("/", test.fields...)))
		c.read(buf)
		message := []byte(strings.Repeat("0123456789", test.size/10))
		client := &wstest.Client{Deflate: test.fields != nil}
		frame := client.AppendFrame(nil, wstest.Fin|wstest.Text, message)
		if client.Deflate {
			frame = client.AppendFrame(nil, wstest.Fin|wstest.RSV1|wstest.Text, client.Pack(message))
		}
		unix.Write(c.fd, frame)
		size := 4
		for n := 0; n < size; {
			n += c.read(buf[n:])
			if length := int(buf[1]); n >= 4 && length == 126 { // RFC 6455 §5.2
				size = 4 + int(binary.BigEndian.Uint16(buf[2:]))
			} else if n >= 4 {
				size = 2 + length
			}
		}
		for range 100 {
			c.ask(frame, buf, size)
		}
		if n := testing.AllocsPerRun(1000, func() { c.ask(frame, buf, size) }); n > eventloop.BatchAllocations {
			t.Errorf("%s: %v allocations a message", test.name, n)
		}
		unix.Close(c.fd)
	}
}

// BenchmarkWebSocketEcho measures the CPU of the server's loop for an echoed message,
// which has a separate thread, without the clients.
func BenchmarkWebSocketEcho(b *testing.B) {
	for _, bench := range []struct {
		clients, size, burst int
		fields               []string
	}{
		{clients: 1, size: 32, burst: 1},
		{clients: 64, size: 32, burst: 1},
		{clients: 64, size: 32, burst: 16},
		{clients: 64, size: 1024, burst: 1},
		{clients: 64, size: 16 << 10, burst: 1},
		{clients: 64, size: 1024, burst: 1, fields: []string{wstest.Deflate}},
	} {
		name := fmt.Sprintf("%d clients, %d bytes, %d at once", bench.clients, bench.size, bench.burst)
		if bench.fields != nil {
			name += ", compressed"
		}
		b.Run(name, func(b *testing.B) {
			s := serveEchoing(b)
			message := []byte(strings.Repeat(`{"key": "value", "n": 12345678} `, bench.size/32+1))[:bench.size]
			var clients []net.Conn
			var frame []byte
			size := 0
			for range bench.clients {
				c, err := wstest.Dial(s.addr, "/", bench.fields...)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Conn.Close()
				c.Conn.SetDeadline(time.Time{})
				frame = c.AppendFrame(nil, wstest.Fin|wstest.Text, message)
				if c.Deflate {
					frame = c.AppendFrame(nil, wstest.Fin|wstest.RSV1|wstest.Text, c.Pack(message))
				}
				c.Conn.Write(frame)
				f, err := c.ReadFrame()
				if err != nil {
					b.Fatal(err)
				}
				if size = 2 + len(f.Payload); len(f.Payload) > 125 {
					size += 2
				}
				clients = append(clients, c.Conn)
			}
			frames := bytes.Repeat(frame, bench.burst)
			rounds := b.N/(bench.clients*bench.burst) + 1
			var before, after syscall.Rusage
			usage := func(u *syscall.Rusage) { s.Do(func() { syscall.Getrusage(1, u) }) } // RUSAGE_THREAD
			usage(&before)
			b.ResetTimer()
			var wg sync.WaitGroup
			for _, c := range clients {
				wg.Go(func() {
					buf := make([]byte, size*bench.burst)
					for range rounds {
						c.Write(frames)
						if _, err := io.ReadFull(c, buf); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			usage(&after)
			total := float64(rounds * bench.clients * bench.burst)
			b.ReportMetric(float64(cpu(&after)-cpu(&before))/total, "cpu-ns/message")
			b.ReportMetric(total/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func cpu(u *syscall.Rusage) int64 { return u.Utime.Nano() + u.Stime.Nano() }
