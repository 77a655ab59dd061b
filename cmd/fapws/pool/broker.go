package pool

import (
	"fmt"
	"slices"
	"time"

	"fapws/runtime/logfile"
)

// Broker connects the channels of several servers. It numbers the events in place of the supervisor. Its methods are safe for
// concurrent use. Only Start, History and Close wait, for some seconds at most.
type Broker interface {
	// String returns its URL, without a password.
	String() string

	// Epoch tells numbers from those of another broker.
	Epoch() string

	// Start begins to call deliver, on a goroutine, with the batches of all servers behind a place; the zero Place: from now on.
	// The events of this server come back so, too. A Batch without events, which is no Purge either, says that those of a worker wait,
	// because the broker is away. It returns the place.
	Start(from Place, deliver func(Batch)) (Place, error)

	// Publish takes events for all servers, or a pattern for the caches of all others, and reports whether there is room for them.
	Publish(b Batch) bool

	// Congested reports whether publishers should be delayed.
	Congested() bool

	// Away reports whether the broker does not answer: then events wait for it.
	Away() bool

	// Idle reports whether the broker has all that was published.
	Idle() bool

	// History returns the latest events that the broker keeps, the oldest first.
	History() ([]Batch, error)

	// Close waits until Idle, but not beyond limit, and ends the connection.
	Close(limit time.Duration)
}

// Place is a place in the events of a broker, behind one of them.
type Place struct {
	Entry string // where the broker has it
	Seq   uint64 // its number
}

// Batch is what a worker has published at once.
type Batch struct {
	Seq       uint64 // the number of the first event, from the broker
	N         int    // events
	Raw       []byte // the events, or with Purge the pattern
	ID        uint64 // of the message of a worker of this server
	Publisher int    // its process; 0: it was another server
	Entry     string // where the broker has it
	Purge     bool
}

// closingBroker is how long events may take to reach the broker when the server ends.
const closingBroker = 5 * time.Second

// startBroker makes the broker deliver, from the place on that the program before has reached.
func (p *Pool) startBroker(before *Handover) error {
	if p.o.Broker == nil {
		return nil
	}
	p.relay.epoch = p.o.Broker.Epoch()
	from, err := p.o.Broker.Start(before.Place(p.o.Broker.String()), func(b Batch) {
		if b.N > 0 {
			p.throttle(func() bool { return false }) // this server's workers may be slower than the others
		}
		p.post(func() { p.delivered(b) })
	})
	p.relay.entry, p.relay.seq = from.Entry, from.Seq
	return err
}

// delivered sends what the broker has delivered to the workers.
func (p *Pool) delivered(b Batch) {
	publisher := p.workers[b.Publisher]
	if publisher != nil && !publisher.joined {
		publisher = nil
	}
	if b.N == 0 && !b.Purge {
		if publisher != nil {
			publisher.send(&Message{Kind: Events, ID: b.ID})
		}
		return
	}
	p.relay.entry = b.Entry
	if b.Purge {
		p.purge(nil, string(b.Raw))
		return
	}
	p.deal(publisher, b.ID, b.Seq, b.N, slices.Collect(slices.Chunk(b.Raw, MaxRaw)))
}

// sendKept sends w, which is the only worker, the past events that the broker has. It gets later ones twice, and knows them by their numbers.
func (p *Pool) sendKept(w *worker) {
	if p.o.Broker == nil {
		return
	}
	kept, err := p.o.Broker.History()
	if err != nil {
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d starts without past events: %v", w.pid, err))
	}
	for _, b := range kept {
		pieces := slices.Collect(slices.Chunk(b.Raw, MaxRaw))
		for i, raw := range pieces {
			w.send(&Message{Kind: Events, Epoch: p.relay.epoch, Seq: b.Seq, N: b.N, Raw: raw, More: i+1 < len(pieces)})
		}
	}
}

// purge sends a pattern to all workers but one, which may be nil.
func (p *Pool) purge(but *worker, pattern string) {
	for _, w := range p.workers {
		if w != but && w.state >= Ready && w.state < Dead {
			w.send(&Message{Kind: Purge, Text: pattern})
		}
	}
}
