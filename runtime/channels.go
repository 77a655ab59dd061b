package runtime

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/pubsub"
)

// ChannelConfig says how channels behave (exchange.Head.Channel). The zero value
// works: every field that is zero has the default that its comment gives.
type ChannelConfig struct {
	// Subscribers bounds the subscribers of one channel, PerAddress those of one client's
	// address, of IPv6 its /64; beyond it they get 503. 0: 100,000 and 256. Of all
	// connections, Config.MaxClients, a sixteenth is left to others.
	Subscribers int
	PerAddress  int

	// Buffer bounds the bytes of events that wait until a subscriber takes them;
	// beyond it, it is dropped. About as much is kept by the kernel besides. 0: 64 KiB.
	Buffer int

	// History is how many events of each channel are kept for clients that come
	// back, of 256 KiB at most, and 16 MiB of all channels. 0: 100. Below zero: none.
	History int

	// Heartbeat is how often a subscriber gets a comment. A client that acknowledges
	// nothing for two of them has gone. 0: 45 s.
	Heartbeat time.Duration

	// Retry is how long clients are told to wait before they come back. 0: 3 s.
	Retry time.Duration

	// MaxEvent is the size of the largest event, as it is written. 0: 64 KiB.
	MaxEvent int

	// Epoch tells this server's events from those before it was started: it is in their
	// ids. Processes that have the same subscribers one after the other, or side by side, have
	// the same. Empty: of the time.
	Epoch string

	// HandOver lets subscribers stay when the server retires, for ExportSubscribers.
	HandOver bool

	// Joined and Left tell of a subscriber, once for each of its channels; Counted how
	// many a channel has whenever that changes. They are called on the loop, and must
	// not block. nil: nobody cares.
	Joined, Left func(name string, client *ChannelClient)
	Counted      func(name string, subscribers int)
}

// ChannelClient is a subscriber as applications are told of it. It does not change.
type ChannelClient struct {
	Address     string // as REMOTE_ADDR: "" of a unix socket
	Port        string // as REMOTE_PORT: "" if it is not known
	User        string // who has logged in; "": nobody
	LastEventID string // what the client has said it has seen last, or ""
	Number      uint64 // of the subscriber: none of this machine's has the same, also after a hand-over; below 2^53
}

const (
	historyBytes = 256 << 10
	historyTotal = 16 << 20
	historyAge   = time.Hour
)

func (c *ChannelConfig) setDefaults() {
	setDefault(&c.Subscribers, 100000)
	setDefault(&c.PerAddress, 256)
	setDefault(&c.Buffer, 64<<10)
	setDefault(&c.History, 100)
	setDefault(&c.Heartbeat, 45*time.Second)
	setDefault(&c.Retry, 3*time.Second)
	setDefault(&c.MaxEvent, 64<<10)
}

// channels is what the loop has to do with channels and subscribers. But for the
// inbox it belongs to the loop.
type channels struct {
	l      *loop
	cfg    *ChannelConfig
	hub    *pubsub.Hub[*subscriber]
	inbox  inbox
	fanout fanout

	waker           *exchange.Waker // with descriptors of its own: who publishes may do so when the server has ended
	live            int             // subscribers
	joined          int             // and those that are to be one
	addresses       map[netip.Addr]int32
	next            uint64 // the number of the next subscriber
	heartbeats      heartbeatSchedule
	slowSubscribers map[*subscriber]struct{} // that have not taken everything
	retry           *pubsub.Event            // the hint that a stream begins with
	blamed          int                      // lines in the log since the last tick
	stay            bool                     // retiring leaves subscribers alone
	restored        pubsub.Decoder           // of ImportHistory
}

// inbox is where events wait for the loop. Any goroutine may use it.
type inbox struct {
	mu     sync.Mutex
	events []*pubsub.Event
	seq    uint64 // of the last event that was numbered here
	epoch  string
	limit  int          // bytes of the largest event
	bytes  atomic.Int64 // of events that have not been given to all subscribers
	woken  atomic.Bool  // the loop has been told
}

// maxBacklog bounds what waits to be given to subscribers, in bytes.
const maxBacklog = 16 << 20

// ErrBacklog is what publishing more gives while so many events wait to be sent.
var ErrBacklog = errors.New("too many events wait to be sent")

func newChannels(l *loop) *channels {
	return &channels{
		l:               l,
		cfg:             &l.cfg.Channels,
		hub:             pubsub.NewHub[*subscriber](),
		addresses:       map[netip.Addr]int32{},
		slowSubscribers: map[*subscriber]struct{}{},
		inbox:           inbox{epoch: pubsub.MakeEpoch(time.Now().UnixMilli())},
		next:            firstSubscriber(),
		fanout:          fanout{least: leastPatience},
	}
}

