package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Fanout gives events to subscribers: a batch of events at a time, and to a slice of their
// subscribers in each turn of the loop, which ends as soon as the loop has other work: a page does not
// wait for ten thousand subscribers. All subscribers of a batch get all of it before the next one begins: so a
// subscriber of several channels gets events in the order of their numbers, and its Position
// says exactly what it has got.
//
// Its methods must be called on the loop, except for Publish and Waiting.
type Fanout struct {
	*Hub
	inbox inbox
	busy  func() bool // the loop has other work
	wake  func()
	start time.Time // of the time that the Hub knows

	// batchBytes bounds the bytes of a batch, unless it has one event. It should be less than the
	// kernel keeps for a connection, so that a client that reads at once is never taken for slow.
	batchBytes int

	backlog []*Event // in no batch yet
	batch   []*Event
	begun   time.Time  // when the batch began
	due     []*Channel // of the batch that are left: the last one is being done
	left    int        // subscribers of it that are left: those in front
	mine    []*Event   // scratch: the events of one subscriber
	turning bool       // the loop will call Turn again
	pacer
}

const (
	batchEvents = 64

	// sliceMost and sliceTime bound a turn of the loop. After
	// sliceLeast, Turn asks whether the loop is busy, and again after each sliceAsk
	// more; a batch takes one more for each sliceAge that it is old, or on a
	// busy server it would never end. To ask costs a fifth of sending an event.
	sliceMost  = 256
	sliceTime  = 500 * time.Microsecond
	sliceLeast = 4
	sliceAsk   = 8
	sliceAge   = 10 * time.Millisecond
)

// NewFanout returns a Fanout without subscribers.
func NewFanout(busy func() bool, batchBytes int) *Fanout {
	return &Fanout{Hub: NewHub(), busy: busy, batchBytes: batchBytes, start: time.Now(), pacer: newPacer()}
}

// now is the time for the Hub, of which events may come while no client is connected and the time of the loop stands still.
func (f *Fanout) now() int64 { return int64(time.Since(f.start)) }

// Hold lets no event be forgotten for a while, except what exceeds the limit of all channels together. A server that is to
// import subscribers needs it from when it is told of events until then.
func (f *Fanout) Hold(d time.Duration) { f.Hub.Hold(f.now() + int64(d)) }

// Expire is to be called now and then: it forgets events that are too old, and those above the limits that were held.
func (f *Fanout) Expire() { f.Hub.Expire(f.now()) }

// WakeBy sets what makes the loop call Turn soon. It is called once, before the first event is published. wake has to be safe for concurrent use.
func (f *Fanout) WakeBy(wake func()) { f.wake = wake }

// Sending reports whether events that were taken have not been given to all subscribers.
func (f *Fanout) Sending() bool { return f.batch != nil || len(f.backlog) > 0 }

// Turn does a slice of the work, and has the loop come back
// for more when it has looked after all others.
func (f *Fanout) Turn() {
	f.Take()
	f.turning = false
	clock := time.Now()
	least := sliceLeast
	if f.batch != nil {
		least = min(sliceLeast+int(clock.Sub(f.begun)/sliceAge), sliceMost)
	}
	if f.step(clock.Add(sliceTime), least, sliceMost) {
		f.turning = true
		f.wake()
	}
}

// Reached returns the number up to which s was given all events of its channels. Its Position has that of the last batch with events for
// it, which may be long ago.
func (f *Fanout) Reached(s Subscriber) uint64 { return max(s.Position().Seq, f.given()) }

// given returns the number up to which all subscribers were given all events.
func (f *Fanout) given() uint64 {
	switch {
	case f.batch != nil:
		return f.batch[0].Seq - 1
	case len(f.backlog) > 0:
		return f.backlog[0].Seq - 1
	}
	return f.Tip()
}

// finishWithin is how long the loop may be held up to give events to subscribers that end.
const finishWithin = time.Second

// Finish gives everything to all subscribers at once, as far as it can within a time. The turns of the loop give the rest.
func (f *Fanout) Finish(within time.Duration) {
	f.Take()
	for until := time.Now().Add(within); f.Sending() && time.Now().Before(until); {
		f.giveUp()
		f.step(until, 1<<30, 1<<30)
	}
}

