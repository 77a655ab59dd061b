package worker

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/pybridge"
	"fapws/runtime/eventloop"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
)

// backlogPause is the pause of a publisher while too many events wait to be sent.
const backlogPause = 2 * time.Millisecond

// useChannels wires channels: between the loop, the application and the relay.
func (s *service) useChannels(c *live.StreamConfig) {
	c.Counted = func(name string, n int) { s.relay.counted(countedAs(name), n) }
	c.Joined = func(name string, client *live.StreamClient) { s.notify(name, client, false) }
	c.Left = func(name string, client *live.StreamClient) { s.notify(name, client, true) }
}

// notify tells the application that a client listens, or does not any more. On the loop.
func (s *service) notify(name string, client *live.StreamClient, left bool) {
	if name == ctl.StatusChannel {
		return
	}
	n := pybridge.PresenceEvent{Left: left, Name: name, Number: client.Number, Address: client.Address, User: client.User, LastID: client.LastEventID}
	switch h := s.python(); {
	case h == nil && s.sleeper != nil:
		s.sleeper.keepPresence(n)
	case h != nil && !h.NotifyPresence(n):
		s.warn(slowPresence)
	}
}

const slowPresence = "on_join and on_leave take too long; dropping calls"

// localRelay is the relay of a process that is alone: events go to its clients at once. Only the event loop makes room for
// more of them, so it must not wait for that: events for which there is no room wait on a goroutine, and later ones behind them.
type localRelay struct {
	s       *service
	late    *eventloop.Queue[pybridge.Event]
	waiting atomic.Int64 // events in late
	viewers viewers
}

func newLocalRelay(s *service) *localRelay {
	r := &localRelay{s: s, viewers: viewers{s: s}}
	r.late = eventloop.NewQueue(r.publishLate)
	return r
}

func (r *localRelay) publish(events []pybridge.Event) {
	var cost int64
	for len(events) > 0 && r.waiting.Load() == 0 {
		err := r.s.tryPublish(0, &events[0])
		if errors.Is(err, live.ErrBacklog) {
			break
		}
		r.s.complain(err)
		cost += events[0].Cost()
		events = events[1:]
	}
	r.s.dealt(cost)
	if len(events) > 0 {
		r.waiting.Add(int64(len(events)))
		r.late.Add(events...)
	}
}

func (r *localRelay) publishLate(events []pybridge.Event) {
	var cost int64
	for i := range events {
		r.s.publishOne(0, &events[i])
		cost += events[i].Cost()
	}
	r.s.dealt(cost)
	r.waiting.Add(-int64(len(events)))
}

func (r *localRelay) purge(cache.Pattern) {}
func (r *localRelay) flush(time.Duration) {}

func (r *localRelay) counted(name string, n int) {
	if name == ctl.StatusChannel {
		r.viewers.counted(n)
	}
	r.s.countSubscribers(name, false, int64(n))
}

// dealt reports that the server has taken events of cost bytes. It is safe for concurrent use.
func (s *service) dealt(cost int64) {
	if h := s.python(); h != nil {
		h.Dealt(cost)
	}
}

// publishOne sends an event to the clients of this process, as soon as there is room for it. seq is its number in the
// order of all processes, 0: there are no others.
func (s *service) publishOne(seq uint64, e *pybridge.Event) {
	err := s.tryPublish(seq, e)
	for errors.Is(err, live.ErrBacklog) && !s.over.Load() {
		time.Sleep(backlogPause)
		err = s.tryPublish(seq, e)
	}
	s.complain(err)
}

// publish publishes events of the application. It is pybridge.RunConfig.Publish.
func (s *service) publish(events []pybridge.Event) {
	if s.conf.IdleStop > 0 {
		s.uses.published(events)
	}
	s.relay.publish(events)
}

// countSubscribers tells Python how many listen to a channel, or are in a group, in this process or elsewhere.
func (s *service) countSubscribers(name string, elsewhere bool, n int64) {
	pybridge.CountSubscribers(name, elsewhere, n)
	s.uses.counted(name, elsewhere, n)
}

// announce publishes an event of the server's own. It is safe for concurrent use.
func (s *service) announce(channel, data string) {
	e := pybridge.Event{Name: channel, Data: data}
	if h := s.python(); h != nil {
		h.Published(e.Cost())
	}
	s.relay.publish([]pybridge.Event{e})
}

// complain logs the error of an event, unless it is nil.
func (s *service) complain(err error) {
	if err != nil && !s.over.Load() {
		s.log.Log(logfile.Error, fmt.Sprintf("an event cannot be sent: %v", err))
	}
}

func (s *service) tryPublish(seq uint64, e *pybridge.Event) (err error) {
	switch {
	case e.ForPython():
		if h := s.python(); h != nil {
			h.TakeMessage(e)
		}
	case e.Place != "":
		err = s.server.Sockets().Broadcast(seq, &live.GroupMessage{Group: e.Group(), Binary: e.Binary, Data: e.Data})
	default:
		_, err = s.server.Subscribers().Publish(seq, messageOf(e))
	}
	return err
}

func messageOf(e *pybridge.Event) *live.Message {
	return &live.Message{Name: e.Name, ID: e.ID, Event: e.Type, Data: e.Data}
}

// countedAs is the name under which workers report the subscribers of a channel, or the WebSockets in a group.
func countedAs(name string) string {
	if pybridge.IsGroup(name) {
		return pybridge.GroupKey(name)
	}
	return name
}

// viewEvent is the event of ctl.StatusChannel.
var viewEvent = pybridge.Event{Name: ctl.StatusChannel, Data: "look"}

// ViewEvent returns that event as the supervisor sends it to its workers.
func ViewEvent() []byte { return appendEvent(nil, &viewEvent) }

// viewers tells the viewers of the status page of a process that is alone to look again, as long as there are any. Of several
// workers the supervisor does that, which numbers the events.
type viewers struct {
	s     *service
	n     atomic.Int64
	tells atomic.Bool // tell runs
}

// counted notes how many viewers there are. It must be called on the loop.
func (v *viewers) counted(n int) {
	v.n.Store(int64(n))
	v.begin()
}

func (v *viewers) begin() {
	if v.n.Load() > 0 && !v.s.over.Load() && v.tells.CompareAndSwap(false, true) {
		go v.tell()
	}
}

func (v *viewers) tell() {
	for v.n.Load() > 0 && !v.s.over.Load() {
		v.s.complain(v.s.tryPublish(0, &viewEvent))
		time.Sleep(ctl.ViewEvery)
	}
	v.tells.Store(false)
	v.begin() // one may have come meanwhile
}
