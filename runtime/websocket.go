package runtime

import (
	"net"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
)

// socketHost is the loop as WebSockets need it. It implements Host of package protocol/websocket.
type socketHost struct{ l *loop }

func (h socketHost) Do(f func()) { h.l.s.do(f) }
func (h socketHost) Busy() bool  { return h.l.busy() }
func (h socketHost) Full() bool  { return h.l.accepting.Full() }

func (h socketHost) Delivered() {
	h.l.delivered()
}

func (h socketHost) Flush() {
	if h.l.app.Pending() {
		h.l.flushBatch()
	}
}

func (h socketHost) Log(level logfile.Level, line string) { h.l.s.log(level, line) }

func (h socketHost) Dismiss(fd int, last []byte) {
	h.l.reject(h.l.sites.NewClient(fd, &net.UnixAddr{}, &net.UnixAddr{}, false), last)
}

// Resume makes a connection of d and fd, and submits its request again.
func (h socketHost) Resume(d *live.SocketState, fd int) (*live.Socket, error) {
	return h.l.sites.ResumeSocket(d, fd)
}

// Sockets returns the WebSockets of the server.
func (s *Server) Sockets() *live.Sockets { return s.loop.sockets }

// JoinGroup makes a WebSocket a member of a group; nothing happens if it has ended. It must be called on the loop.
func (s *Server) JoinGroup(t exchange.Ticket, group string) {
	if ws := s.loop.socketOf(t); ws != nil {
		ws.Join(group)
	}
}

// LeaveGroup ends what JoinGroup began. It must be called on the loop.
func (s *Server) LeaveGroup(t exchange.Ticket, group string) {
	if ws := s.loop.socketOf(t); ws != nil {
		ws.Leave(group)
	}
}

// socketOf returns the WebSocket of an exchange, nil if there is none.
func (l *loop) socketOf(t exchange.Ticket) *live.Socket {
	if x := l.app.Exchange(t); x != nil {
		return sites.SocketOf(x)
	}
	return nil
}
