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

// Fanout gives events to subscribers in batches. In each turn of the loop, Fanout serves some of the subscribers, and
// stops if the loop has other work, so that requests do not wait for ten thousand subscribers.
//
// The methods of Fanout must be called on the loop, except for Publish and Waiting.
type Fanout struct {
	*Hub
	inbox inbox
	busy  func() bool
	wake  func()
	start time.Time

	// batchBytes limits the bytes of a batch, unless the batch consists of a single event. batchBytes should be smaller
	// than the kernel's buffer for a connection, so that a client that reads at once is never treated as slow.
	batchBytes int

	backlog []*Event
	batch   []*Event
	begun   time.Time
	// channels of the batch whose subscribers must still be served; the last channel in the list is served first
	due []*Channel
	// number of subscribers at the front of the current channel's list that must still be served
	left    int
	mine    []*Event
	turning bool
	pacer
}

const (
	batchEvents = 64

	// A turn serves at most sliceMost subscribers, for at most sliceTime. After sliceLeast subscribers, and then after
	// every sliceAsk subscribers, the turn checks whether the loop is busy. The older the batch, the later the first
	// check: each sliceAge since the batch began adds one subscriber. Therefore even a busy server completes the batch.
	sliceMost  = 256
	sliceTime  = 500 * time.Microsecond
	sliceLeast = 4
	sliceAsk   = 8
	sliceAge   = 10 * time.Millisecond
)

func NewFanout(busy func() bool, batchBytes int) *Fanout {
	return &Fanout{Hub: NewHub(), busy: busy, batchBytes: batchBytes, start: time.Now(), pacer: newPacer()}
}

// The result is read from the clock, because conn.Set.Now does not advance while no client is connected.
func (f *Fanout) now() int64 { return int64(time.Since(f.start)) }

// For the duration d, Hold keeps all events, except those above the limit for all channels together. A server that will
// import subscribers must hold its events until the import.
func (f *Fanout) Hold(d time.Duration) { f.Hub.Hold(f.now() + int64(d)) }

func (f *Fanout) Expire() { f.Hub.Expire(f.now()) }

// WakeBy sets wake, which must make the loop call Turn soon and be safe for concurrent use. WakeBy must be called once,
// before the first event is published.
func (f *Fanout) WakeBy(wake func()) { f.wake = wake }

// Sending reports whether Take has taken events that some subscribers have not received yet.
func (f *Fanout) Sending() bool { return f.batch != nil || len(f.backlog) > 0 }

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

// Reached returns the number up to which s has received all events of its channels.
func (f *Fanout) Reached(s Subscriber) uint64 { return max(s.Position().Seq, f.given()) }

func (f *Fanout) given() uint64 {
	switch {
	case f.batch != nil:
		return f.batch[0].Seq - 1
	case len(f.backlog) > 0:
		return f.backlog[0].Seq - 1
	}
	return f.Tip()
}

const finishWithin = time.Second

// Finish gives all published events to the subscribers now, but ends after the duration limit, even if events remain.
func (f *Fanout) Finish(limit time.Duration) {
	f.Take()
	for until := time.Now().Add(limit); f.Sending() && time.Now().Before(until); {
		f.giveUp()
		f.step(until, 1<<30, 1<<30)
	}
}

// step serves subscribers. most limits their number, and deadline is the latest time to end. Once step has served
// the number least, it ends as soon as the loop has other work. rest is true if subscribers may remain.
func (f *Fanout) step(deadline time.Time, least, most int) (rest bool) {
	for n := 0; n < most; n++ {
		if f.batch == nil {
			if !f.nextBatch() {
				return false
			}
			if f.batch == nil {
				continue
			}
		}
		if n >= least && (n-least)%sliceAsk == 0 && f.busy() || n%16 == 15 && time.Now().After(deadline) {
			return true
		}
		subscribers := f.due[len(f.due)-1].Subscribers
		// Serve the subscribers from the last to the first. The last subscriber, which was already served, replaces a
		// subscriber that leaves. A subscriber that joins meanwhile is added at the end, and needs no events of this
		// batch.
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

// nextBatch returns false if there are no events, or if the batch must wait for subscribers.
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
		if c := f.Channel(e.Name); c != nil && !slices.Contains(f.due, c) {
			f.due = append(f.due, c)
		}
	}
	f.begun = time.Now()
	f.nextChannel()
	return true
}

func (f *Fanout) give(s Subscriber) {
	p := s.Position()
	f.mine = f.mine[:0]
	for _, e := range f.batch {
		// skip events that s has received, events from before its subscription, and events of channels that s has not
		// joined
		if e.Seq > p.Seq && p.In(e.Name) {
			f.mine = append(f.mine, e)
		}
	}
	p.Seq = max(p.Seq, f.batch[len(f.batch)-1].Seq)
	if len(f.mine) > 0 {
		s.Give(f.mine)
	}
}

