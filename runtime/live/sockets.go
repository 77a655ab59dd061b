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
	// whether movable WebSockets stay open until Export is called
	stay bool
	// whether all WebSockets stay open until the end of SocketConfig.ReloadGrace
	spared bool
	// number of the last message before the server began to retire; WebSockets get all messages up to this number
	// before they are handed over
	last uint64
	// number of movable WebSockets whose handler has not answered the handshake yet
	awaited  int
	resuming int
	departed []departed
}

func NewSockets(loop Loop, sites *exchange.Server, conns *conn.Set) *Sockets {
	a := &Sockets{loop: loop, sites: sites, conns: conns}
	a.Fanout = NewFanout(func() bool { return conns.Events.Busy() }, groupBatch)
	a.Limit(ChannelLimits{Total: groupHistory, Age: int64(groupHistoryAge)})
	return a
}

// WebSockets use only the fields MaxEvent, HandOver and Counted of groups.
func (a *Sockets) Configure(cfg SocketConfig, groups StreamConfig) {
	a.cfg, a.maxEvent = cfg, groups.MaxEvent
	a.onCount = groups.Counted
	a.stay = groups.HandOver
}

func (a *Sockets) Trim() { a.codec = nil }

// Drain is called when the server ends. The close code is 1012 (service restart) if retire is true, because a new
// server replaces this one, and otherwise 1001 (RFC 6455 §7.4.1, IANA). If retire and StreamConfig.HandOver are true,
// movable WebSockets stay open until Export. Drain first sends waiting messages to groups, for a limited time.
// WebSockets that stay open get the remaining messages before they are handed over.
func (a *Sockets) Drain(retire bool) {
	a.leaving = websocket.GoingAway
	within := finishWithin
	if retire {
		a.leaving = websocket.ServiceRestart
		if a.stay {
			within = stayWithin
		}
		if a.cfg.ReloadGrace > 0 {
			a.spared = true
			time.AfterFunc(a.cfg.ReloadGrace, func() { a.conns.Events.Post(a.spare) })
		}
	}
	a.Finish(within)
	a.last = a.Tip()
	a.conns.Flush()
}

func (a *Sockets) spare() {
	a.spared = false
	a.each(func(s *Socket) { s.Drain(true) })
}

func (a *Sockets) each(do func(*Socket)) {
	for _, c := range a.conns.All() {
		if s, ok := c.Protocol().(*Socket); ok && s.state <= socketOpen {
			do(s)
		}
	}
}

// mostHandedOver limits the total size of Head, Data and Input in a SocketState, so that their base64
// encoding fits into a message of 160 KiB.
const mostHandedOver = 80 << 10

func describe(s *Socket) *SocketState {
	return &SocketState{Compression: s.compression, Resumption: exchange.Resumption{
		Group: []byte(s.group), Subprotocol: s.subprotocol,
		Local: conn.AddressText(s.conn.Local), Remote: conn.AddressText(s.conn.Remote), User: s.x.User(),
	}}
}

// keep copies the header fields and the body of p, the part with which the handler has released the WebSocket, to d.
func keep(d *SocketState, p *exchange.Part) {
	d.Head, d.Data = append([]byte(nil), p.Head.Fields...), append([]byte(nil), p.Body...)
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

	// groupHistory limits the bytes of the messages that Hold stores for WebSockets from another process.
	groupHistory    = 16 << 20
	groupHistoryAge = time.Hour

	stayWithin = 10 * time.Millisecond

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
