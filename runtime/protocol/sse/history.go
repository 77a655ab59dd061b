package sse

import (
	"iter"
	"slices"
	"time"

	"fapws/runtime/pubsub"
)

// historyPiece is the size of a piece of ExportHistory, so that it fits into a
// message of 100 KiB as base64, too.
const historyPiece = 64 << 10

// ExportHistory returns the past events that are kept now, in pieces for
// ImportHistory. It must not be called on the loop; the pieces may be taken later, on any goroutine.
func (s *Subscribers) ExportHistory() (pieces iter.Seq[[]byte]) {
	var events []*pubsub.Event
	s.host.Do(func() {
		s.Take()
		events = s.fanout.Kept()
	})
	return func(yield func([]byte) bool) {
		for rest := events; len(rest) > 0; {
			n, size := 0, 0
			for n < len(rest) && size < historyPiece {
				size += len(rest[n].Text())
				n++
			}
			for piece := range slices.Chunk(pubsub.Encode(rest[:n]), historyPiece) {
				if !yield(piece) {
					return
				}
			}
			rest = rest[n:]
		}
	}
}

// ImportHistory keeps past events for clients that come back. Pieces come in the order in which ExportHistory gives them. Events behind
// the number last are left out: what another server invents must not hide events to come. It must not be called on the loop.
func (s *Subscribers) ImportHistory(piece []byte, last uint64) (err error) {
	s.host.Do(func() {
		var events []*pubsub.Event
		events, err = s.restored.Decode(piece)
		for _, e := range events {
			if e.Seq <= last {
				s.fanout.Restore(e, s.now())
			}
		}
	})
	return err
}

// Hold lets no event be forgotten for a while, except what exceeds the limit
// of all channels together. A server that is to import subscribers needs it from when it is told
// of events until then.
func (s *Subscribers) Hold(d time.Duration) { s.fanout.Hold(s.now() + int64(d)) }
