package worker

import (
	"errors"
	"fmt"
	"time"

	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/loglevel"
	"fapws/runtime/pubsub"
	"fapws/runtime/source/cache"
	"fapws/runtime/sse"
	"fapws/runtime/workqueue"
)

// backlogPause is how long who publishes waits when too many events wait to be sent.
const backlogPause = 2 * time.Millisecond

// useChannels wires channels: between the loop, the application and the relay.
func (s *service) useChannels(c *sse.Config) {
	c.Counted = func(name string, n int) { s.relay.counted(countedAs(name), n) }
	c.Joined = func(name string, client *sse.Client) { s.notify(name, client, false) }
	c.Left = func(name string, client *sse.Client) { s.notify(name, client, true) }
}

// notify tells the application that a client listens, or does not any more. On the loop.
func (s *service) notify(name string, client *sse.Client, left bool) {
	if s.handler == nil {
		return
	}
	n := pybridge.PresenceEvent{Left: left, Name: name, Number: client.Number, Address: client.Address, User: client.User, LastID: client.LastEventID}
	if !s.handler.NotifyPresence(n) {
		s.log.Log(loglevel.Warning, "on_join and on_leave take too long: calls are dropped")
	}
}

// localRelay is the relay of a process that is alone.
type localRelay struct {
	queue *workqueue.Queue[pybridge.Event]
}

func newLocalRelay(s *service) localRelay { return localRelay{workqueue.New(s.publishHere)} }

func (r localRelay) publish(events []pybridge.Event)        { r.queue.Add(events...) }
func (r localRelay) publishInOrder(events []pybridge.Event) { r.queue.Add(events...) }
func (r localRelay) counted(name string, n int)             { pybridge.CountSubscribers(name, false, int64(n)) }
func (r localRelay) purge(cache.Pattern)                    {}
func (r localRelay) flush(time.Duration)                    {}

// publishHere sends events to the clients of this process, which is alone.
func (s *service) publishHere(events []pybridge.Event) {
	var cost int64
	for i := range events {
		s.publishOne(0, &events[i])
		cost += events[i].Cost()
	}
	s.dealt(cost)
}

// dealt says that events of cost bytes are the server's own. Any goroutine.
func (s *service) dealt(cost int64) {
	if s.handler != nil {
		s.handler.Dealt(cost)
	}
}

// publishOne sends an event to the clients of this process, as soon as there is room for it. seq is its number in the
// order of all processes, 0: there are no others.
func (s *service) publishOne(seq uint64, e *pybridge.Event) {
	err := s.tryPublish(seq, e)
	for errors.Is(err, runtime.ErrBacklog) && !s.over.Load() {
		time.Sleep(backlogPause)
		err = s.tryPublish(seq, e)
	}
	if err != nil && !s.over.Load() {
		s.log.Log(loglevel.Error, fmt.Sprintf("an event cannot be sent: %v", err))
	}
}

func (s *service) tryPublish(seq uint64, e *pybridge.Event) (err error) {
	switch {
	case e.ForPython():
		if s.handler != nil {
			s.handler.TakeMessage(e)
		}
	case e.Place != "":
		err = s.server.Broadcast(seq, &runtime.GroupMessage{Group: e.Group(), Binary: e.Binary, Data: e.Data})
	case seq > 0:
		err = s.server.PublishNumbered(seq, messageOf(e))
	default:
		_, err = s.server.Publish(messageOf(e))
	}
	return err
}

func messageOf(e *pybridge.Event) *pubsub.Message {
	return &pubsub.Message{Name: e.Name, ID: e.ID, Event: e.Type, Data: e.Data}
}

// countedAs is the name under which the number of subscribers of a channel, or of WebSockets in a group, is told.
func countedAs(name string) string {
	if pybridge.IsGroup(name) {
		return pybridge.GroupKey(name)
	}
	return name
}
