package live

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
	"fapws/runtime/websocket"
)

// A server that retires hands over WebSockets whose mounts have a group. The loop stops reading, and sends
// exchange.OpHandOver to the handler after all messages of the client. The handler's answer follows all of its output,
// so no data is in transit between the loop and the handler. If the handler refuses or does not answer in time, the
// WebSocket is closed with 1012.
//
// Compression has no state between two messages, because it is negotiated without context takeover.

const (
	handOverPatience = 10 * time.Second

	// handOverTick is the interval between attempts to hand over the remaining WebSockets.
	handOverTick = 10 * time.Millisecond
)

// SocketState is the state of an open WebSocket that one server hands over to its successor, as JSON.
type SocketState struct {
	exchange.Resumption
	Compression websocket.Compression
	Groups      [][]byte
	Seq         uint64 // number of the last message to Groups that was sent to the client
	Input       []byte // the received part of an incomplete message
}

type departed struct {
	state any // *SocketState or *StreamState
	fd    int
	// called after a failed hand-over, to return the client to this server; must not be called on the loop
	back func()
}

// export hands over clients, one after the other. sweep removes clients from the loop and returns them; more means that
// sweep must be called again. give gets the state and the descriptor of each client, and export then closes the
// descriptor without shutting down the connection. After an error or the end of ctx, or when no client was handed over
// for the duration patience, export calls sweep with late set, to close the connections that cannot be handed over now.
// release is called after the last client. do runs a function on the loop, unless the loop has ended. export returns
// the number of clients that were handed over, and the first error of give or ctx.
//
// export must not be called on the loop. give runs on the caller's goroutine; sweep and release run on the loop.
func export(ctx context.Context, give func(d any, fd int) error, do func(func()), patience time.Duration,
	sweep func(late, stop bool) (list []departed, more bool), release func()) (n int, err error) {
	var list []departed
	end := time.Now().Add(patience)
	for more := true; more; {
		if len(list) > 0 {
			end = time.Now().Add(patience)
		}
		stop := err != nil || ctx.Err() != nil
		list, more = nil, false
		do(func() {
			if list, more = sweep(stop || time.Now().After(end), stop); !more {
				release()
			}
		})
		for _, one := range list {
			if err == nil {
				err = give(one.state, one.fd)
			}
			if err != nil {
				one.back()
				continue
			}
			n++
			unix.Close(one.fd)
		}
		if more && len(list) == 0 {
			time.Sleep(handOverTick)
		}
	}
	return n, cmp.Or(err, ctx.Err())
}

// Export hands over the movable WebSockets while the server retires (see export), and closes all other WebSockets with
// 1012. If give is nil or returns an error, Export closes the remaining WebSockets. StreamConfig.HandOver must be set.
func (a *Sockets) Export(ctx context.Context, give func(d any, fd int) error) (n int, err error) {
	if give == nil {
		a.loop.Do(a.release)
		return 0, nil
	}
	return export(ctx, give, a.loop.Do, handOverPatience,
		func(late, _ bool) ([]departed, bool) { return a.sweep(late) }, a.release)
}

// sweep sends OpHandOver to the handlers of movable WebSockets, and returns the WebSockets whose handlers have agreed.
// more is true while other handlers have not answered yet. If late is true, sweep closes the remaining movable
// WebSockets.
func (a *Sockets) sweep(late bool) (list []departed, more bool) {
	if !late && a.given() < a.last {
		return nil, true
	}
	more = !late && a.awaited > 0
	a.each(func(s *Socket) {
		switch {
		case !s.movable() || s.ends():
		case !late && (s.state == socketOpening || s.moving == asked):
			more = true
		case !late && !s.conn.Half && s.answer == answering:
			more = true
			s.ask()
		case s.state == socketOpen:
			s.remain()
		}
	})
	list, a.departed = a.departed, nil
	return list, more || len(list) > 0
}

func (s *Socket) ask() {
	if _, idle := s.decoder.Idle(); !idle {
		return
	}
	s.moving = asked
	s.conn.Stop(conn.PauseForReset)
	s.conn.Pause(conn.PauseForHandover) // further input, including its end, is for the new process
	s.x.Source.Input(s.x, exchange.Input{Op: exchange.OpHandOver})
}

func (s *Socket) remain() {
	if s.moving == asked {
		s.moving = staying
		if s.answer == answering && s.outstanding < exchange.InputWindow {
			s.resumeReading()
		} else {
			s.conn.Pause(conn.PauseForReset)
		}
	}
	s.goAway()
}

func (a *Sockets) release() {
	a.stay = false
	if a.leaving == 0 {
		return
	}
	a.each(func(s *Socket) {
		if s.state == socketOpen {
			s.remain()
		}
	})
	a.conns.Flush()
}

// answered handles the handler's answer to OpHandOver. If p is the last part, the handler has released the WebSocket.
func (s *Socket) answered(p *exchange.Part) {
	if !p.Last() {
		s.release(p)
		if s.moving == asked {
			s.remain()
		}
		return
	}
	if s.moving != asked {
		s.leave()
		s.proper, s.answer = true, finished
		s.release(p)
		return
	}
	if s.offer == nil {
		s.offer = describe(s)
		if !s.left { // from now on, only the other server sends messages of the groups to the client of s
			s.offer.Seq = s.all.Reached(s)
			for _, name := range s.position.Names() {
				s.offer.Groups = append(s.offer.Groups, []byte(name))
			}
			s.leave()
		}
	}
	s.all.conns.Flush()
	switch {
	case s.answer != answering:
		s.release(p)
	case s.conn.Writing():
		s.held.PutFirst(p)
	default:
		s.all.depart(s, p)
	}
}

