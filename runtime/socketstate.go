package runtime

import (
	"context"
	"net"
	"net/netip"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/conn"
	"fapws/runtime/descriptors"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"

	"golang.org/x/sys/unix"
)

// A server that retires hands over WebSockets whose mounts have a Group (Mount.Group) and that are between two messages, as it
// does with subscribers (package sse): the descriptor, the request, and what the handler keeps of it. The loop stops reading, and asks
// the handler behind all messages that it was given (exchange.OpHandOver). The handler answers behind all that it sends, so nothing
// is on its way in either direction. One whose handler refuses, or is not asked in time, is closed with 1012.
//
// Compression has no state between two messages: it is agreed on without context takeover.

// SocketState is an open WebSocket that goes from one server to another, for JSON.
type SocketState struct {
	Group         []byte // Mount.Group
	Head          []byte // of the request
	Local, Remote string // addresses with ports; "" of a unix socket
	User          string `json:",omitempty"`
	Subprotocol   string `json:",omitempty"`
	Compression   websocket.Compression
	Groups        [][]byte // that it has joined
	Seq           uint64   // of the last message to them that was sent
	Data          []byte   // of the handler
	Input         []byte   // that was read and is no whole message
	Sent, Framed  int64

	Log *accesslog.State `json:",omitempty"` // of the line in the access log to come
}

const (
	// handOverPatience is how long the end of a message or of a callback is waited for.
	handOverPatience = 10 * time.Second

	// handOverTick is how often WebSockets that could not be asked are looked at again.
	handOverTick = 10 * time.Millisecond

	// mostHandedOver bounds Head, Data and Input together, so that all fits into a message of 160 KiB, as base64.
	mostHandedOver = 80 << 10

	// mostResuming bounds the WebSockets that the handler has not resumed yet.
	mostResuming = 64
)

// socketHandover is what the loop knows of WebSockets that come or go. It belongs to the loop.
type socketHandover struct {
	l        *loop
	stay     bool                       // retiring leaves them alone, until ExportSockets has seen to them
	asked    map[*Exchange]*SocketState // those whose handlers were asked and have not ended
	departed []departedSocket
	resuming int
}

type departedSocket struct {
	d  *SocketState
	fd int
}

// ExportSockets hands over the WebSockets that can be, while the server retires: give gets what there is to say of one, and its
// descriptor, which is closed when give returns. The others are closed with 1012, and all of them if give is nil or has failed.
// Config.Channels.HandOver has to be set. It returns how many were given away, and the first error of give or ctx's.
//
// It must not be called on the loop; give runs on the caller's goroutine.
func (s *Server) ExportSockets(ctx context.Context, give func(d *SocketState, fd int) error) (n int, err error) {
	h := &s.loop.handover
	if give == nil {
		s.do(h.release)
		return 0, nil
	}
	for end := time.Now().Add(handOverPatience); ; {
		var list []departedSocket
		more := false
		late := err != nil || ctx.Err() != nil || time.Now().After(end)
		s.do(func() { list, more = h.sweep(late) })
		for _, one := range list {
			if err == nil {
				err = give(one.d, one.fd)
			}
			if err != nil {
				s.do(func() { h.takeBack(one.d, one.fd) })
				continue
			}
			n++
			unix.Close(one.fd)
		}
		if !more {
			s.do(h.release)
			if err == nil {
				err = ctx.Err()
			}
			return n, err
		}
		if len(list) == 0 {
			time.Sleep(handOverTick)
		}
	}
}

// sweep asks the handlers of WebSockets that can be handed over, and returns those that have left. more: there will be
// others. late: those that could not be asked, or were not answered, are closed.
func (h *socketHandover) sweep(late bool) (list []departedSocket, more bool) {
	l := h.l
	for _, c := range l.all() {
		ws := c.ws
		switch {
		case ws == nil || ws.group == "" || c.state != stateSocket && c.state != stateWaiting || ws.Ends():
		case !late && (!ws.open || ws.handing):
			more = true
		case !late && !c.Half() && c.first != nil:
			more = true
			h.ask(c)
		case ws.open:
			h.remain(c)
		}
	}
	list, h.departed = h.departed, nil
	return list, more || len(list) > 0
}

