package live

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
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
	server StreamLoop
	conns  *conn.Set
	loop   *eventloop.Loop
	cfg    StreamConfig
	limits StreamLimits
	start  time.Time // of the time that the Fanout knows
	fanout *Fanout[*StreamSubscriber]
	format atomic.Pointer[eventFormat]

	live       int // subscribers with a descriptor
	joined     int // and those that are to get one
	addresses  map[netip.Addr]int32
	next       uint64 // the number of the next subscriber
	heartbeats heartbeatSchedule
	retry      *Event      // what a stream begins with: how long clients wait before they reconnect
	reported   int         // lines in the log since the last tick
	stay       bool        // retiring leaves subscribers alone
	retiring   bool        // the server takes no new clients
	ending     bool        // new subscribers are ended, as all others were
	restored   Decoder     // of ImportHistory
	pieces     conn.Pieces // scratch of put
	parts      [][]byte    // scratch of put, for streams
}

// eventFormat is what makes an event of a message. It does not change.
type eventFormat struct {
	epoch string
	limit int // bytes of the largest event
}

// NewSubscribers returns Subscribers of a server, whose connections are conns. Configure and Bind follow before anything else is called.
func NewSubscribers(server StreamLoop, conns *conn.Set) *Subscribers {
	s := &Subscribers{server: server, conns: conns, start: time.Now(), addresses: map[netip.Addr]int32{}, next: firstNumber()}
	s.fanout = NewFanout(HubOptions[*StreamSubscriber]{Give: s.send, Busy: func() bool { return s.loop.Busy() }, BatchBytes: batchBytes})
	s.format.Store(&eventFormat{epoch: MakeEpoch(s.start.UnixMilli())})
	return s
}

// Bind sets the loop that the subscribers belong to, and what makes it call Turn, soon, which has to be safe for concurrent use.
func (s *Subscribers) Bind(loop *eventloop.Loop, wake func()) {
	s.loop = loop
	s.fanout.WakeBy(wake)
}

