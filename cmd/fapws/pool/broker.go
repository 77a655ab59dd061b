package pool

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"fapws/cmd/fapws/process"
	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

const (
	// connectWithin bounds the first connection.
	connectWithin = 10 * time.Second

	// answerWithin bounds each request but those that wait for events.
	answerWithin = 5 * time.Second

	// readFor is how long a request waits for events.
	readFor = 5 * time.Second

	// againAfter and againAtMost are the pauses while the broker is away.
	againAfter  = 100 * time.Millisecond
	againAtMost = 2 * time.Second

	// muchPending is how many bytes may wait before publishers are delayed, and mostPending before events are lost.
	muchPending = 16 << 20
	mostPending = 64 << 20

	// mostTogether is how many batches leave at once, and togetherBytes how many bytes of them but for a single one: on a slow line they have
	// to arrive within answerWithin.
	mostTogether  = 64
	togetherBytes = 256 << 10
)

// Broker is the connection of a server to a broker, a Redis or Valkey whose stream connects the channels of several servers. It numbers the events
// in place of the supervisor. Its methods are safe for concurrent use. Only History and Close wait, for some seconds at most.
//
// # Order
//
// A script in the broker (addScript) gives a batch of events its numbers and appends it to the stream, in one step; the id of an entry is the
// number of its last event. Every server, also the publisher, reads the stream and sends its clients the events that it finds there. So all
// servers have the same events in the same order, under the same ids: a client that comes back to another server with Last-Event-ID gets what
// it has missed.
//
// # A broker that is away
//
// Batches wait in memory, and leave in their order when the broker is back. A batch whose answer was lost is sent again, and the
// script refuses it if it is there: each server counts its batches. Reading goes on behind the last number that was read. If the
// broker has lost its data, the first server that notices has numbers go on with a distance above the last ones (placeScript).
//
// The first connection is another matter: without a broker the last number is not known, so a server does not start without it. One that is
// upgraded knows it from the program before.
//
// # What is read
//
// Other programs may write to the broker, too. An entry that is none of fapws is reported once and ignored; numbers go on behind its id.
// If no more can follow, the stream begins again.
//
// # Keys
//
// With the prefix fapws: {fapws}:events is the stream, {fapws}:state a hash with the epoch, and
// {fapws}:sent:NODE how many batches a server has added. The braces keep them together in a cluster.
type Broker struct {
	redis   redis.UniversalClient
	keys    []string // of addScript
	shown   string
	node    string // the name of this server among others
	epoch   string
	log     func(logfile.Level, string)
	ctx     context.Context // until Close
	cancel  context.CancelFunc
	ends    sync.WaitGroup // of reading
	waiting *eventloop.Queue[Batch]
	deliver func(Batch)
	unsure  bool           // the broker may have lost the last entry; of readSome
	warned  bool           // of entries that fapws did not write; of readSome
	gaps    logfile.Seldom // lines about missing events, which other programs can cause

	full bool // the broker has dropped events to make room; of write

	seq atomic.Uint64 // the last number that was read; changed by readSome

	mu      sync.Mutex
	sent    uint64    // batches that were given their count
	bytes   int       // that wait
	batches int       // that wait
	events  int       // in them
	waited  int       // events that have waited; of this outage
	lost    int       // events that found no room; of this outage
	losses  int       // of all
	away    time.Time // since when the broker is away; zero: it is there
	failing [2]bool   // in which direction
}

// Batch is what a worker has published at once.
type Batch struct {
	Seq       uint64 // the number of the first event, from the broker
	N         int    // events
	Raw       []byte // the events, or with Purge the pattern
	ID        uint64 // of the message of a worker of this server
	Publisher int    // its process; 0: it was another server
	Purge     bool
	count     uint64 // of batches of this server up to this one
}

// direction is one of the two uses of a broker. One may fail alone: a broker that is full, or only a copy of another one, is still read from.
type direction uint8

const (
	reading direction = iota
	writing
)

// ConnectBroker connects to a broker. Its error is a line for the user. With the epoch and the last number of an earlier Broker, whose events go
// on, it does not wait for the broker, which may be away.
func ConnectBroker(a *BrokerAddress, epoch string, last uint64, log func(logfile.Level, string)) (*Broker, error) {
	quiet()
	o := *a.options
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = answerWithin, answerWithin, answerWithin
	o.MaxRetries = -1
	o.PoolSize, o.MinIdleConns = 3, 0
	o.ContextTimeoutEnabled = true
	node, prefix := rand.Text(), "{"+a.prefix+"}:"
	c := &Broker{redis: redis.NewUniversalClient(&o), keys: []string{prefix + "events", prefix + "state", prefix + "sent:" + node}, shown: a.String(), node: node,
		epoch: epoch, unsure: true, log: log}
	c.seq.Store(last)
	c.waiting = eventloop.NewQueue(c.write)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if epoch != "" {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, connectWithin)
	defer cancel()
	if err := c.begin(ctx); err != nil {
		why := reason(err)
		if o.MasterName != "" {
			why = cmp.Or(askSentinels(ctx, &o), why)
		}
		c.cancel()
		c.redis.Close()
		return nil, fmt.Errorf("channels: cannot reach %s: %s", c.shown, why)
	}
	return c, nil
}

