package worker

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/pybridge"
	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

const (
	// batchBytes is about how much goes into one message with events.
	batchBytes = 64 << 10

	// mostDown bounds the bytes of events from other processes that wait for a loop
	// which an inline handler holds up.
	mostDown = 64 << 20

	// countsEvery is how often the supervisor gets the numbers of subscribers.
	countsEvery = 250 * time.Millisecond
)

// channelRelay connects the channels of a worker with those of the others: the supervisor numbers the events that all
// of them publish.
type channelRelay struct {
	s          *service
	channel    *pool.Channel
	up         *eventloop.Queue[pybridge.Event] // to the supervisor
	down       *eventloop.Queue[relayItem]      // from it
	purges     *eventloop.Queue[string]         // patterns in JSON, for sendPurges
	said       int64                            // cost of the messages sent up; of up
	dealt      int64                            // cost of the answers to them; of down
	begun      []byte                           // of events whose last message has not come; of listen
	waiting    atomic.Int64                     // bytes in down
	overflowed atomic.Bool                      // the loss of some is reported
	history    chan giver                       // of Take
	taking     sync.WaitGroup                   // for other workers that hand clients over

	mu    sync.Mutex
	count map[string]int64 // how many listen here
	news  map[string]struct{}
	due   bool // of news, to be told
}

// relayItem is one message of the supervisor about events, or a function to call in its place.
type relayItem struct {
	events *pool.Message
	do     func() // in place of events
}

func newChannelRelay(c *pool.Channel) *channelRelay {
	r := &channelRelay{channel: c, history: make(chan giver, 1), count: map[string]int64{}, news: map[string]struct{}{}}
	r.up, r.down = eventloop.NewQueue(r.sendUp), eventloop.NewQueue(r.takeDown)
	r.purges = eventloop.NewQueue(r.sendPurges)
	r.up.Hold(true) // until join
	r.down.Hold(true)
	return r
}

// sendUp sends events that were published here to the supervisor.
func (r *channelRelay) sendUp(events []pybridge.Event) {
	for len(events) > 0 {
		m := &pool.Message{Kind: pool.Publish}
		for len(events) > 0 && (m.N == 0 || len(m.Raw)+len(events[0].Data) < batchBytes) {
			m.Raw = appendEvent(m.Raw, &events[0])
			r.said += events[0].Cost()
			m.N++
			events = events[1:]
		}
		m.ID = uint64(r.said)
		for raw := m.Raw; len(raw) > 0; { // one event may take several messages
			n := min(len(raw), pool.MaxRaw)
			m.Raw, raw = raw[:n], raw[n:]
			m.More = len(raw) > 0
			if r.channel.Send(m) != nil {
				return // listen sees the end of the channel
			}
			m.Seq++
		}
	}
}

func (r *channelRelay) publish(events []pybridge.Event) { r.up.Add(events...) }

func (r *channelRelay) flush(limit time.Duration) { r.up.Wait(limit) }

// arrived takes Events. On listen's goroutine.
func (r *channelRelay) arrived(m *pool.Message) {
	if m.ID > 0 {
		if h := r.s.python(); h != nil {
			h.Numbered(int64(m.ID))
		}
	}
	if m.N == 0 { // they wait for the broker: responses need not
		if m.Text == pool.Dropped {
			r.down.Add(relayItem{events: m}) // as many more may be published
		}
		return
	}
	if r.waiting.Load() > mostDown && len(r.begun) == 0 {
		if !r.overflowed.Swap(true) {
			r.s.log.Log(logfile.Error, fmt.Sprintf("worker %d: event loop blocked by a handler; dropping events", os.Getpid()))
		}
		return
	}
	if r.begun = append(r.begun, m.Raw...); m.More {
		return
	}
	m.Raw, r.begun = r.begun, nil
	r.waiting.Add(int64(len(m.Raw)))
	r.down.Add(relayItem{events: m})
}

// takeDown sends events to the subscribers of this process.
func (r *channelRelay) takeDown(items []relayItem) {
	for _, a := range items {
		if a.do != nil {
			a.do()
			continue
		}
		if err := eachEvent(a.events, r.s.publishOne); err != nil {
			r.s.log.Log(logfile.Error, err.Error())
		}
		r.waiting.Add(-int64(len(a.events.Raw)))
		if own := int64(a.events.ID); own > r.dealt {
			r.s.dealt(own - r.dealt)
			r.dealt = own
		}
	}
}

// counted is live.StreamConfig.Counted: it tells the supervisor, soon.
func (r *channelRelay) counted(name string, n int) {
	r.s.countSubscribers(name, false, int64(n))
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == 0 {
		delete(r.count, name)
	} else {
		r.count[name] = int64(n)
	}
	r.news[name] = struct{}{}
	r.tellSoon()
}

// tellSoon needs the mutex.
func (r *channelRelay) tellSoon() {
	if !r.due {
		r.due = true
		time.AfterFunc(countsEvery, r.tell)
	}
}

func (r *channelRelay) tell() {
	r.mu.Lock()
	counts := make(map[string]int64, len(r.news))
	for name := range r.news {
		counts[name] = r.count[name]
	}
	clear(r.news)
	r.due = false
	r.mu.Unlock()
	_ = r.channel.SendCounts(counts) // listen sees the end of the channel
}

// recount tells the supervisor, which is another one, everything.
func (r *channelRelay) recount() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.count {
		r.news[name] = struct{}{}
	}
	r.tellSoon()
}

// join takes part in the channels of all workers from now on, with their past events. The loop runs. It waits for that as long as
// the other worker lives and sends, and for half of the time that this worker has for loading at most. Only one whose loop hangs sends
// nothing for a quarter of that time.
func (r *channelRelay) join() {
	silence := r.s.conf.LoadTimeout / 4
	defer func() {
		r.down.Hold(false)
		r.down.Wait(silence)
		r.s.server.TakePublished()
	}()
	if r.channel.Send(&pool.Message{Kind: pool.Join}) != nil {
		return // listen sees the end of the channel
	}
	r.up.Hold(false)
	if h := r.s.python(); h != nil {
		h.Order()
	}
	select {
	case other := <-r.history:
		if other.from == nil {
			return
		}
		defer other.from.Close()
		r.s.server.HoldHistory(r.s.conf.LoadTimeout + holdFor) // a retiring worker may hand its subscribers over
		if err := takeHistory(r.s.server, other.from, other.last, silence); err != nil {
			r.s.log.Log(logfile.Warning, fmt.Sprintf("worker %d did not receive all past events: %v", os.Getpid(), err))
		}
	case <-time.After(silence):
		r.s.server.HoldHistory(r.s.conf.LoadTimeout + holdFor)
	}
}