// Configure replaces the Config and the Limits.
func (s *Subscribers) Configure(cfg StreamConfig, limits StreamLimits) {
	s.cfg, s.limits = cfg, limits
	s.fanout.Limit(ChannelLimits{
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
	s.heartbeats.configure(cfg.Heartbeat)
}

// Publish sends an event to all subscribers of its channel, and returns its number. With a seq other than 0, another process has given
// the event that number. Numbers grow; an event with a number that is not larger than
// that of one before has been sent already, and is not sent again. Publish does not wait. The error is one line, about the message, or
// live.ErrBacklog. It is safe for concurrent use.
func (s *Subscribers) Publish(seq uint64, m *Message) (uint64, error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	return s.fanout.Publish(seq, func(seq uint64) (*Event, error) { return s.format.Load().event(m, seq) })
}

// event makes the event of a message that was checked.
func (f *eventFormat) event(m *Message, seq uint64) (*Event, error) {
	e := NewEvent(m, seq, f.epoch)
	if size := len(e.Text()); size > f.limit {
		return nil, fmt.Errorf("an event has %d bytes; the maximum is %d", size, f.limit)
	}
	return e, nil
}

// Take takes the published events: subscribers that join from now on do not get it.
func (s *Subscribers) Take() { s.fanout.Take(s.now()) }

// Turn gives events to subscribers. It does not take long, and asks for another turn if there is more.
func (s *Subscribers) Turn() { s.fanout.Turn(s.now()) }

// Live returns the number of subscribers, of any channel.
func (s *Subscribers) Live() int { return s.live }

// Waiting returns the bytes of published events that have not been given to all subscribers. It is safe for concurrent use.
func (s *Subscribers) Waiting() int64 { return s.fanout.Waiting() }

// Counts returns the number of subscribers of each channel. It must not be called on the loop.
func (s *Subscribers) Counts() map[string]int {
	counts := map[string]int{}
	s.server.Do(func() {
		s.fanout.Channels(func(c *Channel[*StreamSubscriber]) { counts[c.Name] = len(c.Subscribers) })
	})
	return counts
}

// Streams returns the number of subscribers of a channel that have got all of their handler's response.
func (s *Subscribers) Streams(name string) (n int) {
	if c := s.fanout.Of(name); c != nil {
		for _, p := range c.Subscribers {
			if p.state != joining {
				n++
			}
		}
	}
	return n
}

// Tick is to be called on every tick while there are clients.
func (s *Subscribers) Tick() {
	s.fanout.Expire(s.now())
	s.beat()
	s.dropSlow()
	if s.reported > mostNamed {
		s.server.Log(logfile.Warning, "", fmt.Sprintf("%d more subscribers were dropped or refused", s.reported-mostNamed))
	}
	s.reported = 0
}

// ExcludeBlockedTime lets subscribers not be slow for the time in which the loop did not write to them.
func (s *Subscribers) ExcludeBlockedTime() {
	for p := range s.fanout.Lagging {
		p.queue.stamp = s.conns.Now
	}
}

// report logs a line about a client, unless there are too many.
func (s *Subscribers) report(level logfile.Level, client, line string) {
	if s.mayReport() {
		s.server.Log(level, client, line)
	}
}

// mayReport reports whether one more line about a client may be logged.
func (s *Subscribers) mayReport() bool {
	s.reported++
	return s.reported <= mostNamed
}

// now is the time for the Fanout, of which events may come while no client is connected
// and the time of the loop stands still.
func (s *Subscribers) now() int64 { return int64(time.Since(s.start)) }

// counted reports the sizes of channels.
func (s *Subscribers) counted(names []string) {
	if s.cfg.Counted == nil {
		return
	}
	for _, name := range names {
		s.cfg.Counted(name, s.fanout.Count(name))
	}
}

// StreamSubscriber is a client of channels. There may be very many that do nothing, so it has nothing but this struct and a
// descriptor that the loop watches. It belongs to the loop.
type StreamSubscriber struct {
	s        *Subscribers
	watch    eventloop.Watch // its descriptor; none: it has a stream, or the connection of its request still writes what the handler gave
	minor    uint8           // HTTP/1.minor
	state    state
	input    uint16 // bytes the client has sent, which it should not
	port     uint16
	slot     int16  // of heartbeatSchedule
	beat     int32  // its place there
	active   int32  // ticks of Host.Now when something was sent last
	started  uint32 // seconds since 1970
	framed   uint32 // bytes of the response that are not its body
	sent     int64  // bytes of the body
	position Position[*StreamSubscriber]
	addr     netip.Addr
	queue    *queue // what it has not taken; nil: nothing
	log      *logfile.Record
	extra    *extra
	number   uint64
}

// extra is what most subscribers do not have.
type extra struct {
	user, lastID string
	stream       *stream
}

// stream returns the stream of p, nil if it has a descriptor.
func (p *StreamSubscriber) stream() *stream {
	if p.extra == nil {
		return nil
	}
	return p.extra.stream
}

// onRoom is called when the stream of p has room again.
func (p *StreamSubscriber) onRoom() {
	if p.state != gone {
		p.s.room(p)
	}
	p.s.fanout.Continue()
}

// onGone is called when the stream of p has ended by itself.
func (p *StreamSubscriber) onGone(why string) {
	if p.state != gone {
		p.s.conns.Tracef("%s unsubscribed: %s", p, why)
		p.s.leaveStream(p)
	}
}

type state uint8

const (
	joining state = iota // see Subscriber.watch
	idle                 // it has taken everything
	behind               // it has not
	ending               // and when it has, it is closed
	gone
)

// queue is what waits until a subscriber takes it. Events are shared by all.
type queue struct {
	events []*Event
	off    int   // bytes of events[0] that were taken
	bytes  int   // of events of a batch, which are bounded
	free   int   // how many in front are not: what it joined with
	stamp  int64 // conn.Set.Now when it took something last
}

// Position implements live.Subscriber.
func (p *StreamSubscriber) Position() *Position[*StreamSubscriber] { return &p.position }

// firstNumber returns the number of this process's first subscriber.
func firstNumber() uint64 { return uint64(os.Getpid())<<30 + 1 }

// Ready implements eventloop.Handler.
func (p *StreamSubscriber) Ready(r eventloop.Readiness) {
	s := p.s
	if r&(eventloop.Readable|eventloop.MaybeGone) != 0 {
		s.read(p)
	}
	if r&eventloop.Writable != 0 && p.state != gone {
		s.room(p)
	}
	s.fanout.Continue()
}

// maxInput bounds what a subscriber may send, in bytes; there is no use in any of it.
const maxInput = 16 << 10

// read takes what a subscriber has sent: nothing that counts, but its end.
func (s *Subscribers) read(p *StreamSubscriber) {
	var buf [4 << 10]byte
	for {
		n, err := conn.Receive(p.watch.Fd(), buf[:])
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil:
			s.end(p, err.Error())
			return
		case n == 0:
			s.end(p, "the client has disconnected")
			return
		case int(p.input)+n > maxInput:
			s.drop(p, "has sent more than a request")
			return
		default:
			p.input += uint16(n)
		}
	}
}

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
	switch {
	case c.Address == "":
		return "unix client " + strconv.Itoa(p.watch.Fd())
	case c.Port == "":
		return c.Address
	}
	return net.JoinHostPort(c.Address, c.Port)
}

