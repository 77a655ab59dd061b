package sse

import (
	"time"

	"fapws/runtime/pubsub"
)

// historyPiece is the size of a piece of ExportHistory, so that it fits into a
// message of 100 KiB as base64, too.
const historyPiece = 64 << 10

// ExportHistory gives, piece by piece, the past events that are kept, for
// ImportHistory. The error is that of give. It must not be called on the loop.
func (s *Subscribers) ExportHistory(give func(piece []byte) error) error {
	var events []*pubsub.Event
	s.host.Do(func() {
		s.Take()
		events = s.fanout.Kept()
	})
	for len(events) > 0 {
		n, size := 0, 0
		for n < len(events) && size < historyPiece {
			size += len(events[n].Text())
			n++
		}
		for text := pubsub.Encode(events[:n]); len(text) > 0; {
			k := min(len(text), historyPiece)
			if err := give(text[:k]); err != nil {
				return err
			}
			text = text[k:]
		}
		events = events[n:]
	}
	return nil
}

// ImportHistory keeps past events for clients that come back. Pieces come in the
// order in which ExportHistory gave them. It must not be called on the loop.
func (s *Subscribers) ImportHistory(piece []byte) (err error) {
	s.host.Do(func() {
		var events []*pubsub.Event
		events, err = s.restored.Decode(piece)
		for _, e := range events {
			s.fanout.Restore(e, s.now())
		}
	})
	return err
}

// Hold lets no event be forgotten for a while, except what exceeds the limit
// of all channels together. A server that is to import subscribers needs it from when it is told
// of events until then.
func (s *Subscribers) Hold(d time.Duration) { s.fanout.Hold(s.now() + int64(d)) }
