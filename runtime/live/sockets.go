package live

import (
	"time"
	"unsafe"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

type SocketConfig struct {
	// MaxSize is the maximum size of a message in bytes, before and after decompression; a larger message closes the
	// WebSocket with 1009.
	MaxSize int
	// Ping is how long a client may be silent before the server sends a ping. The client must answer the ping within
	// PingTimeout. If Ping is 0 or less, the server sends no pings; if PingTimeout is 0 or less, the server waits
	// without limit.
	Ping, PingTimeout time.Duration

	NoDeflate bool // messages are not compressed (permessage-deflate)

	// ReloadGrace is how long WebSockets stay open after another process has replaced the server, before they are
	// closed with 1012.
	ReloadGrace time.Duration
}

// Sockets contains the WebSockets of an event loop, and their shared state. Its methods must be called on the loop,
// unless their comments say otherwise.
type Sockets struct {
	*Fanout
	loop     Loop
	sites    *exchange.Server
	conns    *conn.Set
	cfg      SocketConfig
	maxEvent int
	// nil before the first WebSocket and after Trim
	codec *codec

	// close code while the server stops or is replaced; 0 in normal operation
	leaving uint16
	// whether WebSockets stay open until the end of SocketConfig.ReloadGrace
	spared bool
}

func NewSockets(loop Loop, sites *exchange.Server, conns *conn.Set) *Sockets {
	a := &Sockets{loop: loop, sites: sites, conns: conns}
	a.Fanout = NewFanout(func() bool { return conns.Events.Busy() }, groupBatch)
	return a
}

// WebSockets use only the fields MaxEvent and Counted of groups.
func (a *Sockets) Configure(cfg SocketConfig, groups StreamConfig) {
	a.cfg, a.maxEvent = cfg, groups.MaxEvent
	a.onCount = groups.Counted
}

func (a *Sockets) Trim() { a.codec = nil }

// Drain is called when the server ends, before all WebSockets are drained. The close code is 1012 (service restart) if
// retire is true, because a new server replaces this one, and otherwise 1001 (RFC 6455 §7.4.1, IANA). If retire is true,
// WebSockets stay open for SocketConfig.ReloadGrace. Messages to groups that wait are sent before the close frames, for
// a limited time.
func (a *Sockets) Drain(retire bool) {
	a.leaving, a.spared = websocket.GoingAway, false
	if retire {
		a.leaving = websocket.ServiceRestart
		if a.cfg.ReloadGrace > 0 {
			a.spared = true
			time.AfterFunc(a.cfg.ReloadGrace, func() { a.conns.Events.Post(a.spare) })
			return
		}
	}
	a.finish()
}

func (a *Sockets) finish() {
	a.Finish(finishWithin)
	a.conns.Flush()
}

func (a *Sockets) spare() {
	if !a.spared { // the server was stopped during the grace
		return
	}
	a.spared = false
	a.finish()
	a.each((*Socket).goAway)
}

func (a *Sockets) each(do func(*Socket)) {
	for _, c := range a.conns.All() {
		if s, ok := c.Protocol().(*Socket); ok && s.state <= socketOpen {
			do(s)
		}
	}
}

type GroupMessage struct {
	Group  string
	Binary bool
	Data   string // the message, in UTF-8 unless Binary is true
}

const (
	groupBatch = 64 << 10 // in bytes

	// leastBehind is the smallest result of mostBehind, in bytes. A WebSocket that exceeds mostBehind is closed with
	// 1013 (try again later; RFC 6455 §7.4, IANA).
	leastBehind = 1 << 20

	tooSlow = "too slow"
)

// Broadcast sends a message to all WebSockets of the group that the message names. If seq is not 0, another process has
// numbered the message, and Broadcast drops it unless seq is larger than all earlier numbers. Broadcast does not wait,
// may be called on any goroutine, and returns ErrBacklog if too many bytes wait.
func (a *Sockets) Broadcast(seq uint64, m *GroupMessage) error {
	_, err := a.Publish(seq, func(seq uint64) (*Event, error) { return m.event(seq), nil })
	return err
}

func (m *GroupMessage) event(seq uint64) *Event {
	op := exchange.OpText
	if m.Binary {
		op = exchange.OpBinary
	}
	wire := make([]byte, 0, len(m.Data)+websocket.MaxHeader)
	wire = websocket.AppendHeader(wire, opcodeOf(op), false, len(m.Data))
	header := len(wire)
	return NewFrame(m.Group, seq, append(wire, m.Data...), header, op)
}

// mostBehind returns how many bytes may wait for a client before its WebSocket is closed.
func (a *Sockets) mostBehind() int { return max(leastBehind, 2*a.maxEvent) }

var shared = new(exchange.Part)

func cost(p *exchange.Part) int { return len(p.Body) + int(unsafe.Sizeof(*p)) }
