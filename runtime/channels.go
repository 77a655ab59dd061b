package runtime

import (
	"context"
	"iter"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	protocol "fapws/runtime/protocol/http1"
	"fapws/runtime/protocol/sse"
	"fapws/runtime/pubsub"
)

// Channels of a server: package sse has their subscribers.

var _ sse.Exchange = (*Exchange)(nil)

// ErrBacklog is the error of publishing more while so many events wait to be sent.
var ErrBacklog = pubsub.ErrBacklog

// Publish sends an event to all subscribers of its channel, and returns its number.
// It does not wait. The error is one line, about the message, or ErrBacklog. It is safe for concurrent use,
// also on the loop.
func (s *Server) Publish(m *pubsub.Message) (seq uint64, err error) {
	return s.loop.subscribers.Publish(0, m)
}

// PublishNumbered is Publish for a server that is not alone: another process has given
// the event its number, which is at least 1. Numbers grow; an event with a number that is no larger than
// that of one before has been sent already, and is not sent again.
func (s *Server) PublishNumbered(seq uint64, m *pubsub.Message) error {
	_, err := s.loop.subscribers.Publish(seq, m)
	return err
}

// CheckMessage returns the error that Publish would return, but not ErrBacklog. It is safe for concurrent use.
func (s *Server) CheckMessage(m *pubsub.Message) error { return s.loop.subscribers.Check(m) }

// ExportSubscribers gives all subscribers away: see sse.Subscribers.Export.
func (s *Server) ExportSubscribers(ctx context.Context, give func(d *sse.State, fd int) error) (n int, err error) {
	return s.loop.subscribers.Export(ctx, give)
}

// ImportSubscriber serves a subscriber that ExportSubscribers has given away: see sse.Subscribers.Import.
func (s *Server) ImportSubscriber(d *sse.State, fd int) error {
	return s.loop.subscribers.Import(d, fd)
}

// ExportHistory returns past events in pieces for ImportHistory: see sse.Subscribers.ExportHistory.
func (s *Server) ExportHistory() iter.Seq[[]byte] { return s.loop.subscribers.ExportHistory() }

// ImportHistory keeps past events for clients that come back: see sse.Subscribers.ImportHistory.
func (s *Server) ImportHistory(piece []byte) error { return s.loop.subscribers.ImportHistory(piece) }

// HoldHistory lets no event and no message to a group be forgotten for a while, except what exceeds the limit
// of all of them together. A server that is to import clients needs it from when it is told
// of events until then. It must not be called on the loop.
func (s *Server) HoldHistory(d time.Duration) {
	s.do(func() {
		s.loop.subscribers.Hold(d)
		s.loop.sockets.Hold(d)
	})
}

// SubscriberCounts returns the number of subscribers of each channel. It must not be called on the loop.
func (s *Server) SubscriberCounts() (counts map[string]int) {
	s.do(func() { counts = s.loop.subscribers.Counts() })
	return counts
}

// subscriberHost is the loop as the subscribers of channels need it. It implements sse.Host.
type subscriberHost struct{ l *loop }

func (h subscriberHost) Now() int64  { return h.l.now() }
func (h subscriberHost) Do(f func()) { h.l.s.do(f) }
func (h subscriberHost) Full() bool  { return h.l.accepting.clients >= h.l.cfg.MaxClients }
func (h subscriberHost) Closed()     { h.l.makeRoom(true) }

func (h subscriberHost) Opened() {
	h.l.connectionOpened()
	h.l.accepting.clients++
}

func (h subscriberHost) Account(r *accesslog.Record, sent, framed int64) {
	h.l.account(&Exchange{log: r, conn: accounted, Exchange: exchange.Exchange{By: "application"}, received: r.WireIn, out: protocol.Response{Status: 200, Sent: sent, Framed: framed}})
}

// accounted stands for the connection of a subscriber in what account reads.
var accounted = &httpConn{state: stateEnding}

func (h subscriberHost) Resume(s *accesslog.State) *accesslog.Record {
	if !h.l.timed {
		return nil
	}
	return h.l.recordOf(s)
}

func (h subscriberHost) Log(level loglevel.Level, client, line string) {
	if client == "" {
		h.l.cfg.Log(level, line)
		return
	}
	h.l.cfg.LogClient(level, client, line)
}

func (h subscriberHost) Tracef(format string, args ...any) {
	if h.l.debug >= 2 {
		h.l.tracef(format, args...)
	}
}

// recordOf returns the record of a request from another process, for the log of its site.
func (l *loop) recordOf(s *accesslog.State) *accesslog.Record {
	log := l.cfg.AccessLog
	for i := range l.sites {
		if r := l.sites[i].rules; r != nil && r.name == s.Entry.Site && (r.log != nil || r.unlog) {
			log = r.log
		}
	}
	return s.Record(log)
}
