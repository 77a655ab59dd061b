package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/descriptors"
	"fapws/runtime/exchange"
	"fapws/runtime/netio"
	"fapws/runtime/route"
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
	stay     bool // retiring leaves them alone, until ExportSockets has seen to them
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
				endSocket(one.fd)
			} else {
				n++
			}
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
	for _, c := range l.wheel.All() {
		ws := c.ws
		switch {
		case ws == nil || ws.group == "" || c.state != stateSocket && c.state != stateWaiting || ws.ends():
		case !late && (!ws.open || ws.handing):
			more = true
		case !late && !c.half && c.first != nil:
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
	if _, idle := c.ws.decoder.Idle(); !idle {
		return
	}
	c.ws.handing = true
	h.l.pauseReading(c)
	h.l.tell(c.first, exchange.Input{Op: exchange.OpHandOver})
}

// remain closes a WebSocket that is not handed over.
func (h *socketHandover) remain(c *httpConn) {
	l := h.l
	if c.ws.handing {
		c.ws.handing = false
		if x := c.first; x != nil && x.given < exchange.InputWindow {
			l.resumeReading(c)
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
	for _, c := range h.l.wheel.All() {
		if c.state == stateSocket {
			h.remain(c)
		}
	}
	h.l.flush()
}

// answered takes what the handler of x says to OpHandOver: with its Last part it has let go of the WebSocket.
func (h *socketHandover) answered(x *Exchange, p *exchange.Part) {
	l, c := h.l, x.conn
	ws := c.ws
	if !p.Last {
		asked := ws.handing
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
	if ws.leaves == nil { // messages to its groups that come later are the other server's
		ws.leaves = &SocketState{Seq: ws.position.Seq}
		for _, name := range ws.position.Names() {
			ws.leaves.Groups = append(ws.leaves.Groups, []byte(name))
		}
		l.groups.leave(ws)
	}
	l.flush()
	switch {
	case x.conn == nil: // the connection is broken
		l.release(p)
	case c.transfer != nil:
		x.held = append([]exchange.Part{*p}, x.held...)
	default:
		h.depart(x, p)
	}
}

// depart takes the connection of x, to which everything was written, out of the loop.
func (h *socketHandover) depart(x *Exchange, p *exchange.Part) {
	l, c := h.l, x.conn
	ws := c.ws
	d := ws.leaves
	begun, _ := ws.decoder.Idle()
	d.Group, d.Head, d.Data = []byte(ws.group), append([]byte(nil), p.Head.Request...), append([]byte(nil), p.Body...)
	d.Input = append(append([]byte(nil), begun...), c.pending()...)
	d.Local, d.Remote = addressText(c.local), addressText(c.remote)
	d.Subprotocol, d.Compression = ws.subprotocol, ws.packing
	d.Sent, d.Framed = x.sent, x.framed
	if x.peer != nil {
		d.User = x.peer.User
	}
	if len(d.Head)+len(d.Data)+len(d.Input) > mostHandedOver {
		c.shift()
		x.proper = true
		l.goAway(c)
		l.release(p)
		return
	}
	if e := x.log; e != nil {
		d.Log = e.State()
		x.log = nil // its line comes when the WebSocket ends
	}
	c.watch.Remove()
	descriptors.Release(c.fd)
	h.departed = append(h.departed, departedSocket{d, c.fd})
	c.shift()
	x.conn = nil
	l.end(c)
	l.release(p)
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

// endSocket closes a WebSocket that no server has, as far as that can be done at once.
func endSocket(fd int) {
	_, _ = netio.Send(fd, websocket.AppendClose(nil, websocket.ServiceRestart, nil), 0)
	unix.Shutdown(fd, unix.SHUT_WR)
}

var (
	errNoPlace      = errors.New("there are as many connections as may be")
	errMessagesLost = errors.New("messages to its groups have been lost")
	errOtherMount   = errors.New("its request leads to something else now")
)

// ImportSocket serves a WebSocket that ExportSockets has given away, perhaps in another process. It owns fd from now on, also
// if there is an error: then the WebSocket is closed with 1012. It waits while many others are being resumed. It must not be called on the loop,
// and not before Serve.
func (s *Server) ImportSocket(d *SocketState, fd int) error {
	err := errStopped
	for busy := true; busy; {
		busy = false
		s.do(func() {
			if busy = s.loop.handover.resuming >= mostResuming; !busy {
				err = s.loop.handover.resume(d, fd)
			}
		})
		if busy {
			time.Sleep(time.Millisecond)
		}
	}
	if err != nil {
		endSocket(fd)
		unix.Close(fd)
	}
	return err
}

// resume makes a connection of d and fd, and submits its request again. It owns fd unless there is an error.
func (h *socketHandover) resume(d *SocketState, fd int) error {
	l := h.l
	groups := l.groups
	switch {
	case l.accepting.clients >= l.cfg.MaxClients:
		return errNoPlace
	case l.leaving && !h.stay:
		return errStopped
	case !groups.fanout.Complete(d.Seq):
		return errMessagesLost
	}
	q := newRequest()
	if _, err := q.parsed.Parse(d.Head, &l.cfg.Limits); err != nil {
		return fmt.Errorf("its request: %w", err)
	}
	q.Head = d.Head
	c := l.s.newConn(fd, addressOf(d.Local), addressOf(d.Remote))
	c.l = l
	if c.proxy != nil {
		c.proxy.awaits = false
	}
	x := l.newExchange(c, q)
	if !h.find(x, string(d.Group)) {
		c.shift()
		l.exchanges.put(x)
		return errOtherMount
	}
	l.open(c)
	if c.state == stateClosed { // it could not be watched, or the server stops
		x.conn = nil
		l.done(x)
		return nil
	}
	ws := l.newSocket(websocket.Handshake{Compression: d.Compression})
	ws.group, ws.subprotocol, ws.resumes = q.mount.Group, d.Subprotocol, true
	h.resuming++
	c.ws, ws.x = ws, x
	l.setState(c, stateWaiting)
	l.keep(c, d.Input)
	if d.Log != nil && l.timed {
		x.log = l.recordOf(d.Log)
	}
	if d.User != "" {
		peer := *c.Client()
		peer.User = d.User
		x.peer = &peer
	}
	h.rejoin(ws, d)
	r := q.ask()
	r.WebSocket, r.Resumed = true, &exchange.Resumed{Subprotocol: d.Subprotocol, Data: d.Data}
	l.submit(x, r)
	x.owed = false // it is open for its client, and no 504 can be written
	if x.req == q {
		x.req = nil
	}
	x.sent, x.framed = d.Sent, d.Framed
	return nil
}

// find decides about the request of x, whose password was checked before.
func (h *socketHandover) find(x *Exchange, group string) bool {
	l, q := h.l, x.req
	l.route(x)
	for {
		l.settleRules(x)
		switch q.Outcome {
		case route.Found:
			return q.mount.WebSocket && q.mount.Group == group && q.parsed.UpgradeTo.Len > 0
		case route.NeedsLookup:
			q.Skip()
		case route.NeedsPassword:
			q.Admit()
		default:
			return false
		}
	}
}

// rejoin makes ws a member of its groups, whose messages it gets from where the other server has stopped.
func (h *socketHandover) rejoin(ws *socket, d *SocketState) {
	groups := h.l.groups
	ws.position.Seq = d.Seq
	names := make([]string, len(d.Groups))
	for i := range names {
		names[i] = string(d.Groups[i])
		groups.join(ws, names[i])
	}
	if events := groups.fanout.Since(names, d.Seq); len(events) > 0 {
		ws.position.Seq = events[len(events)-1].Seq
		groups.give(ws, events)
	}
}

// settled notes that the handler has resumed ws, or that it never will.
func (h *socketHandover) settled(ws *socket) {
	if ws.resumes {
		ws.resumes = false
		h.resuming--
	}
}

// failed closes a WebSocket that the handler does not resume.
func (h *socketHandover) failed(c *httpConn) {
	l := h.l
	h.settled(c.ws)
	c.ws.open = true
	l.setState(c, stateSocket)
	l.control(c, l.closing(c, websocket.ServiceRestart, ""))
}
