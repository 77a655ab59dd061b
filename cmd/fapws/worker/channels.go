package worker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/pybridge"
	"fapws/runtime/eventloop"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
)

const backlogPause = 2 * time.Millisecond

func (r *relay) configure(c *live.StreamConfig) {
	c.Counted = func(name string, n int) {
		if pybridge.IsGroup(name) {
			name = pybridge.GroupKey(name)
		}
		r.counted(name, n)
	}
	c.Joined = func(name string, client *live.StreamClient) { r.notify(name, client, false) }
	c.Left = func(name string, client *live.StreamClient) { r.notify(name, client, true) }
}

// notify reports to the application that a subscriber has joined or left, and must be called on the event loop.
func (r *relay) notify(name string, client *live.StreamClient, gone bool) {
	if name == ctl.StatusChannel {
		return
	}
	n := pybridge.PresenceEvent{Left: gone, Name: name, Number: client.Number, Address: client.Address,
		User: client.User, LastID: client.LastEventID}
	switch h, late := r.s.python.running(), r.s.late; {
	case late != nil && (h == nil || len(late.presence) > 0):
		// Earlier presence events are still queued, or the application is not running, so queue this event.
		late.keepPresence(n)
	case h != nil && !h.NotifyPresence(n):
		r.s.warn(slowPresence)
	}
}

const slowPresence = "on_join and on_leave take too long; dropping calls"

// took tells the handler that the server has delivered events of cost bytes, so that the handler may publish more
// events.
func (r *relay) took(cost int64) {
	if h := r.s.python.running(); h != nil {
		h.Dealt(cost)
	}
}

// publishOne waits until the queue of the event loop has room, and then sends an event to the clients of this process.
// seq is the number that the supervisor has given the event, or 0 without a supervisor.
func (r *relay) publishOne(seq uint64, e *pybridge.Event) {
	err := r.tryPublish(seq, e)
	for errors.Is(err, live.ErrBacklog) && !r.over.Load() {
		time.Sleep(backlogPause)
		err = r.tryPublish(seq, e)
	}
	r.complain(err)
}

// publishFrom implements pybridge.RunConfig.Publish. If a channel has subscribers, publishing counts as a use of the
// application, so that an open page with live values keeps the application awake.
func (r *relay) publishFrom(events []pybridge.Event) {
	if r.s.conf.IdleStop > 0 && slices.ContainsFunc(events, func(e pybridge.Event) bool {
		return pybridge.HasSubscribers(e.Name)
	}) {
		r.s.python.used()
	}
	r.publish(events)
}

// announce publishes an event that the server itself has created.
func (r *relay) announce(channel, data string) {
	e := pybridge.Event{Name: channel, Data: data}
	if h := r.s.python.running(); h != nil {
		h.Published(e.Cost())
	}
	r.publish([]pybridge.Event{e})
}

// complain logs err, the reason why an event was not delivered, unless err is nil. complain logs at most once a minute,
// because programs other than fapws can write any number of invalid events to a broker.
func (r *relay) complain(err error) {
	if err != nil && !r.over.Load() && r.complained.Once(time.Minute) {
		const line = "an event cannot be sent: %v; further errors of events are not logged for a minute"
		r.s.log.Log(logfile.Error, fmt.Sprintf(line, err))
	}
}

func (r *relay) tryPublish(seq uint64, e *pybridge.Event) (err error) {
	switch {
	case e.ForPython():
		if h := r.s.python.running(); h != nil && !h.TakeMessage(e) {
			r.s.warn("asyncio thread blocked; dropping messages of the channel layer")
		}
	case e.Place != "":
		err = r.s.server.Sockets().Broadcast(seq, &live.GroupMessage{Group: e.Group(), Binary: e.Binary, Data: e.Data})
	default:
		_, err = r.s.server.Subscribers().Publish(seq, &live.Message{Name: e.Name, ID: e.ID, Event: e.Type, Data: e.Data})
	}
	return err
}

var viewEvent = pybridge.Event{Name: ctl.StatusChannel, Data: "look"}

func ViewEvent() []byte { return appendEvent(nil, &viewEvent) }

const (
	batchBytes = 64 << 10 // approximate limit of the size of the events in one message, in bytes

	// in bytes
	mostDown = 64 << 20

	// countsEvery is the interval at which a worker sends its numbers of subscribers to the supervisor.
	countsEvery = 250 * time.Millisecond
)

