package runtime

import (
	"errors"
	"fmt"
	"net"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"
	"fapws/runtime/route"
	"fapws/runtime/system"
	"fapws/runtime/websocket"

	"golang.org/x/sys/unix"
)

// How a server serves the WebSockets of another one (socketstate.go), and closes those that it cannot serve.

var (
	errNoPlace      = errors.New("there are as many connections as may be")
	errMessagesLost = errors.New("messages to its groups have been lost")
	errEnded        = errors.New("the server has ended")
	errOtherMount   = errors.New("its request leads to something else now")
)

// ImportSocket serves a WebSocket that ExportSockets has given away, perhaps in another process. It owns fd from now on, also
// if there is an error: then the WebSocket is closed with 1012. It waits while many others are being resumed. It must not be called on the loop,
// and not before Serve.
func (s *Server) ImportSocket(d *SocketState, fd int) error {
	err := errEnded
	for busy := true; busy; {
		busy = false
		s.do(func() {
			h := &s.loop.handover
			if busy = h.resuming >= mostResuming; !busy {
				err = h.take(d, fd)
			}
		})
		if busy {
			time.Sleep(time.Millisecond)
		}
	}
	if err == errEnded {
		unix.Close(fd)
	}
	return err
}

// take serves a WebSocket of another server, or dismisses it. It owns fd.
func (h *socketHandover) take(d *SocketState, fd int) error {
	err := h.resume(d, fd)
	if err != nil {
		h.dismiss(fd)
	}
	return err
}

// resume serves a WebSocket of another server. It owns fd unless there is an error.
func (h *socketHandover) resume(d *SocketState, fd int) error {
	l := h.l
	switch {
	case l.accepting.clients >= l.cfg.MaxClients:
		return errNoPlace
	case l.leaving && !h.stay:
		return errStopped
	case !l.groups.fanout.Complete(d.Seq):
		return errMessagesLost
	}
	_, err := h.serve(d, fd)
	return err
}

// serve makes a connection of d and fd, and submits its request again. It owns fd unless there is an error. The WebSocket is nil if
// its connection has ended already.
func (h *socketHandover) serve(d *SocketState, fd int) (*socket, error) {
	l := h.l
	q := newRequest()
	if _, err := q.parsed.Parse(d.Head, &l.cfg.Limits); err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	q.handed.Head = d.Head
	c := l.s.newConn(fd, addressOf(d.Local), addressOf(d.Remote))
	c.l = l
	if c.proxy != nil {
		c.proxy.awaits = false
	}
	x := c.newExchange(&q.handed)
	l.begins(x, q)
	if !h.find(x, string(d.Group)) {
		c.shift()
		l.exchanges.put(x)
		return nil, errOtherMount
	}
	l.open(c)
	if c.state == stateClosed { // it could not be watched, or the server stops
		x.conn = nil
		x.end()
		return nil, nil
	}
	ws := l.newSocket(c, websocket.Handshake{Compression: d.Compression})
	ws.group, ws.subprotocol, ws.resumes = q.mount.Group, d.Subprotocol, true
	h.resuming++
	c.ws, ws.x = ws, x
	c.setState(stateWaiting)
	c.keep(d.Input)
	if d.Log != nil && l.timed {
		x.log = l.recordOf(d.Log)
		x.received = x.log.WireIn
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
	return ws, nil
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
	h.settled(c.ws)
	c.ws.open = true
	c.setState(stateSocket)
	c.ws.Refuse(websocket.ServiceRestart)
}

// ended is called with the last part of each exchange. If the handler has let go of a WebSocket that did not depart, because its client
// has left meanwhile or it is too large, it gets the WebSocket back, with a connection that ends at once: it has to be told of the end.
func (h *socketHandover) ended(x *Exchange, p *exchange.Part) {
	d := h.asked[x]
	delete(h.asked, x)
	if d == nil || p.Op != exchange.OpHandOver {
		return
	}
	d.keep(p)
	ends, err := system.SocketpairNonblock()
	if err != nil {
		h.l.s.logf(loglevel.Error, "a handler is not told that a client has left: %v", err)
		return
	}
	unix.Close(ends[1])
	h.takeBack(d, ends[0])
}

// takeBack serves a WebSocket that has departed, or could not, again, in order to close it with 1012 and tell the handler.
// It owns fd.
func (h *socketHandover) takeBack(d *SocketState, fd int) {
	d.Groups = nil // their messages are the other server's
	ws, err := h.serve(d, fd)
	if ws != nil {
		ws.group = "" // it does not depart again
	}
	if err != nil {
		h.dismiss(fd)
		h.l.s.logf(loglevel.Error, "a handler is not told of the end of its WebSocket: %v", err)
	}
}

// dismiss closes a WebSocket that no handler has. It owns fd.
func (h *socketHandover) dismiss(fd int) {
	l := h.l
	c := l.s.newConn(fd, &net.UnixAddr{}, &net.UnixAddr{})
	c.proxy, c.rejected = nil, true
	l.open(c)
	if c.state == stateClosed {
		return
	}
	_, _ = netio.Send(fd, websocket.AppendClose(nil, websocket.ServiceRestart, nil), 0)
	c.Linger = true
	c.setState(stateEnding)
	c.Finish()
}