// configure is called when the Config has changed.
func (h *channels) configure() {
	h.hub.Limit(pubsub.Limits{
		Events: max(h.cfg.History, 0),
		Bytes:  historyBytes,
		Total:  historyTotal,
		Age:    int64(historyAge),
	})
	h.inbox.mu.Lock()
	h.inbox.limit = h.cfg.MaxEvent
	if h.cfg.Epoch != "" {
		h.inbox.epoch = h.cfg.Epoch
	}
	h.inbox.mu.Unlock()
	h.retry = pubsub.NewText(fmt.Sprintf("retry: %d\n\n", h.cfg.Retry.Milliseconds()))
	h.stay = h.cfg.HandOver
	h.heartbeats.configure(h.cfg.Heartbeat)
}

// Publish sends an event to all who listen to its channel, and returns its number.
// It does not wait. The error is one line, about the message, or ErrBacklog. Any goroutine may
// call it, also the loop's.
func (s *Server) Publish(m *pubsub.Message) (seq uint64, err error) {
	return s.publish(m, 0)
}

// PublishNumbered is Publish for a server that is not alone: somebody else has given
// the event its number, which is at least 1. Numbers grow; an event with a number that is no larger than
// that of one before has been sent already, and is not sent again.
func (s *Server) PublishNumbered(seq uint64, m *pubsub.Message) error {
	_, err := s.publish(m, seq)
	return err
}

// CheckMessage says in one line what is wrong with a message, as Publish would.
func (s *Server) CheckMessage(m *pubsub.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	in := &s.loop.channels.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.checkSize(pubsub.NewEvent(m, 1<<63, in.epoch))
}

func (in *inbox) checkSize(e *pubsub.Event) error {
	if size := len(e.Text()); size > in.limit {
		return fmt.Errorf("an event has %d bytes, at most %d are allowed", size, in.limit)
	}
	return nil
}

func (s *Server) publish(m *pubsub.Message, seq uint64) (uint64, error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	in := &s.loop.channels.inbox
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
	e := pubsub.NewEvent(m, seq, in.epoch)
	if err := in.checkSize(e); err != nil {
		in.mu.Unlock()
		return 0, err
	}
	in.seq = seq
	in.events = append(in.events, e)
	in.bytes.Add(int64(len(e.Text())))
	in.mu.Unlock()
	if in.woken.CompareAndSwap(false, true) {
		s.loop.channels.waker.Wake()
	}
	return seq, nil
}

// take moves what has been published to the rings and to what is to be sent.
func (h *channels) take() {
	if !h.inbox.woken.Load() {
		return
	}
	h.inbox.woken.Store(false) // before the events are taken: who publishes now wakes once more
	h.inbox.mu.Lock()
	events := h.inbox.events
	h.inbox.events = nil
	h.inbox.mu.Unlock()
	now := h.now()
	for _, e := range events {
		if h.hub.Take(e, now) && h.hub.Of(e.Name) != nil {
			h.fanout.backlog = append(h.fanout.backlog, e)
		} else {
			h.inbox.bytes.Add(-int64(len(e.Text())))
		}
	}
}

// woken is called when somebody has woken the loop.
func (h *channels) woken() {
	if h.inbox.woken.Load() || h.fanout.batch != nil || len(h.fanout.backlog) > 0 {
		h.turn()
	}
}

// ticked is called twice a second while there are connections.
func (h *channels) ticked() {
	h.hub.Expire(h.l.now)
	h.beat()
	h.dropSlow()
	if h.blamed > blameMost {
		h.l.s.logf(LevelWarning, "%d more subscribers were dropped or refused", h.blamed-blameMost)
	}
	h.blamed = 0
}

// blameMost is how many subscribers the log names in a tick.
const blameMost = 8

// blame logs a line about a client, unless there are too many.
func (h *channels) blame(level Level, client, line string) {
	if h.blamed++; h.blamed <= blameMost {
		h.l.cfg.LogClient(level, client, line)
	}
}

// now is the time for the hub, of which events may come while nobody is connected
// and the clock of the loop stands still.
func (h *channels) now() int64 { return int64(time.Since(h.l.start)) }

// heldUp forgives subscribers the time in which the loop was kept from them.
func (h *channels) heldUp() {
	for p := range h.slowSubscribers {
		p.queue.stamp = h.l.now
	}
}

// counted tells how many listen to the channels of that name.
func (h *channels) counted(names []string) {
	if h.cfg.Counted == nil {
		return
	}
	for _, name := range names {
		h.cfg.Counted(name, h.hub.Count(name))
	}
}
