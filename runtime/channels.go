package runtime

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
)

// Subscribers returns the subscribers of the server's channels.
func (s *Server) Subscribers() *live.Subscribers { return s.loop.subscribers }

// HoldHistory lets no event and no message to a group be forgotten for a while, except what exceeds the limit
// of all of them together. A server that is to import clients needs it from when it is told
// of events until then. It must not be called on the loop.
func (s *Server) HoldHistory(d time.Duration) {
	s.do(func() {
		s.loop.subscribers.Hold(d)
		s.loop.sockets.Hold(d)
	})
}

// TakePublished takes the published events and messages: for clients that subscribe from now on they are past. It must not be called on the loop.
func (s *Server) TakePublished() { s.do(s.loop.takePublished) }

func (l *loop) takePublished() {
	l.subscribers.Take()
	l.sockets.Take()
}

// subscriberHost is the loop as the subscribers of channels need it. It implements live.StreamHost.
type subscriberHost struct{ l *loop }

func (h subscriberHost) Now() int64  { return h.l.now() }
func (h subscriberHost) Do(f func()) { h.l.s.do(f) }
func (h subscriberHost) Full() bool  { return h.l.accepting.Full() }
func (h subscriberHost) Closed()     { h.l.makeRoom(conn.Take) }

func (h subscriberHost) Opened() {
	h.l.connectionOpened()
	h.l.accepting.Opened(conn.Take)
}

func (h subscriberHost) Account(r *logfile.Record, sent, framed int64) {
	h.l.sites.LogSubscriber(r, sent, framed)
}

func (h subscriberHost) Resume(s *logfile.State) *logfile.Record {
	return h.l.sites.RecordOf(s)
}

func (h subscriberHost) Log(level logfile.Level, client, line string) {
	if client == "" {
		h.l.s.log(level, line)
		return
	}
	h.l.s.logClient(level, client, line)
}

func (h subscriberHost) Tracef(format string, args ...any) {
	if h.l.debug >= 2 {
		h.l.tracef(format, args...)
	}
}
