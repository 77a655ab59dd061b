package live

import (
	"errors"
	"fmt"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
	"fapws/runtime/websocket"

	"golang.org/x/sys/unix"
)

// How a server serves the WebSockets of another one (export.go), and closes those that it cannot serve.

var (
	errNoPlace       = errors.New("the limit of connections is reached")
	errMessagesLost  = errors.New("messages to its groups have been lost")
	errSocketStopped = errors.New("the server has stopped")
	errEnded         = errors.New("the server has stopped")
)

// mostResuming bounds the WebSockets that handlers have not resumed yet.
const mostResuming = 64

// Import serves a WebSocket that Export has given away, perhaps in another process. It owns fd from now on, unless there is an error:
// then the caller returns the WebSocket to the server that it comes from, for TakeBack, or calls Dismiss. It waits while many others are being
// resumed. It must not be called on the loop, and not before the server serves.
func (a *Sockets) Import(d *SocketState, fd int) error {
	err := errEnded
	for busy := true; busy; {
		busy = false
		a.host.Do(func() {
			if busy = a.resuming >= mostResuming; !busy {
				err = a.resume(d, fd)
			}
		})
		if busy {
			time.Sleep(time.Millisecond)
		}
	}
	return err
}

// resume serves a WebSocket of another server. It owns fd unless there is an error.
func (a *Sockets) resume(d *SocketState, fd int) error {
	switch {
	case a.host.Full():
		return errNoPlace
	case a.leaving != 0 && !a.stay:
		return errSocketStopped
	case len(d.Groups) > 0 && !a.fanout.Complete(d.Seq):
		return errMessagesLost
	}
	_, err := a.host.Resume(d, fd)
	return err
}

// Resumed returns a Socket for d, whose request is that of x. It is the protocol of c from now on, and has what the client has sent. Host.Resume
// calls it before a handler gets the request.
func (a *Sockets) Resumed(x SocketExchange, d *SocketState, c *conn.Conn) *Socket {
	s := a.New(x, websocket.Handshake{Compression: d.Compression}, string(d.Group))
	s.subprotocol, s.resumes = d.Subprotocol, true
	a.resuming++
	s.take(c)
	s.Input(d.Input)
	s.rejoin(d)
	return s
}

// rejoin makes s a member of its groups, whose messages it gets from where the other server has stopped.
func (s *Socket) rejoin(d *SocketState) {
	fanout := s.all.fanout
	s.position.Seq = d.Seq
	names := make([]string, len(d.Groups))
	for i := range names {
		names[i] = string(d.Groups[i])
		s.Join(names[i])
	}
	if events := fanout.Since(names, d.Seq); len(events) > 0 {
		s.position.Seq = events[len(events)-1].Seq
		s.all.give(s, events)
	}
}

// NotResumed closes s, whose exchange has ended because no handler has taken the request.
func (s *Socket) NotResumed() {
	s.active, s.x = false, nil
	s.leave()
	s.notResumed()
}

func (s *Socket) notResumed() {
	s.settled()
	s.open = true
	s.session.Refuse(websocket.ServiceRestart)
}

// TakeBack serves a WebSocket that has departed, or could not, again, in order to close it with 1012 and tell the handler.
// It owns fd. It must not be called on the loop.
func (a *Sockets) TakeBack(d *SocketState, fd int) {
	a.host.Do(func() { a.serveAgain(d, fd) })
}

func (a *Sockets) serveAgain(d *SocketState, fd int) {
	d.Groups = nil // their messages are the other server's
	s, err := a.host.Resume(d, fd)
	if s != nil {
		s.group = "" // it does not depart again
	}
	if err != nil {
		a.dismiss(fd)
		a.host.Log(logfile.Error, fmt.Sprintf("cannot tell a handler that its WebSocket closed: %v", err))
	}
}

// takeBack is for a handler that has let go of a WebSocket with p, which did not depart because its client has left meanwhile or it is too
// large. The handler gets it back, with a connection that ends at once: it has to be told of the end.
func (s *Socket) takeBack(p *exchange.Part) {
	a, d := s.all, s.offer
	if d == nil {
		d = s.describe()
	}
	d.keep(p)
	ends, err := system.SocketpairNonblock()
	if err != nil {
		a.host.Log(logfile.Error, fmt.Sprintf("cannot tell a handler that its client disconnected: %v", err))
		return
	}
	unix.Close(ends[1])
	a.serveAgain(d, ends[0])
}

// Dismiss closes a WebSocket that no handler has, with 1012. It owns fd. It must not be called on the loop.
func (a *Sockets) Dismiss(fd int) {
	err := errEnded
	a.host.Do(func() {
		a.dismiss(fd)
		err = nil
	})
	if err != nil {
		unix.Close(fd)
	}
}

func (a *Sockets) dismiss(fd int) {
	a.host.Dismiss(fd, websocket.AppendClose(nil, websocket.ServiceRestart, nil))
}