// ask asks the handler of c, unless a message is arriving.
func (h *socketHandover) ask(c *httpConn) {
	if _, idle := c.ws.Decoder.Idle(); !idle {
		return
	}
	c.ws.handing = true
	h.note(c)
	c.pauseReading()
	c.Pause(conn.HeedNothing) // what comes now, its end too, is for the process that gets it
	h.l.tell(c.first, exchange.Input{Op: exchange.OpHandOver})
}

// note remembers what the loop knows of the WebSocket of c, whose connection may break before its handler has answered.
func (h *socketHandover) note(c *httpConn) {
	ws, x := c.ws, c.first
	d := &SocketState{
		Group: []byte(ws.group), Subprotocol: ws.subprotocol, Compression: ws.packing,
		Local: addressText(c.Local), Remote: addressText(c.Remote),
	}
	if x.peer != nil {
		d.User = x.peer.User
	}
	h.asked[x] = d
}

// remain closes a WebSocket that is not handed over.
func (h *socketHandover) remain(c *httpConn) {
	l := h.l
	if c.ws.handing {
		c.ws.handing = false
		if x := c.first; x != nil && x.given < exchange.InputWindow {
			c.resumeReading()
		} else {
			c.Pause(conn.HeedReset)
		}
	}
	l.goAway(c)
}

// release ends that WebSockets stay while the server retires.
func (h *socketHandover) release() {
	h.stay = false
	if !h.l.leaving {
		return
	}
	for _, c := range h.l.all() {
		if c.state == stateSocket {
			h.remain(c)
		}
	}
	h.l.conns.Flush()
}

// answered takes what the handler of x says to OpHandOver: with its Last part it has let go of the WebSocket.
func (h *socketHandover) answered(x *Exchange, p *exchange.Part) {
	l, c := h.l, x.conn
	ws := c.ws
	if !p.Last {
		asked := ws.handing
		delete(h.asked, x)
		l.release(p)
		if asked {
			h.remain(c)
		}
		return
	}
	if !ws.handing { // it is closed by now
		l.groups.leave(ws)
		x.proper = true
		c.shift()
		l.release(p)
		return
	}
	if !ws.left { // messages to its groups that come later are the other server's
		d := h.asked[x]
		d.Seq = ws.position.Seq
		for _, name := range ws.position.Names() {
			d.Groups = append(d.Groups, []byte(name))
		}
		l.groups.leave(ws)
	}
	l.conns.Flush()
	switch {
	case x.conn == nil: // the connection is broken
		l.release(p)
	case c.Writing():
		x.held = append([]exchange.Part{*p}, x.held...)
	default:
		h.depart(x, p)
	}
}

// depart takes the connection of x, to which everything was written, out of the loop.
func (h *socketHandover) depart(x *Exchange, p *exchange.Part) {
	l, c := h.l, x.conn
	begun, _ := c.ws.Decoder.Idle()
	d := h.asked[x]
	d.keep(p)
	d.Input = append(append([]byte(nil), begun...), c.Pending()...)
	d.Sent, d.Framed = x.sent, x.framed
	if len(d.Head)+len(d.Data)+len(d.Input) > mostHandedOver {
		c.shift()
		x.proper = true
		l.goAway(c)
		l.release(p)
		return
	}
	if e := x.log; e != nil {
		e.WireIn = x.received
		d.Log = e.State()
		x.log = nil // its line comes when the WebSocket ends
	}
	delete(h.asked, x)
	c.Unwatch()
	descriptors.Release(c.Fd())
	h.departed = append(h.departed, departedSocket{d, c.Fd()})
	c.shift()
	x.conn = nil
	c.Detach()
	l.release(p)
}

// keep copies what the handler gives with the part by which it lets go.
func (d *SocketState) keep(p *exchange.Part) {
	d.Head, d.Data = append([]byte(nil), p.Head.Request...), append([]byte(nil), p.Body...)
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
