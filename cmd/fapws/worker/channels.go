package worker

import (
	"errors"
	"fmt"
	"os"
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

// notify reports to the application that a subscriber has joined or left. notify must be called on the event loop.
func (r *relay) notify(name string, client *live.StreamClient, left bool) {
	if name == ctl.StatusChannel {
		return
	}
	n := pybridge.PresenceEvent{Left: left, Name: name, Number: client.Number, Address: client.Address,
		User: client.User, LastID: client.LastEventID}
	switch h, late := r.s.python.running(), r.s.late; {
	case late != nil && (h == nil || len(late.presence) > 0):
		// earlier presence events are queued, so queue this event as well
		late.keepPresence(n)
	case h != nil && !h.NotifyPresence(n):
		r.s.warn(slowPresence)
	}
}

const slowPresence = "on_join and on_leave take too long; dropping calls"

// took reports to the handler that events were dealt, so that it may publish more. took is safe for concurrent use.
// cost is in bytes.
func (r *relay) took(cost int64) {
	if h := r.s.python.running(); h != nil {
		h.Dealt(cost)
	}
}

// publishOne sends an event to the clients of this process when the queue has room. seq is the event's number in the
// order of all processes, or 0 without other processes.
func (r *relay) publishOne(seq uint64, e *pybridge.Event) {
	err := r.tryPublish(seq, e)
	for errors.Is(err, live.ErrBacklog) && !r.over.Load() {
		time.Sleep(backlogPause)
		err = r.tryPublish(seq, e)
	}
	r.complain(err)
}

// publishFrom is pybridge.RunConfig.Publish. publishFrom counts as a use of the application, so that an open page with
// live values keeps the application awake.
func (r *relay) publishFrom(events []pybridge.Event) {
	if r.s.conf.IdleStop > 0 && slices.ContainsFunc(events, func(e pybridge.Event) bool {
		return pybridge.HasSubscribers(e.Name)
	}) {
		r.s.python.used()
	}
	r.publish(events)
}

// announce publishes an event of the server itself. announce is safe for concurrent use.
func (r *relay) announce(channel, data string) {
	e := pybridge.Event{Name: channel, Data: data}
	if h := r.s.python.running(); h != nil {
		h.Published(e.Cost())
	}
	r.publish([]pybridge.Event{e})
}

// complain logs the error of an event, unless it is nil. complain logs at most once a minute, because other programs
// can write any number of events to a broker.
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
		_, err = r.s.server.Subscribers().Publish(seq, &live.Message{Name: e.Name, ID: e.ID, Event: e.Type,
			Data: e.Data})
	}
	return err
}

var viewEvent = pybridge.Event{Name: ctl.StatusChannel, Data: "look"}

func ViewEvent() []byte { return appendEvent(nil, &viewEvent) }

const (
	batchBytes = 64 << 10 // approximate limit of the events in one message

	// in bytes
	mostDown = 64 << 20

	// countsEvery is how often the supervisor gets the numbers of subscribers.
	countsEvery = 250 * time.Millisecond
)

// A relay sends the events and purges of handlers to all processes of the server. The supervisor numbers the events of
// all workers. Without a supervisor, a goroutine publishes the events, because it must wait if the queue of the event
// loop is full. The methods are safe for concurrent use.
type relay struct {
	s          *service
	channel    *pool.Channel // channel to the supervisor, or nil
	up         *eventloop.Queue[pybridge.Event]
	down       *eventloop.Queue[func()]
	purges     *eventloop.Queue[string]
	purged     *eventloop.Queue[cache.Pattern] // purges that other workers have requested
	said       atomic.Int64                    // cost of the events sent to the supervisor
	dealt      atomic.Int64                    // cost of the events that the supervisor has returned
	waiting    atomic.Int64                    // bytes of events in down
	overflowed atomic.Bool                     // lost events were reported
	history    chan giver
	taking     sync.WaitGroup
	over       atomic.Bool
	complained logfile.Seldom

	mu sync.Mutex
	// channels with a changed number of local subscribers, and the number
	counts map[string]int64
}

func newRelay(s *service) *relay {
	r := &relay{s: s, history: make(chan giver, 1), counts: map[string]int64{}}
	r.up, r.down = eventloop.NewQueue(r.sendUp), eventloop.NewQueue(runAll)
	r.purges = eventloop.NewQueue(r.sendPurges)
	r.purged = eventloop.NewQueue(func(all []cache.Pattern) { s.server.PurgeNow(all...) })
	r.down.Hold(true)
	return r
}

// connect sets the channel to the supervisor. Events wait until join.
func (r *relay) connect(c *pool.Channel) {
	r.channel = c
	r.up.Hold(true)
}

func runAll(all []func()) {
	for _, f := range all {
		f()
	}
}

// publish queues events for all processes. publish may be called on the event loop.
func (r *relay) publish(events []pybridge.Event) { r.up.Add(events...) }

// flush waits until all events were sent to other processes, at most for limit.
func (r *relay) flush(limit time.Duration) { r.up.Wait(limit) }

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
			return // listen notices the end of the channel
		}
	}
}

func (r *relay) awaitOwn(end time.Time) {
	r.up.Wait(time.Until(end))
	for said := r.said.Load(); r.dealt.Load() < said && time.Now().Before(end); {
		time.Sleep(100 * time.Microsecond)
	}
}

// arrived is called on the goroutine of Parent.listen.
func (r *relay) arrived(m *pool.Message) {
	switch {
	case m.Text == pool.Dropped: // only the ID is needed, which permits new events
	case r.waiting.Load() > mostDown:
		if !r.overflowed.Swap(true) {
			r.s.log.Log(logfile.Error, fmt.Sprintf("worker %d: event loop blocked by a handler; dropping events",
				os.Getpid()))
		}
		if m.ID == 0 {
			return
		}
		m = &pool.Message{ID: m.ID} // the ID permits new events
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

// counted records the number of local subscribers of a channel, or of WebSockets in a group, and schedules a report to
// the supervisor.
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
	pool.EachCounts(counts, func(m *pool.Message) { _ = r.channel.Send(m) }) // listen notices the end of the channel
}

// join joins the channels of all workers and waits for their past events. The event loop must be running. join waits at
// most half of this worker's time to load. join ends earlier if the other worker ends, or sends nothing for a quarter
// of this time because its event loop is blocked.
func (r *relay) join() {
	silence := r.s.conf.LoadTimeout / 4
	defer func() {
		r.down.Hold(false)
		r.down.Wait(silence)
		r.s.server.TakePublished()
	}()
	if r.channel.Send(&pool.Message{Kind: pool.Join}) != nil {
		return // listen notices the end of the channel
	}
	r.up.Hold(false)
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
