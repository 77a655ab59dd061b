package runtime

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket/wstest"

	"golang.org/x/sys/unix"
)

type echoing struct {
	instant
	parts  []exchange.Part
	theirs []exchange.Ticket // the ticket of each element of parts
	next   int
	buf    []byte
}

// accepting is an exchange.Then that accepts a WebSocket.
type accepting struct{ s *Server }

func (a accepting) Continue(x *exchange.Exchange, p *exchange.Part) exchange.Outcome {
	return a.s.Sockets().Accept(x, p, nil, nil)
}

func (h *echoing) Submit(t exchange.Ticket, r *exchange.Request) bool {
	if !r.Upgrade {
		return h.instant.Submit(t, r)
	}
	h.add(t, exchange.Part{First: true, Head: exchange.Head{Then: accepting{h.server}}})
	return true
}

func (h *echoing) Deliver(in exchange.Input) {
	if in.Op == exchange.OpClose {
		h.add(in.Ticket, exchange.Part{End: exchange.Complete})
		return
	}
	at := len(h.buf)
	h.buf = append(h.buf, in.Data...)
	h.add(in.Ticket, exchange.Part{Op: in.Op, Body: h.buf[at:len(h.buf):len(h.buf)]})
	h.add(in.Ticket, exchange.Part{Op: exchange.OpCredit, Number: int64(len(in.Data)) + exchange.InputCost})
}

func (h *echoing) add(t exchange.Ticket, p exchange.Part) {
	h.theirs, h.parts = append(h.theirs, t), append(h.parts, p)
}

func (h *echoing) Cancel(t exchange.Ticket, _ time.Duration) {
	h.add(t, exchange.Part{End: exchange.Complete})
}

func (h *echoing) Next(p *exchange.Part) (exchange.Ticket, bool) {
	if h.next == len(h.parts) {
		h.parts, h.theirs, h.next, h.buf = h.parts[:0], h.theirs[:0], 0, h.buf[:0]
		return h.instant.Next(p)
	}
	*p = h.parts[h.next]
	h.next++
	return h.theirs[h.next-1], true
}

func serveEchoing(t testing.TB) *testServer {
	t.Helper()
	return start(t, settled(Config{}), &echoing{}, exchange.Mount{Prefix: "/", Upgrades: exchange.ToMessages})
}

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
		n := testing.AllocsPerRun(300, func() { c.ask(frame, buf, size) })
		checktest.Truef(t, n <= eventloop.BatchAllocations, "%s: %v allocations a message", test.name, n)
		unix.Close(c.fd)
	}
}
