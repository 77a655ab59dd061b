package live

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
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

	// maximum size of a batch, in bytes; smaller than the send buffer of a subscriber
	batchBytes = 16 << 10

	mostNamed = 8
)

// Subscribers serves the subscribers of all channels of a server. Its methods must be called on the loop unless their
// comments say otherwise.
type Subscribers struct {
	*Fanout
	loop   Loop
	sites  *exchange.Server
	conns  *conn.Set
	cfg    StreamConfig
	most   int
	format atomic.Pointer[eventFormat]

	// number of subscribers, including subscribers whose response is not complete yet
	joined    int
	addresses map[string]int32
	// number of the next subscriber; the upper bits of the number are the process ID
	next     uint64
	retry    *Event
	reported int
	// Drain was called, so streams that begin later also end
	retiring bool
	stay     bool
	pieces   [][]byte
	part     exchange.Part // the part that is being sent; a local variable would be allocated for each part
}

type eventFormat struct {
	epoch string
	limit int
}

// Configure must be called before all other methods.
func NewSubscribers(loop Loop, sites *exchange.Server, conns *conn.Set) *Subscribers {
	s := &Subscribers{loop: loop, sites: sites, conns: conns, addresses: map[string]int32{},
		next: uint64(os.Getpid())<<30 + 1}
	s.Fanout = NewFanout(func() bool { return conns.Events.Busy() }, batchBytes)
	s.format.Store(&eventFormat{epoch: MakeEpoch(s.start.UnixMilli())})
	return s
}

// Configure sets the configuration, and the maximum number of client connections of the whole server.
func (s *Subscribers) Configure(cfg StreamConfig, clients int) {
	s.cfg, s.most = cfg, clients
	s.onCount = cfg.Counted
	s.Limit(ChannelLimits{Events: cfg.History, Bytes: historyBytes, Total: historyTotal, Age: int64(historyAge)})
	s.format.Store(&eventFormat{epoch: cmp.Or(cfg.Epoch, s.format.Load().epoch), limit: cfg.MaxEvent})
	s.retry = NewText(fmt.Sprintf("retry: %d\n\n", cfg.Retry.Milliseconds()))
	s.stay = cfg.HandOver
}

// Publish sends an event to all subscribers of its channel, and returns its number. If seq is not 0, another process
// has numbered the event, and Publish drops it unless seq is larger than all earlier numbers. Publish does not wait,
// may be called on any goroutine, and returns ErrBacklog or a one-line description of an invalid message.
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

// Counts returns the number of subscribers of each channel, and must not be called on the loop.
func (s *Subscribers) Counts() map[string]int {
	counts := map[string]int{}
	s.loop.Do(func() {
		for name, c := range s.channels {
			counts[name] = len(c.Subscribers)
		}
	})
	return counts
}

// Tick must be called on every tick while clients are connected.
func (s *Subscribers) Tick() {
	s.Expire()
	if s.reported > mostNamed {
		s.conns.Log(logfile.Warning, "%d more subscribers were dropped or refused", s.reported-mostNamed)
	}
	s.reported = 0
}

func (s *Subscribers) mayReport() bool {
	s.reported++
	return s.reported <= mostNamed
}

// StreamSubscriber is a client that gets the events of channels. It implements conn.Protocol, and owns its connection
// after the handler has ended its response. A StreamSubscriber may be used only on the loop.
type StreamSubscriber struct {
	s     *Subscribers
	conn  *conn.Conn // nil until the handler has ended its response
	minor uint8
	state state
	// number of bytes received from the client, which should not send any
	input    uint16
	framed   uint32
	sent     int64
	position Position
	peer     netip.AddrPort // address of the client; not valid for a unix socket
	queue    *queue         // unsent data, or nil
	log      *logfile.Record
	extra    *extra
	number   uint64
}

type extra struct{ user, lastID string }

type state uint8

const (
	joining state = iota
	idle
	behind
	// the stream will end when the client has received the waiting data
	ending
	gone
)

// queue contains the unsent data of a subscriber; all subscribers share the events.
type queue struct {
	events []*Event
	off    int
	bytes  int // bytes that count for StreamConfig.Buffer
	// number of events at the front that do not count for the limit, because they come from the history
	free int
}

func (p *StreamSubscriber) Position() *Position { return &p.position }

func (p *StreamSubscriber) Give(events []*Event) {
	defer p.s.conns.Guard(p.conn)
	p.s.send(p, events)
}

// maxInput limits the bytes that a subscriber may send. The server ignores these bytes.
const maxInput = 16 << 10

// Input ignores the input of a subscriber, but disconnects the subscriber after more than maxInput bytes.
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

func (p *StreamSubscriber) EOF() (stays bool) { return false }

func (p *StreamSubscriber) Drained(ended bool) {
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

const lookAgain = int64(time.Minute)

// Due sends a heartbeat if its time has come (nextBeat).
func (p *StreamSubscriber) Due() (next int64) {
	now := p.s.conns.Now
	if p.state != idle {
		return now + lookAgain
	}
	if at := p.nextBeat(); at > now {
		return at
	}
	p.s.send(p, oneHeartbeat)
	return p.nextBeat()
}

const beats = 64

// nextBeat returns the time of the subscriber's next heartbeat: half an interval to a whole interval after the last
// data was sent, depending on p.number, so that not all heartbeats are due at once.
func (p *StreamSubscriber) nextBeat() int64 {
	every := int64(p.s.cfg.Heartbeat)
	return p.conn.Stamp + every - every/2/beats*int64(p.number%beats)
}

var oneHeartbeat = []*Event{NewText(":\n\n")}

func (p *StreamSubscriber) Drain(bool) {}

func (p *StreamSubscriber) Closed() {
	s := p.s
	switch {
	case p.conn == nil: // the subscriber has another connection, or was handed over
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

func (p *StreamSubscriber) Gone() { p.s.loop.Count(-1) }

func (p *StreamSubscriber) network() string { return conn.Network(p.peer.Addr().String()) }

func (p *StreamSubscriber) client() *StreamClient {
	c := &StreamClient{Number: p.number, Port: p.peer.Port()}
	if p.peer.IsValid() {
		c.Address = p.peer.Addr().String()
	}
	if p.extra != nil {
		c.User, c.LastEventID = p.extra.user, p.extra.lastID
	}
	return c
}

func (p *StreamSubscriber) String() string {
	if p.peer.IsValid() && p.peer.Port() != 0 {
		return p.peer.String()
	}
	return cmp.Or(p.client().Address, p.conn.String())
}