// addressKey is what counts as one client: of IPv6 a network, as each client
// has one.
func addressKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if network, err := a.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return a
}

// heartbeatSchedule has the subscribers by when they get their heartbeats: a slot in each tick,
// so that they do not all come at once.
type heartbeatSchedule struct {
	slots [][]*StreamSubscriber
	next  int   // slot of the next subscriber
	tick  int64 // whose slot was done last
}

var heartbeat = NewText(":\n\n")

func (b *heartbeatSchedule) configure(every time.Duration) {
	n := int(max(1, min(int64(every)/eventloop.Tick, 1<<14)))
	if b.slots == nil {
		b.slots = make([][]*StreamSubscriber, n)
		return
	}
	var all []*StreamSubscriber
	for _, slot := range b.slots {
		all = append(all, slot...)
	}
	b.slots = make([][]*StreamSubscriber, n)
	for _, p := range all {
		b.add(p)
	}
}

func (b *heartbeatSchedule) add(p *StreamSubscriber) {
	b.next = (b.next + 1) % len(b.slots)
	p.slot, p.beat = int16(b.next), int32(len(b.slots[b.next]))
	b.slots[b.next] = append(b.slots[b.next], p)
}

// all yields all subscribers, which may be removed meanwhile.
func (b *heartbeatSchedule) all(yield func(*StreamSubscriber) bool) {
	for _, slot := range b.slots {
		for i := len(slot) - 1; i >= 0; i-- {
			if !yield(slot[i]) {
				return
			}
		}
	}
}

func (b *heartbeatSchedule) remove(p *StreamSubscriber) {
	slot := b.slots[p.slot]
	moved := slot[len(slot)-1]
	slot[p.beat], moved.beat = moved, p.beat
	slot[len(slot)-1] = nil
	b.slots[p.slot] = slot[:len(slot)-1]
}

// ticks returns a time of the loop in ticks, which is below zero before its start.
func ticks(now int64) int32 { return int32(now / eventloop.Tick) }

// beat sends heartbeats to those whose time has come and to whom nothing else was
// sent lately.
func (s *Subscribers) beat() {
	b := &s.heartbeats
	now := s.conns.Now / eventloop.Tick
	if s.live == 0 {
		b.tick = now
		return
	}
	b.tick = max(b.tick, now-int64(len(b.slots)))
	recent := ticks(s.conns.Now - int64(s.cfg.Heartbeat)/2)
	for b.tick < now {
		b.tick++
		slot := &b.slots[b.tick%int64(len(b.slots))]
		for i := len(*slot) - 1; i >= 0; i-- {
			if p := (*slot)[i]; p.state == idle && p.active < recent {
				s.send(p, oneHeartbeat)
			}
		}
	}
}

var oneHeartbeat = []*Event{heartbeat}