// quiet keeps go-redis from writing lines of its own; errors come as results.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// begin agrees with other servers on the epoch, finds out whether it may add events, and begins behind all that was published.
func (c *Broker) begin(ctx context.Context) error {
	own := strconv.FormatInt(time.Now().UnixMilli(), 36)
	if err := c.redis.HSetNX(ctx, c.keys[1], "epoch", own).Err(); err != nil {
		return err
	}
	var err error
	if c.epoch, err = c.redis.HGet(ctx, c.keys[1], "epoch").Result(); err != nil {
		return err
	}
	if !isEpoch(c.epoch) { // it is part of all ids
		return fmt.Errorf("the epoch in %s is not one of fapws: %.40q; delete the key, or choose another ?prefix=", c.keys[1], c.epoch)
	}
	if err := c.add([]Batch{{}}, 0); err != nil { // those of no batch are there
		return err
	}
	last, err := c.place(0)
	c.seq.Store(last)
	return err
}

// String returns the URL, without a password.
func (c *Broker) String() string { return c.shown }

// Epoch tells numbers from those of another broker.
func (c *Broker) Epoch() string { return c.epoch }

// isEpoch reports whether a text may be an epoch: a number with digits and letters.
func isEpoch(text string) bool {
	_, err := strconv.ParseUint(text, 36, 63)
	return err == nil && strings.ToLower(text) == text
}

// Start begins to call deliver, on a goroutine, with the batches of all servers behind the last number, which it returns.
// The events of this server come back so, too.
func (c *Broker) Start(deliver func(Batch)) (last uint64) {
	c.deliver, last = deliver, c.seq.Load()
	c.ends.Go(func() {
		for c.ctx.Err() == nil {
			c.try(reading, c.readSome)
		}
	})
	return last
}

// try calls step until it succeeds, with pauses while the broker is away, or until Close.
func (c *Broker) try(in direction, step func() error) {
	for pause := againAfter; c.ctx.Err() == nil; pause = min(2*pause, againAtMost) {
		err := step()
		if err == nil {
			c.answered(in)
			return
		}
		c.failed(in, err)
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
		}
	}
}

// reason returns an error of the broker as a user needs it.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case isLogin(err):
		return err.Error() + " (give redis://USER:PASSWORD@HOST, or redis://:PASSWORD@HOST without a user)"
	}
	return process.ExitPlain(err).Error()
}

// isLogin reports whether the user or the password is the reason of an error.
func isLogin(err error) bool {
	return redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "NOPERM")
}

// failed notes that the broker is away.
func (c *Broker) failed(in direction, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing[in] = true
	if !c.away.IsZero() || c.ctx.Err() != nil {
		return
	}
	c.away = time.Now()
	c.log(logfile.Error, fmt.Sprintf("channels: %s is away (%s); events wait for it, up to %d MB", c.shown, reason(err), mostPending>>20))
}

// answered notes that the broker is there, unless the other direction fails.
func (c *Broker) answered(in direction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing[in] = false
	if c.away.IsZero() || c.failing[1-in] {
		return
	}
	line := fmt.Sprintf("channels: %s is back after %v; %s waited", c.shown, time.Since(c.away).Round(100*time.Millisecond), Count(c.waited, "event"))
	level := logfile.Info
	if c.lost > 0 {
		line += fmt.Sprintf(", %s found no room and are lost", Count(c.lost, "event"))
		level = logfile.Error
	}
	c.log(level, line)
	c.away, c.waited, c.lost = time.Time{}, 0, 0
}

// BrokerState is how a Broker is.
type BrokerState struct {
	Away    time.Duration // how long the broker has been away; 0: it is there
	Waiting int           // events that wait for it
	Lost    int           // events that found no room, since the start
}

// State returns how c is.
func (c *Broker) State() BrokerState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := BrokerState{Waiting: c.events, Lost: c.losses}
	if !c.away.IsZero() {
		s.Away = max(1, time.Since(c.away))
	}
	return s
}

// Close waits until Idle, but not beyond limit, and ends the connection.
func (c *Broker) Close(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end) && !c.Idle(); {
		time.Sleep(10 * time.Millisecond)
	}
	if s := c.State(); s.Waiting > 0 {
		c.log(logfile.Error, fmt.Sprintf("channels: %s had no answer for %s, which are lost", c.shown, Count(s.Waiting, "event")))
	}
	c.cancel()
	_ = c.redis.Close()
	c.ends.Wait()
	c.waiting.Close()
}