// step gives events to at most so many subscribers, and after the least to no more
// if the loop has other work. more: it has not done everything that can be done now.
func (f *Fanout) step(until time.Time, least, most int) (more bool) {
	for n := 0; n < most; n++ {
		if f.batch == nil {
			if !f.nextBatch() {
				return false
			}
			if f.batch == nil {
				continue // its channels have no subscribers any more
			}
		}
		if n >= least && (n-least)%sliceAsk == 0 && f.busy() || n%16 == 15 && time.Now().After(until) {
			return true
		}
		subscribers := f.due[len(f.due)-1].Subscribers
		// From the last one down: one that leaves meanwhile is replaced by one that has
		// had its turn, and one that joins comes behind, with nothing to get.
		f.left = min(f.left, len(subscribers)) - 1
		if f.left < 0 {
			f.due = f.due[:len(f.due)-1]
			f.nextChannel()
			continue
		}
		f.give(subscribers[f.left])
	}
	return true
}

// nextChannel begins with the next channel of the batch, or ends the batch.
func (f *Fanout) nextChannel() {
	if n := len(f.due); n > 0 {
		f.left = len(f.due[n-1].Subscribers)
		return
	}
	for _, e := range f.batch {
		f.inbox.bytes.Add(-int64(e.cost()))
	}
	clear(f.mine)
	f.batch, f.due, f.mine = nil, nil, f.mine[:0]
}

// nextBatch begins the next batch, unless there is none or it waits for subscribers.
func (f *Fanout) nextBatch() bool {
	if len(f.backlog) == 0 || f.waits(f.wake) {
		return false
	}
	n, bytes := 0, 0
	for n < len(f.backlog) && n < batchEvents && (n == 0 || bytes+f.backlog[n].size() <= f.batchBytes) {
		bytes += f.backlog[n].size()
		n++
	}
	f.batch, f.backlog = f.backlog[:n:n], f.backlog[n:]
	if len(f.backlog) == 0 {
		f.backlog = nil
	}
	for _, e := range f.batch {
		if c := f.Of(e.Name); c != nil && !slices.Contains(f.due, c) { // all may have left
			f.due = append(f.due, c)
		}
	}
	f.begun = time.Now()
	f.nextChannel()
	return true
}

// give gives s its events of the batch.
func (f *Fanout) give(s Subscriber) {
	p := s.Position()
	f.mine = f.mine[:0]
	for _, e := range f.batch {
		if e.Seq > p.Seq && p.In(e.Name) { // else it joined after it, or has had its turn as one of another channel
			f.mine = append(f.mine, e)
		}
	}
	p.Seq = max(p.Seq, f.batch[len(f.batch)-1].Seq)
	if len(f.mine) > 0 {
		s.Give(f.mine)
	}
}

// passed is an Event as it goes from one process to another.
type passed struct {
	Seq  uint64
	Name string
	ID   string
	Text string
}

// Encode writes events for Decode.
func Encode(events []*Event) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, e := range events {
		encoder.Encode(passed{e.Seq, e.Name, e.ID, string(e.Text())}) // a Buffer takes everything
	}
	return out.Bytes()
}

// Decode reads what Encode wrote, up to the first mistake.
func Decode(text []byte) (events []*Event, err error) {
	for line := range bytes.Lines(text) {
		var p passed
		if json.Unmarshal(line, &p) != nil || CheckChannelName(p.Name) != nil || p.Seq == 0 {
			return events, errors.New("not a list of events")
		}
		e := &Event{Seq: p.Seq, Name: p.Name, ID: p.ID}
		e.frame([]byte(p.Text))
		events = append(events, e)
	}
	return events, nil
}

// maxBacklog bounds the memory of events that wait to be given to subscribers, in bytes.
const maxBacklog = 16 << 20

// ErrBacklog is what publishing more gives while so many events wait to be sent.
var ErrBacklog = errors.New("too many events wait to be sent")

