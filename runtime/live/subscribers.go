package live

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

const (
	historyBytes = 256 << 10
	historyTotal = 16 << 20
	historyAge   = time.Hour

	// batchBytes fits easily into what the kernel keeps for a subscriber.
	batchBytes = 16 << 10

	// mostNamed is how many subscribers the log names in a tick.
	mostNamed = 8
)

// Subscribers serves the subscribers of all channels of a server. Its methods must be called on the loop unless their comments say
// otherwise.
type Subscribers struct {
	*Fanout
	loop   Loop
	sites  *exchange.Server
	conns  *conn.Set
	cfg    StreamConfig
	most   int // connections of clients
	format atomic.Pointer[eventFormat]

	joined    int              // subscribers, also those whose handlers have not answered yet
	addresses map[string]int32 // by conn.Network
	next      uint64           // the number of the next subscriber; they begin with that of the process
	retry     *Event           // what a stream begins with: how long clients wait before they reconnect
	reported  int              // lines in the log since the last tick
	retiring  bool             // the server takes no new clients: new subscribers are ended, as all others were
	stay      bool             // not those that can be handed over
	pieces    [][]byte         // scratch of put
}

// eventFormat is what makes an event of a message. It does not change.
type eventFormat struct {
	epoch string
	limit int // bytes of the largest event
}

// NewSubscribers returns the subscribers of a loop, whose connections are conns, with requests of sites. Configure follows before anything
// else is called.
func NewSubscribers(loop Loop, sites *exchange.Server, conns *conn.Set) *Subscribers {
	s := &Subscribers{loop: loop, sites: sites, conns: conns, addresses: map[string]int32{}, next: uint64(os.Getpid())<<30 + 1}
	s.Fanout = NewFanout(func() bool { return conns.Events.Busy() }, batchBytes)
	s.format.Store(&eventFormat{epoch: MakeEpoch(s.start.UnixMilli())})
	return s
}

// Configure replaces the Config, and how many connections clients may have, for the whole server.
func (s *Subscribers) Configure(cfg StreamConfig, clients int) {
	s.cfg, s.most = cfg, clients
	s.onCount = cfg.Counted
	s.Limit(ChannelLimits{
		Events: cfg.History,
		Bytes:  historyBytes,
		Total:  historyTotal,
		Age:    int64(historyAge),
	})
	format := eventFormat{epoch: cfg.Epoch, limit: cfg.MaxEvent}
	if format.epoch == "" {
		format.epoch = s.format.Load().epoch
	}
	s.format.Store(&format)
	s.retry = NewText(fmt.Sprintf("retry: %d\n\n", cfg.Retry.Milliseconds()))
	s.stay = cfg.HandOver
}

// Publish sends an event to all subscribers of its channel, and returns its number. With a seq other than 0, another process has given
// the event that number. Numbers grow; an event with a number that is not larger than
// that of one before has been sent already, and is not sent again. Publish does not wait. The error is one line, about the message, or
// live.ErrBacklog. It is safe for concurrent use.
func (s *Subscribers) Publish(seq uint64, m *Message) (uint64, error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	return s.Fanout.Publish(seq, func(seq uint64) (*Event, error) {
		f := s.format.Load()
		e := NewEvent(m, seq, f.epoch)
		if size := len(e.Text()); size > f.limit {
			return nil, fmt.Errorf("an event has %d bytes; the maximum is %d", size, f.limit)
		}
		return e, nil
	})
}

// Counts returns the number of subscribers of each channel. It must not be called on the loop.
func (s *Subscribers) Counts() map[string]int {
	counts := map[string]int{}
	s.loop.Do(func() {
		for name, c := range s.channels {
			counts[name] = len(c.Subscribers)
		}
	})
	return counts
}

// Tick is to be called on every tick while there are clients.
func (s *Subscribers) Tick() {
	s.Expire()
	if s.reported > mostNamed {
		s.conns.Log(logfile.Warning, "%d more subscribers were dropped or refused", s.reported-mostNamed)
	}
	s.reported = 0
}

// mayReport reports whether one more line about a client may be logged.
func (s *Subscribers) mayReport() bool {
	s.reported++
	return s.reported <= mostNamed
}