// A relay sends events and purges from handlers to all processes of the server. Without a supervisor, a separate
// goroutine publishes the events, because publishing waits if the queue of the event loop is full. The methods of a
// relay are safe for concurrent use.
type relay struct {
	s          *service
	channel    *pool.Channel // channel to the supervisor; nil without a supervisor
	up         *eventloop.Queue[pybridge.Event]
	down       *eventloop.Queue[func()]
	purges     *eventloop.Queue[string]
	purged     *eventloop.Queue[cache.Pattern] // purges that other workers have requested
	said       atomic.Int64                    // total cost of all events sent to the supervisor
	dealt      atomic.Int64                    // total cost of the sent events that the supervisor has returned
	waiting    atomic.Int64                    // number of bytes of the events in the queue down
	overflowed atomic.Bool                     // the loss of events was logged
	history    chan giver
	taking     sync.WaitGroup
	over       atomic.Bool
	complained logfile.Seldom

	mu sync.Mutex
	// the new numbers of local subscribers, by channel; contains only channels whose number has changed
	counts map[string]int64
}

func newRelay(s *service) *relay {
	r := &relay{s: s, history: make(chan giver, 1), counts: map[string]int64{}}
	r.up, r.down = eventloop.NewQueue(r.sendUp), eventloop.NewQueue(runAll)
	r.purges = eventloop.NewQueue(r.sendPurges)
	r.purged = eventloop.NewQueue(func(patterns []cache.Pattern) { s.server.PurgeNow(patterns...) })
	r.down.Hold(true)
	return r
}

func runAll(functions []func()) {
	for _, f := range functions {
		f()
	}
}

// publish queues events for all processes, and may be called on the event loop.
func (r *relay) publish(events []pybridge.Event) { r.up.Add(events...) }

func (r *relay) sendUp(events []pybridge.Event) {
	if r.channel == nil {
		var cost int64
		for i := range events {
			r.publishOne(0, &events[i])
			cost += events[i].Cost()
		}
		r.took(cost)
		return
	}
	for len(events) > 0 {
		m := &pool.Message{Kind: pool.Publish}
		for len(events) > 0 && (m.N == 0 || len(m.Raw)+len(events[0].Data) < batchBytes) {
			m.Raw = appendEvent(m.Raw, &events[0])
			r.said.Add(events[0].Cost())
			m.N++
			events = events[1:]
		}
		m.ID = uint64(r.said.Load())
		if r.channel.Send(m) != nil {
			return // the method listen notices the end of the channel
		}
	}
}

// arrived handles events from the supervisor. It is called on the goroutine of Parent.listen.
func (r *relay) arrived(m *pool.Message) {
	switch {
	case m.Text == pool.Dropped: // queue m, so that deal counts the dropped events as dealt
	case r.waiting.Load() > mostDown:
		if !r.overflowed.Swap(true) {
			r.s.logAsWorker(logfile.Error, ": event loop blocked by a handler; dropping events")
		}
		if m.ID == 0 {
			return
		}
		m = &pool.Message{ID: m.ID}
	}
	r.waiting.Add(int64(len(m.Raw)))
	r.down.Add(func() { r.deal(m) })
}

func (r *relay) deal(m *pool.Message) {
	r.complain(eachEvent(m, r.publishOne))
	r.waiting.Add(-int64(len(m.Raw)))
	if own := int64(m.ID); own > r.dealt.Load() {
		r.took(own - r.dealt.Swap(own))
	}
}

// counted records how many local subscribers a channel has, or how many local WebSockets a group has, and schedules a
// report to the supervisor.
func (r *relay) counted(name string, n int) {
	pybridge.CountSubscribers(name, false, int64(n))
	if r.channel == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.counts) == 0 {
		time.AfterFunc(countsEvery, r.tell)
	}
	r.counts[name] = int64(n)
}

func (r *relay) tell() {
	r.mu.Lock()
	counts := r.counts
	r.counts = map[string]int64{}
	r.mu.Unlock()
	pool.EachCounts(counts, func(m *pool.Message) { _ = r.channel.Send(m) })
}

// join connects this worker to the channels of all workers and waits until another worker has sent its history. The
// event loop must be running. join waits for at most half of the setting load-timeout. If the sending worker ends, or
// sends nothing for a quarter of load-timeout because its event loop is blocked, join returns earlier.
func (r *relay) join() {
	silence := r.s.conf.LoadTimeout / 4
	defer func() {
		r.down.Hold(false)
		r.down.Wait(silence)
		r.s.server.TakePublished()
	}()
	if r.channel.Send(&pool.Message{Kind: pool.Join}) != nil {
		return
	}
	r.up.Hold(false)
	select {
	case other := <-r.history:
		if other.from == nil {
			return
		}
		defer other.from.Close()
		// a retiring worker may hand its subscribers over to this worker
		r.s.server.HoldHistory(r.s.conf.LoadTimeout + holdFor)
		if err := takeHistory(r.s.server, other.from, other.last, silence); err != nil {
			r.s.logAsWorker(logfile.Warning, " did not receive all past events: %v", err)
		}
	case <-time.After(silence):
		r.s.server.HoldHistory(r.s.conf.LoadTimeout + holdFor)
	}
}
