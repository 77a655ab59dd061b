package live

import (
	"errors"
	"sync"
	"sync/atomic"
)

// maxBacklog bounds the events that wait to be given to subscribers, in bytes.
const maxBacklog = 16 << 20

// ErrBacklog is what publishing more gives while so many events wait to be sent.
var ErrBacklog = errors.New("too many events wait to be sent")

// inbox is where numbered events wait for the loop. It is safe for concurrent use.
type inbox struct {
	mu     sync.Mutex
	events []*Event
	seq    uint64       // of the last event that was numbered here
	bytes  atomic.Int64 // of events that have not been given to all subscribers
	called atomic.Bool  // the loop was woken
}

// Publish puts the event that make returns into the inbox, and wakes the loop. seq 0 gives it the next number;
// an event whose number was given by another process (seq) is dropped if that number, or a larger one, was published before.
// The error is that of make, or ErrBacklog. It does not wait, and is safe for concurrent use.
func (f *Fanout[S]) Publish(seq uint64, make func(seq uint64) (*Event, error)) (uint64, error) {
	in := &f.inbox
	if in.bytes.Load() > maxBacklog {
		return 0, ErrBacklog
	}
	in.mu.Lock()
	if seq == 0 {
		seq = in.seq + 1
	} else if seq <= in.seq {
		in.mu.Unlock()
		return seq, nil
	}
	e, err := make(seq)
	if err != nil {
		in.mu.Unlock()
		return 0, err
	}
	in.seq = seq
	in.events = append(in.events, e)
	in.bytes.Add(int64(e.size()))
	in.mu.Unlock()
	if in.called.CompareAndSwap(false, true) {
		f.wake()
	}
	return seq, nil
}

// Waiting returns the bytes of published events that have not been given to all subscribers. It is safe for concurrent use.
func (f *Fanout[S]) Waiting() int64 { return f.inbox.bytes.Load() }

// Take moves published events to the rings and to the backlog. now is in nanoseconds, as for Hub.Take.
func (f *Fanout[S]) Take(now int64) {
	in := &f.inbox
	if !in.called.Load() {
		return
	}
	in.called.Store(false) // before the events are taken: Publish then wakes the loop once more
	in.mu.Lock()
	events := in.events
	in.events = nil
	in.mu.Unlock()
	for _, e := range events {
		if f.Hub.Take(e, now) && f.Of(e.Name) != nil {
			f.backlog = append(f.backlog, e)
		} else {
			in.bytes.Add(-int64(e.size()))
		}
	}
}
