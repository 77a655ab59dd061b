package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/channel"
)

// backlogPause is how long who publishes waits when too many events wait to be sent.
const backlogPause = 2 * time.Millisecond

// useChannels wires channels: between the loop, the application and, in a worker,
// the supervisor.
func (s *service) useChannels(c *runtime.ChannelConfig) {
	c.Counted = s.counted()
	if s.parent != nil {
		c.Epoch, c.HandOver = s.parent.epoch, true
	}
	c.Joined = func(name string, client *runtime.ChannelClient) { s.notify(name, client, false) }
	c.Left = func(name string, client *runtime.ChannelClient) { s.notify(name, client, true) }
}

// counted returns what is told how many listen to a channel here, or are in a group of
// WebSockets.
func (s *service) counted() func(name string, n int) {
	if s.parent != nil {
		return s.parent.events.counted
	}
	return func(name string, n int) { pybridge.CountListeners(name, false, int64(n)) }
}

// notify tells the application that a client listens, or does not any more. On the loop.
func (s *service) notify(name string, client *runtime.ChannelClient, left bool) {
	if s.handler == nil {
		return
	}
	n := pybridge.Notice{Left: left, Name: name, Number: client.Number, Address: client.Address, User: client.User, LastID: client.LastEventID}
	if !s.handler.Notify(n) {
		s.log.Log(runtime.LevelWarning, "on_join and on_leave take too long: calls are dropped")
	}
}

// publish is pybridge.RunConfig.Publish: it sends events to those who listen here
// and, in a worker, elsewhere. On the loop.
func (s *service) publish(events []pybridge.Event) {
	if s.parent != nil {
		s.parent.events.up.add(events...)
		return
	}
	s.here.add(events...)
}

// publishInOrder is publish for callers that must not go on before the events have their
// place in the order of all workers. Any goroutine but the loop's.
func (s *service) publishInOrder(events []pybridge.Event) {
	if s.parent != nil {
		s.parent.events.publish(events)
		return
	}
	s.here.add(events...)
}

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

func messageOf(e *pybridge.Event) channel.Message {
	return channel.Message{Name: e.Name, ID: e.ID, Event: e.Type, Data: e.Data}
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

// lane carries things out, all that wait at once and one after the other, on a
// goroutine that is there while something does. Who adds to it does not wait.
type lane[T any] struct {
	carry func([]T)

	mu      sync.Mutex
	waiting []T
	running bool
	held    bool // nothing is carried out for now
}

func newLane[T any](carry func([]T)) *lane[T] { return &lane[T]{carry: carry} }

func (l *lane[T]) add(things ...T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, things...)
	l.start()
}

// start needs the mutex.
func (l *lane[T]) start() {
	if !l.running && !l.held && len(l.waiting) > 0 {
		l.running = true
		go l.run()
	}
}

func (l *lane[T]) run() {
	for {
		l.mu.Lock()
		some := l.waiting
		l.waiting = nil
		if len(some) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.carry(some)
	}
}

// hold keeps everything in the lane, or lets it go on.
func (l *lane[T]) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = on
	l.start()
}

// rest returns when nothing is in the lane, or after limit.
func (l *lane[T]) rest(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(backlogPause) {
		l.mu.Lock()
		running := l.running
		l.mu.Unlock()
		if !running {
			return
		}
	}
}

// --- events between processes --------------------------------------------------

// On its way a broadcast is an event of a channel that cannot be, placeMark and the place
// of the WebSocket; its id is the group.
const (
	textType   = "text"
	binaryType = "binary"
	placeMark  = "#"
)

// appendEvent writes an event for cutEvent.
func appendEvent(raw []byte, e *pybridge.Event) []byte {
	name, id, kind := e.Name, e.ID, e.Type
	if e.Place != "" {
		name, id, kind = placeMark+e.Place, e.Name, textType
		if e.Binary {
			kind = binaryType
		}
	}
	for _, text := range [...]string{name, id, kind, e.Data} {
		raw = append(binary.AppendUvarint(raw, uint64(len(text))), text...)
	}
	return raw
}

var errEvents = errors.New("events from the supervisor cannot be read")

// cutEvent takes the first event off raw.
func cutEvent(raw []byte) (e pybridge.Event, rest []byte, err error) {
	for _, text := range [...]*string{&e.Name, &e.ID, &e.Type, &e.Data} {
		n, k := binary.Uvarint(raw)
		if k <= 0 || n > uint64(len(raw)-k) {
			return e, nil, errEvents
		}
		*text, raw = string(raw[k:k+int(n)]), raw[k+int(n):]
	}
	if place, is := strings.CutPrefix(e.Name, placeMark); is {
		e = pybridge.Event{Place: place, Binary: e.Type == binaryType, Name: e.ID, Data: e.Data}
	}
	return e, raw, nil
}