// inbox is where numbered events wait for the loop. It is safe for concurrent use.
type inbox struct {
	mu     sync.Mutex
	events []*Event
	seq    uint64       // of the last event that was numbered here
	bytes  atomic.Int64 // the cost of events that have not been given to all subscribers
	called atomic.Bool  // the loop was woken
}

// Publish puts the event that make returns into the inbox, and wakes the loop. seq 0 gives it the next number;
// an event whose number was given by another process (seq) is dropped if that number, or a larger one, was published before.
// The error is that of make, or ErrBacklog. It does not wait, and is safe for concurrent use.
func (f *Fanout) Publish(seq uint64, make func(seq uint64) (*Event, error)) (uint64, error) {
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
	in.bytes.Add(int64(e.cost()))
	in.mu.Unlock()
	if in.called.CompareAndSwap(false, true) {
		f.wake()
	}
	return seq, nil
}

// Waiting returns the cost of published events that have not been given to all subscribers. It is safe for concurrent use.
func (f *Fanout) Waiting() int64 { return f.inbox.bytes.Load() }

// Take moves published events to the rings and to the backlog: subscribers that join from now on do not get them.
func (f *Fanout) Take() {
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
		if f.Hub.Take(e, f.now()) && f.Of(e.Name) != nil {
			f.backlog = append(f.backlog, e)
		} else {
			in.bytes.Add(-int64(e.cost()))
		}
	}
}

// The next batch waits for subscribers that are behind with the last one: a
// burst of events is no reason to drop a client that reads as quickly as it can. It waits
// for leastPatience, and longer as far as waits in vain have not used that up: such
// patience comes back by a tenth of the time, so a client that does not read delays
// others by no more than that.
//
// Time is counted in pauses. A pause counts the same however long it takes: on a busy machine clients
// get the processor as late as this process does.
const (
	pause         = 2 * time.Millisecond
	leastPatience = 10 * time.Millisecond
	mostPatience  = 250 * time.Millisecond // at a time
	savedPatience = time.Second
)

// pacer decides when the next batch may begin. It belongs to the loop.
type pacer struct {
	young map[Subscriber]bool // subscribers that are behind
	old   map[Subscriber]bool // those of them that have been waited for in vain

	waiting bool          // for the young
	pausing atomic.Bool   // a pause has not ended
	paused  time.Duration // in this wait, in pauses
	budget  time.Duration // of this wait
	saved   time.Duration // patience that is left
	counted time.Time     // when saved was last added to
}

func newPacer() pacer { return pacer{young: map[Subscriber]bool{}, old: map[Subscriber]bool{}} }

// Lag notes that s is behind, unless it is known.
func (p *pacer) Lag(s Subscriber) {
	if !p.old[s] {
		p.young[s] = true
	}
}

// CaughtUp ends what Lag began, if it did.
func (p *pacer) CaughtUp(s Subscriber) {
	delete(p.young, s)
	delete(p.old, s)
}

// Continue has the loop call Turn if the next batch has waited and needs to wait for no subscriber any more.
func (f *Fanout) Continue() {
	if len(f.backlog) > 0 && len(f.young) == 0 && !f.turning {
		f.turning = true
		f.wake()
	}
}

// waits reports whether the next batch has to wait. The loop is woken when that may have changed.
func (p *pacer) waits(wake func()) bool {
	if len(p.young) == 0 {
		p.waiting = false
		return false
	}
	if p.pausing.Load() {
		return true
	}
	if !p.waiting {
		now := time.Now()
		p.saved = min(p.saved+now.Sub(p.counted)/10, savedPatience)
		p.counted = now
		p.waiting, p.paused, p.budget = true, 0, leastPatience+min(p.saved, mostPatience)
	}
	if p.paused < p.budget {
		p.paused += pause
		p.pausing.Store(true)
		time.AfterFunc(pause, func() {
			p.pausing.Store(false)
			wake()
		})
		return true
	}
	p.saved = max(p.saved-max(p.paused-leastPatience, 0), 0)
	p.giveUp()
	return false
}

// giveUp waits for those that are behind no more, before they have caught up.
func (p *pacer) giveUp() {
	maps.Copy(p.old, p.young)
	clear(p.young)
	p.waiting = false
}
