package worker

import (
	"errors"
	"fmt"
	"time"

	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/cache"
	"fapws/runtime/pubsub"
	"fapws/runtime/workqueue"
)

// backlogPause is how long who publishes waits when too many events wait to be sent.
const backlogPause = 2 * time.Millisecond

// useChannels wires channels: between the loop, the application and the relay.
func (s *service) useChannels(c *runtime.ChannelConfig) {
	c.Counted = s.relay.counted
	c.Joined = func(name string, client *runtime.ChannelClient) { s.notify(name, client, false) }
	c.Left = func(name string, client *runtime.ChannelClient) { s.notify(name, client, true) }
}

// notify tells the application that a client listens, or does not any more. On the loop.
func (s *service) notify(name string, client *runtime.ChannelClient, left bool) {
	if s.handler == nil {
		return
	}
	n := pybridge.PresenceEvent{Left: left, Name: name, Number: client.Number, Address: client.Address, User: client.User, LastID: client.LastEventID}
	if !s.handler.NotifyPresence(n) {
		s.log.Log(runtime.LevelWarning, "on_join and on_leave take too long: calls are dropped")
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

// publishHere sends events to those who listen to this process, which is alone.
func (s *service) publishHere(events []pybridge.Event) {
	var cost int64
	for i := range events {
		m := messageOf(&events[i])
		s.publishOne(func() error { _, err := s.server.Publish(&m); return err })
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

// publishOne publishes an event as soon as there is room for it.
func (s *service) publishOne(publish func() error) {
	err := publish()
	for errors.Is(err, runtime.ErrBacklog) && !s.over.Load() {
		time.Sleep(backlogPause)
		err = publish()
	}
	if err != nil && !s.over.Load() {
		s.log.Log(runtime.LevelError, fmt.Sprintf("an event cannot be sent: %v", err))
	}
}

func messageOf(e *pybridge.Event) pubsub.Message {
	return pubsub.Message{Name: e.Name, ID: e.ID, Event: e.Type, Data: e.Data}
}

// broadcast sends to the WebSockets of this process, as soon as there is room for it.
func (s *service) broadcast(e *pybridge.Event) {
	if s.handler == nil {
		return
	}
	s.publishOne(func() error {
		if !s.handler.Broadcast(e) {
			return runtime.ErrBacklog
		}
		return nil
	})
}