// StreamSubscriber is a client of channels. It implements conn.Protocol: its connection is its own from when the handler has ended
// its response. It belongs to the loop.
type StreamSubscriber struct {
	s        *Subscribers
	conn     *conn.Conn // nil: the handler has not ended its response
	minor    uint8      // HTTP/1.minor, in whose form it gets events
	state    state
	input    uint16 // bytes the client has sent, which it should not
	port     uint16
	framed   uint32 // bytes of the response that are not its body
	sent     int64  // bytes of the body
	position Position
	addr     netip.Addr
	queue    *queue // what it has not taken; nil: nothing
	log      *logfile.Record
	extra    *extra
	number   uint64
}

// extra is what most subscribers do not have.
type extra struct{ user, lastID string }

type state uint8

const (
	joining state = iota // what the handler gave is not written yet
	idle                 // it has taken everything
	behind               // it has not
	ending               // and when it has, it is closed
	gone
)

// queue is what waits until a subscriber takes it. Events are shared by all.
type queue struct {
	events []*Event
	off    int // bytes of events[0] that were taken
	bytes  int // of events of a batch, which are bounded
	free   int // how many in front are not: what it joined with
}

// Position implements live.Subscriber.
func (p *StreamSubscriber) Position() *Position { return &p.position }

// Give implements live.Subscriber.
func (p *StreamSubscriber) Give(events []*Event) { p.s.send(p, events) }

// maxInput bounds what a subscriber may send, in bytes; there is no use in any of it.
const maxInput = 16 << 10

// Input implements conn.Protocol: what a subscriber sends does not count, but there may not be much of it.
func (p *StreamSubscriber) Input(b []byte) {
	switch {
	case p.state == joining:
		p.s.serve(p)
	case p.state == gone:
	case int(p.input)+len(b) > maxInput:
		p.s.drop(p, "has sent more than a request")
	default:
		p.input += uint16(len(b))
	}
}

// EOF implements conn.Protocol.
func (p *StreamSubscriber) EOF() (stays bool) { return false }

// Room implements conn.Protocol.
func (p *StreamSubscriber) Room(ended bool) {
	switch {
	case p.state == joining:
		p.s.serve(p)
	case !ended:
	case p.state == gone:
		p.conn.Finish()
	default:
		if p.queue != nil {
			p.s.flush(p)
		}
		p.s.Continue()
	}
}

// lookAgain is how much later a connection without a deadline is looked at again, in nanoseconds.
const lookAgain = int64(time.Minute)

// Due implements conn.Protocol: it sends a heartbeat to a client that was sent nothing for long.
func (p *StreamSubscriber) Due() (next int64) {
	now := p.s.conns.Now
	if p.state != idle {
		return now + lookAgain // a transfer has a deadline of its own
	}
	if at := p.nextBeat(); at > now {
		return at
	}
	p.s.send(p, oneHeartbeat)
	return p.nextBeat()
}

// beats is in how many groups subscribers get their heartbeats, so that they do not all come at once.
const beats = 64

// nextBeat returns when a subscriber to whom nothing else is sent gets a heartbeat: after half the interval at least.
func (p *StreamSubscriber) nextBeat() int64 {
	every := int64(p.s.cfg.Heartbeat)
	return p.conn.Stamp + every - every/2/beats*int64(p.number%beats)
}

var oneHeartbeat = []*Event{NewText(":\n\n")}

// Drain implements conn.Protocol: the subscriber ends with all others.
func (p *StreamSubscriber) Drain(bool) {}

// Closed implements conn.Protocol.
func (p *StreamSubscriber) Closed() {
	s := p.s
	switch {
	case p.conn == nil: // it has another connection, or is given away
		return
	case p.state == joining:
		s.abandon(p)
	case p.state != gone:
		s.conns.Tracef("%s has unsubscribed", p)
		s.remove(p, true)
		s.Continue()
	}
	s.account(p)
}

// Gone implements conn.Holder.
func (p *StreamSubscriber) Gone() { p.s.loop.Count(-1) }

// network is what counts as one client in Subscribers.addresses.
func (p *StreamSubscriber) network() string { return conn.Network(p.addr.String()) }

// client returns the subscriber as applications see it.
func (p *StreamSubscriber) client() *StreamClient {
	c := &StreamClient{Number: p.number}
	if p.addr.IsValid() {
		c.Address = p.addr.String()
	}
	if p.port != 0 {
		c.Port = strconv.Itoa(int(p.port))
	}
	if p.extra != nil {
		c.User, c.LastEventID = p.extra.user, p.extra.lastID
	}
	return c
}

// String is how the error log calls the client.
func (p *StreamSubscriber) String() string {
	c := p.client()
	return cmp.Or((&exchange.Peer{Addr: c.Address, Port: c.Port}).String(), p.conn.String())
}
