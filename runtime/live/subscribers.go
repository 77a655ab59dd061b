package live

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
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
	host   StreamHost
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
	retry      *Event        // what a stream begins with: how long clients wait before they reconnect
	reported   int           // lines in the log since the last tick
	stay       bool          // retiring leaves subscribers alone
	retiring   bool          // the server takes no new clients
	ending     bool          // new subscribers are ended, as all others were
	restored   Decoder       // of ImportHistory
	pieces     system.Pieces // scratch of put
	parts      [][]byte      // scratch of put, for streams
}

// eventFormat is what makes an event of a message. It does not change.
type eventFormat struct {
	epoch string
	limit int // bytes of the largest event
}

// NewSubscribers returns Subscribers of a server. Configure and Bind follow before anything else is called.
func NewSubscribers(host StreamHost) *Subscribers {
	s := &Subscribers{host: host, start: time.Now(), addresses: map[netip.Addr]int32{}, next: firstNumber()}
	s.fanout = NewFanout(HubOptions[*StreamSubscriber]{Give: s.send, Busy: func() bool { return s.loop.Busy() }, BatchBytes: batchBytes})
	s.format.Store(&eventFormat{epoch: MakeEpoch(s.start.UnixMilli())})
	return s
}

// Bind sets the loop that the subscribers belong to, and what makes it call Turn soon, which has to be safe for concurrent use.
func (s *Subscribers) Bind(loop *eventloop.Loop, wake func()) {
	s.loop = loop
	s.fanout.WakeBy(wake)
}

// Configure replaces the Config, which has its defaults, and the Limits.
func (s *Subscribers) Configure(cfg StreamConfig, limits StreamLimits) {
	s.cfg, s.limits = cfg, limits
	s.fanout.Limit(ChannelLimits{
		Events: max(cfg.History, 0),
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

// Check returns the error that Publish would return for a message, but not live.ErrBacklog. It is safe for concurrent use.
func (s *Subscribers) Check(m *Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	_, err := s.format.Load().event(m, 1<<63)
	return err
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

// Turn gives events to subscribers, if some wait. It does not take long, and has the loop woken if it has to be called again.
func (s *Subscribers) Turn() {
	if s.fanout.Pending() {
		s.fanout.Turn(s.now())
	}
}

// Live returns the number of subscribers, of any channel.
func (s *Subscribers) Live() int { return s.live }

// Waiting returns the bytes of published events that have not been given to all subscribers. It is safe for concurrent use.
func (s *Subscribers) Waiting() int64 { return s.fanout.Waiting() }

// Counts returns the number of subscribers of each channel. It must not be called on the loop.
func (s *Subscribers) Counts() map[string]int {
	counts := map[string]int{}
	s.host.Do(func() {
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
		s.host.Log(logfile.Warning, "", fmt.Sprintf("%d more subscribers were dropped or refused", s.reported-mostNamed))
	}
	s.reported = 0
}

// ExcludeBlockedTime lets subscribers not be slow for the time in which the loop did not write to them.
func (s *Subscribers) ExcludeBlockedTime() {
	for p := range s.fanout.Lagging {
		p.queue.stamp = s.host.Now()
	}
}

// report logs a line about a client, unless there are too many.
func (s *Subscribers) report(level logfile.Level, client, line string) {
	if s.mayReport() {
		s.host.Log(level, client, line)
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