type passed struct {
	Seq  uint64
	Name string
	ID   string
	Text string
}

func Encode(events []*Event) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, e := range events {
		encoder.Encode(passed{e.Seq, e.Name, e.ID, string(e.Text())}) // a Buffer returns no errors
	}
	return out.Bytes()
}

// Decode reads what Encode has written, and returns the events before the first error even if there is an error.
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

const maxBacklog = 16 << 20 // in bytes

var ErrBacklog = errors.New("too many events wait to be sent")

// inbox contains the published events that the loop has not taken yet, and is safe for concurrent use.
type inbox struct {
	mu     sync.Mutex
	events []*Event
	seq    uint64
	bytes  atomic.Int64 // cost of the events that are not yet given to all subscribers
	called atomic.Bool
}

// Publish calls the function make, adds the returned event to the inbox, and wakes the loop. If seq is 0, the event
// gets the next number. Otherwise another process has numbered the event, and Publish drops it unless seq is larger
// than all earlier numbers. The error is the error of make, or ErrBacklog. Publish does not wait, and is safe for
// concurrent use.
func (f *Fanout) Publish(seq uint64, make func(seq uint64) (*Event, error)) (uint64, error) {
	in := &f.inbox
	if in.bytes.Load() > maxBacklog {
		return 0, ErrBacklog
	}
	added, seq, err := in.add(seq, make)
	if added && in.called.CompareAndSwap(false, true) {
		f.wake()
	}
	return seq, err
}

func (box *inbox) add(seq uint64, make func(seq uint64) (*Event, error)) (added bool, _ uint64, err error) {
	box.mu.Lock()
	defer box.mu.Unlock()
	if seq == 0 {
		seq = box.seq + 1
	} else if seq <= box.seq {
		return false, seq, nil
	}
	e, err := make(seq)
	if err != nil {
		return false, 0, err
	}
	box.seq = seq
	box.events = append(box.events, e)
	box.bytes.Add(int64(e.cost()))
	return true, seq, nil
}

// Waiting returns the cost of the published events that are not yet given to all subscribers, and is safe for
// concurrent use.
func (f *Fanout) Waiting() int64 { return f.inbox.bytes.Load() }

// Take moves published events from the inbox to the rings and to the backlog.
func (f *Fanout) Take() {
	in := &f.inbox
	if !in.called.Load() {
		return
	}
	// reset before the events are taken, so that a later Publish wakes the loop again
	in.called.Store(false)
	in.mu.Lock()
	events := in.events
	in.events = nil
	in.mu.Unlock()
	for _, e := range events {
		if f.Hub.Take(e, f.now()) && f.Channel(e.Name) != nil {
			f.backlog = append(f.backlog, e)
		} else {
			in.bytes.Add(-int64(e.cost()))
		}
	}
}

// The next batch waits for subscribers that have not read the last batch, because a burst of events must not disconnect
// a client that reads as quickly as it can. The batch waits for at most leastPatience plus the time in pacer.saved,
// which grows by a tenth of the elapsed time. If the subscribers do not catch up during a wait, the part of the wait
// above leastPatience is deducted. Such waits therefore take up at most a tenth of the time.
//
// Waits are measured in pauses. A pause counts with its nominal length even if it takes longer, because a busy machine
// also delays the clients.
const (
	pause         = 2 * time.Millisecond
	leastPatience = 10 * time.Millisecond
	mostPatience  = 250 * time.Millisecond // maximum saved patience that one wait may use
	savedPatience = time.Second
)

// A pacer determines how long batches wait for slow subscribers. It may be used only on the loop.
type pacer struct {
	young map[Subscriber]bool
	// subscribers that have not caught up although a batch has waited for them
	old map[Subscriber]bool

	waiting bool // a batch is waiting for the subscribers in young
	pausing atomic.Bool
	paused  time.Duration
	budget  time.Duration
	saved   time.Duration
	counted time.Time
}

func newPacer() pacer { return pacer{young: map[Subscriber]bool{}, old: map[Subscriber]bool{}} }

func (p *pacer) Lag(s Subscriber) {
	if !p.old[s] {
		p.young[s] = true
	}
}

func (p *pacer) CaughtUp(s Subscriber) {
	delete(p.young, s)
	delete(p.old, s)
}

func (f *Fanout) Continue() {
	if len(f.backlog) > 0 && len(f.young) == 0 && !f.turning {
		f.turning = true
		f.wake()
	}
}

// waits reports whether the next batch must wait for subscribers. If so, it calls wake after a pause, so that the loop
// calls waits again.
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

func (p *pacer) giveUp() {
	maps.Copy(p.old, p.young)
	clear(p.young)
	p.waiting = false
}