func (a *Sockets) depart(s *Socket, p *exchange.Part) {
	c, d := s.conn, s.offer
	begun, _ := s.decoder.Idle()
	keep(d, p)
	d.Input = append(append([]byte(nil), begun...), c.Pending()...)
	s.answer = finished
	if len(d.Head)+len(d.Data)+len(d.Input) > mostHandedOver {
		s.proper = true
		s.goAway()
		s.release(p)
		return
	}
	d.Sent, d.Framed = s.x.Out.Sent+s.out, s.x.Out.Framed
	if e := s.x.TakeRecord(); e != nil { // the other server logs the WebSocket when it ends
		e.WireIn += s.in
		d.Log = e.State()
	}
	s.moving = moved
	fd := c.Fd()
	a.departed = append(a.departed, departed{d, fd, func() { a.TakeBack(d, fd) }})
	c.Detach()
	s.release(p)
}

const mostResuming = 64

// Import serves a WebSocket that Export has handed over, usually in another process. Import owns fd unless it returns
// an error. After an error the caller must either return the WebSocket to the other server, which calls TakeBack, or
// call Dismiss. Import waits while too many WebSockets are being resumed. Therefore it must not be called on the loop
// or before the server has started.
func (a *Sockets) Import(d *SocketState, fd int) error {
	for {
		busy, err := false, errStopped
		a.loop.Do(func() {
			if busy = a.resuming >= mostResuming; !busy {
				err = a.resume(d, fd)
			}
		})
		if !busy {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// resume owns fd unless there is an error.
func (a *Sockets) resume(d *SocketState, fd int) error {
	switch {
	case a.loop.Full():
		return errFull
	case a.leaving != 0 && !a.stay:
		return errStopped
	case len(d.Groups) > 0 && !a.Complete(d.Seq):
		return errors.New("messages to its groups have been lost")
	}
	_, err := a.serve(d, fd)
	return err
}

// serve submits the request of d again, and returns nil if the connection has already ended.
func (a *Sockets) serve(d *SocketState, fd int) (*Socket, error) {
	again, err := a.loop.Resume(&d.Resumption, fd, func(x *exchange.Exchange, c *conn.Conn) exchange.Carrier {
		return a.resumed(x, d, c)
	})
	s, _ := again.(*Socket)
	return s, err
}

func (a *Sockets) resumed(x *exchange.Exchange, d *SocketState, c *conn.Conn) *Socket {
	s := a.socket(x, websocket.Handshake{Compression: d.Compression}, string(d.Group))
	s.subprotocol, s.moving = d.Subprotocol, resuming
	x.SetCarrier(s)
	x.SetSink(s)
	a.resuming++
	s.take(c)
	s.Input(d.Input)
	// Messages to the groups continue from the point where the other server stopped.
	s.position.Seq = d.Seq
	names := make([]string, len(d.Groups))
	for i := range names {
		names[i] = string(d.Groups[i])
		s.Join(names[i])
	}
	if events := a.Since(names, d.Seq); len(events) > 0 {
		s.position.Seq = events[len(events)-1].Seq
		s.Give(events)
	}
	return s
}

func (s *Socket) notResumed() {
	s.settled()
	s.state = max(s.state, socketOpen)
	s.control(s.closeFrame(websocket.ServiceRestart, ""))
}

// TakeBack serves a WebSocket again after a failed hand-over, to close the WebSocket with 1012 and notify the handler.
// TakeBack owns fd, and must not be called on the loop.
func (a *Sockets) TakeBack(d *SocketState, fd int) {
	a.loop.Do(func() { a.serveAgain(d, fd) })
}

func (a *Sockets) serveAgain(d *SocketState, fd int) *Socket {
	// the WebSocket is about to be closed, so it gets no more messages to its groups
	d.Groups = nil
	s, err := a.serve(d, fd)
	if s != nil {
		s.group = "" // prevents a second hand-over of s
	}
	if err != nil {
		a.dismiss(fd)
		a.conns.Log(logfile.Error, "cannot tell a handler that its WebSocket closed: %v", err)
	}
	return s
}

// takeBack returns a WebSocket to its handler, which has already released it with the part p. takeBack is called if the
// WebSocket cannot be handed over, because the client has disconnected or the state is too large.
func (a *Sockets) takeBack(s *Socket, p *exchange.Part) {
	d := cmp.Or(s.offer, describe(s))
	keep(d, p)
	ends, err := system.SocketpairNonblock()
	if err != nil {
		a.conns.Log(logfile.Error, "cannot tell a handler that its client disconnected: %v", err)
		return
	}
	unix.Close(ends[1])
	// notify the handler: the client disconnected before a close frame was sent
	if again := a.serveAgain(d, ends[0]); again != nil && s.away == 0 {
		again.broken = &websocket.Error{Code: websocket.Abnormal}
	}
}

// Dismiss closes a WebSocket without a handler, with 1012. Dismiss owns fd, and must not be called on the loop.
func (a *Sockets) Dismiss(fd int) {
	err := errStopped
	a.loop.Do(func() {
		a.dismiss(fd)
		err = nil
	})
	if err != nil {
		unix.Close(fd)
	}
}

func (a *Sockets) dismiss(fd int) {
	a.loop.Dismiss(fd, websocket.AppendClose(nil, websocket.ServiceRestart, nil))
}
