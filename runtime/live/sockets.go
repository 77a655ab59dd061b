package live

import (
	"net"
	"net/netip"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/websocket"
)

// SocketConfig says how WebSockets behave.
type SocketConfig struct {
	MaxSize           int           // bytes of a message
	Ping, PingTimeout time.Duration // how long the client may be silent, and may take to answer a ping; 0 or less: any time
	MaxGroupMessage   int           // bytes of a message to a group
	HandOver          bool          // WebSockets with a group stay when the server retires, for Export

	// Counted is called on the loop when the number of members of a group has changed. nil: it is not.
	Counted func(group string, members int)
}

// SocketHost is the server that the WebSockets are a part of. Its methods are called on the loop, except for Do.
type SocketHost interface {
	// Do runs f on the loop, and returns when it has ended. It must not be called on the loop.
	Do(f func())

	// Busy reports whether other work waits for the loop.
	Busy() bool

	// Full reports whether there are as many clients as there may be.
	Full() bool

	// Delivered is called when input was given to handlers, which the server passes on at once if it is much.
	Delivered()

	// Flush passes on at once what handlers were given.
	Flush()

	// Resume makes a connection of fd and d, and has its request answered again, by a handler that gets exchange.Resumed.
	// The Socket, which the server makes with Resumed, is nil if the connection has ended already. fd stays the caller's if there is an error.
	Resume(d *SocketState, fd int) (*Socket, error)

	// Dismiss sends the last bytes to a client that no handler has, and closes fd when the client has read them.
	Dismiss(fd int, last []byte)

	// Log writes a line to the error log.
	Log(level logfile.Level, line string)
}

// Sockets are the WebSockets of an event loop, and what they share. Methods must be called on the loop, unless they say otherwise.
type Sockets struct {
	host   SocketHost
	conns  *conn.Set
	cfg    SocketConfig
	codec  *codec // nil: no client has asked for a WebSocket since the last one left
	fanout *Fanout[*Socket]

	leaving  uint16 // the server stops or is replaced: with what WebSockets are closed; 0: it serves
	stay     bool   // those that can be handed over stay while the server retires
	awaited  int    // handshakes that handlers have not answered, of WebSockets that can be handed over
	resuming int    // WebSockets of other servers that handlers have not resumed
	departed []departed
}

// codec compresses messages, and takes them apart, one at a time.
type codec struct {
	inflater websocket.Inflater
	deflater websocket.Deflater
}

// NewSockets returns the WebSockets of a loop, whose connections are conns.
func NewSockets(host SocketHost, conns *conn.Set) *Sockets {
	a := &Sockets{host: host, conns: conns}
	a.fanout = NewFanout(HubOptions[*Socket]{Give: a.give, Busy: host.Busy, BatchBytes: groupBatch})
	a.fanout.Limit(ChannelLimits{Total: groupHistory, Age: int64(groupHistoryAge)})
	return a
}

// Configure sets how WebSockets behave from now on.
func (a *Sockets) Configure(cfg SocketConfig) {
	a.cfg = cfg
	a.stay = cfg.HandOver
}

// WakeBy sets what wakes the loop, which then calls Turn. It is called once. wake has to be safe for concurrent use.
func (a *Sockets) WakeBy(wake func()) { a.fanout.WakeBy(wake) }

// Trim gives memory back when no client is connected.
func (a *Sockets) Trim() { a.codec = nil }

// Drain begins the end of all WebSockets: with retire the server is replaced and WebSockets are closed with 1012 (service restart), unless
// they may stay for Export; else with 1001 (RFC 6455 §7.4.1, IANA): browsers then connect again. Messages to groups go out first. The
// Sockets themselves are drained as other connections are, by Socket.Drain.
func (a *Sockets) Drain(retire bool) {
	a.leaving = websocket.GoingAway
	if retire {
		a.leaving = websocket.ServiceRestart
	}
	a.fanout.Finish(a.in(0))
	a.conns.Flush()
}

// each calls do for the WebSockets that are open, or are being resumed.
func (a *Sockets) each(do func(*Socket)) {
	for _, c := range a.conns.All() {
		if s, ok := c.Protocol().(*Socket); ok && !s.over && !s.ending {
			do(s)
		}
	}
}

// SocketState is an open WebSocket that goes from one server to another, for JSON.
type SocketState struct {
	Group         []byte // of its mount
	Head          []byte // of the request
	Local, Remote string // addresses with ports; "" of a unix socket
	User          string `json:",omitempty"`
	Subprotocol   string `json:",omitempty"`
	Compression   websocket.Compression
	Groups        [][]byte // that it has joined
	Seq           uint64   // it was sent all messages to them up to this one
	Data          []byte   // of the handler
	Input         []byte   // that was read and is no whole message
	Sent, Framed  int64

	Log *logfile.State `json:",omitempty"` // of the line in the access log to come
}

// mostHandedOver bounds Head, Data and Input together, so that all fits into a message of 160 KiB, as base64.
const mostHandedOver = 80 << 10

// describe returns what s knows of itself.
func (s *Socket) describe() *SocketState {
	return &SocketState{
		Group: []byte(s.group), Subprotocol: s.subprotocol, Compression: s.compression,
		Local: addressText(s.conn.Local), Remote: addressText(s.conn.Remote), User: s.x.User(),
	}
}

// keep copies what the handler gives with the part by which it lets go.
func (d *SocketState) keep(p *exchange.Part) {
	d.Head, d.Data = append([]byte(nil), p.Head.Request...), append([]byte(nil), p.Body...)
}

// size is what mostHandedOver bounds.
func (d *SocketState) size() int { return len(d.Head) + len(d.Data) + len(d.Input) }

// Addresses returns the addresses of the connection.
func (d *SocketState) Addresses() (local, remote net.Addr) {
	return addressOf(d.Local), addressOf(d.Remote)
}

func addressText(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().String()
	}
	return ""
}

func addressOf(text string) net.Addr {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return &net.UnixAddr{Net: "unix"}
}
