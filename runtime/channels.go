package runtime

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"fapws/runtime/loglevel"
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

	// HandOver lets subscribers, and WebSockets of mounts with a Group, stay when the server retires, for ExportSubscribers and
	// ExportSockets.
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

// channels serves the subscribers of server-sent events. It belongs to the loop.
type channels struct {
	l      *loop
	cfg    *ChannelConfig
	fanout *pubsub.Fanout[*subscriber]
	framed atomic.Pointer[eventFormat]

	live       int // subscribers
	joined     int // and those that are to be one
	addresses  map[netip.Addr]int32
	next       uint64 // the number of the next subscriber
	heartbeats heartbeatSchedule
	retry      *pubsub.Event  // what a stream begins with: how long clients wait before they reconnect
	blamed     int            // lines in the log since the last tick
	stay       bool           // retiring leaves subscribers alone
	restored   pubsub.Decoder // of ImportHistory
}

// eventFormat is what makes an event of a message. It does not change.
type eventFormat struct {
	epoch string
	limit int // bytes of the largest event
}

// sseBatch fits easily into what the kernel keeps for a subscriber.
const sseBatch = 16 << 10

// ErrBacklog is what publishing more gives while so many events wait to be sent.
var ErrBacklog = pubsub.ErrBacklog

func newChannels(l *loop) *channels {
	h := &channels{
		l:         l,
		cfg:       &l.cfg.Channels,
		addresses: map[netip.Addr]int32{},
		next:      firstSubscriber(),
	}
	h.fanout = pubsub.NewFanout(pubsub.Options[*subscriber]{Give: h.send, Busy: l.busy, BatchBytes: sseBatch})
	h.framed.Store(&eventFormat{epoch: pubsub.MakeEpoch(time.Now().UnixMilli())})
	return h
}

// configure is called when the Config has changed.
func (h *channels) configure() {
	h.fanout.Limit(pubsub.Limits{
		Events: max(h.cfg.History, 0),
		Bytes:  historyBytes,
		Total:  historyTotal,
		Age:    int64(historyAge),
	})
	format := eventFormat{epoch: h.cfg.Epoch, limit: h.cfg.MaxEvent}
	if format.epoch == "" {
		format.epoch = h.framed.Load().epoch
	}
	h.framed.Store(&format)
	h.retry = pubsub.NewText(fmt.Sprintf("retry: %d\n\n", h.cfg.Retry.Milliseconds()))
	h.stay = h.cfg.HandOver
	h.l.handover.stay = h.cfg.HandOver
	h.heartbeats.configure(h.cfg.Heartbeat)
}

// Publish sends an event to all subscribers of its channel, and returns its number.
// It does not wait. The error is one line, about the message, or ErrBacklog. It is safe for concurrent use,
// also on the loop.
func (s *Server) Publish(m *pubsub.Message) (seq uint64, err error) {
	return s.loop.channels.publish(m, 0)
}

// PublishNumbered is Publish for a server that is not alone: another process has given
// the event its number, which is at least 1. Numbers grow; an event with a number that is no larger than
// that of one before has been sent already, and is not sent again.
func (s *Server) PublishNumbered(seq uint64, m *pubsub.Message) error {
	_, err := s.loop.channels.publish(m, seq)
	return err
}

// CheckMessage says in one line what is wrong with a message, as Publish would.
func (s *Server) CheckMessage(m *pubsub.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	_, err := s.loop.channels.framed.Load().event(m, 1<<63)
	return err
}

// event makes the event of a message that was checked.
func (f *eventFormat) event(m *pubsub.Message, seq uint64) (*pubsub.Event, error) {
	e := pubsub.NewEvent(m, seq, f.epoch)
	if size := len(e.Text()); size > f.limit {
		return nil, fmt.Errorf("an event has %d bytes, at most %d are allowed", size, f.limit)
	}
	return e, nil
}

func (h *channels) publish(m *pubsub.Message, seq uint64) (uint64, error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	return h.fanout.Publish(seq, func(seq uint64) (*pubsub.Event, error) { return h.framed.Load().event(m, seq) })
}

// turn gives events to subscribers, if there are any to give.
func (h *channels) turn() {
	if h.fanout.Pending() {
		h.fanout.Turn(h.now())
	}
}

// ticked is called twice a second while there are connections.
func (h *channels) ticked() {
	h.fanout.Expire(h.l.now())
	h.l.groups.fanout.Expire(h.l.now())
	h.beat()
	h.dropSlow()
	if h.blamed > blameMost {
		h.l.s.logf(loglevel.Warning, "%d more subscribers were dropped or refused", h.blamed-blameMost)
	}
	h.blamed = 0
}

// blameMost is how many subscribers the log names in a tick.
const blameMost = 8

// blame logs a line about a client, unless there are too many.
func (h *channels) blame(level loglevel.Level, client, line string) {
	if h.blamed++; h.blamed <= blameMost {
		h.l.cfg.LogClient(level, client, line)
	}
}

// now is the time for the hub, of which events may come while nobody is connected
// and the clock of the loop stands still.
func (h *channels) now() int64 { return int64(time.Since(h.l.start)) }

// heldUp forgives subscribers the time in which the loop was kept from them.
func (h *channels) heldUp() {
	for p := range h.fanout.Lagging {
		p.queue.stamp = h.l.now()
	}
}

// counted reports the sizes of channels, or of groups of WebSockets.
func (h *channels) counted(count func(name string) int, names ...string) {
	if h.cfg.Counted == nil {
		return
	}
	for _, name := range names {
		h.cfg.Counted(name, count(name))
	}
}
