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
	"time"

	"github.com/redis/go-redis/v9"

	"fapws/cmd/fapws/process"
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

	// together is how many batches leave at once, and togetherBytes how many bytes of them but for a single one: on a slow line they have
	// to arrive within answerWithin.
	together      = 64
	togetherBytes = 256 << 10

	// mostOwn bounds the batches that were added and not read: reading may fail alone.
	mostOwn = 100_000
)

// Broker is the connection of a server to a broker, a Redis or Valkey whose stream connects the channels of several servers. It numbers the events
// in place of the supervisor. Its methods are safe for concurrent use. Only Start, History and Close wait, for some seconds at most.
//
// # Order
//
// A script in the broker (addScript) gives a batch of events its numbers and appends it to the stream, in one step. Every server,
// also the publisher, reads the stream and sends its clients the events that it finds there. So all servers have the same events
// in the same order, under the same ids: a client that comes back to another server with Last-Event-ID gets what it has missed.
//
// # A broker that is away
//
// Batches wait in memory, and leave in their order when the broker is back. A batch whose answer was lost is sent again, and the
// script refuses it if it is there: each server counts its batches. Reading goes on behind the last entry that was read. If the
// broker has lost its data, numbers go on with a distance above the last ones.
//
// The first connection is another matter: without a broker the next number is not known, so a server does not start without it. One that is
// upgraded knows it from the program before.
//
// # What is read
//
// Other programs may write to the broker, too. An entry that is none of fapws, or has numbers above those that the broker has given, is
// reported once and ignored (broker_read.go): later events would seem to be old ones. Numbers and ids that no more can follow are replaced
// (addScript). If the ids of the stream go back, the reader begins again, and skips the numbers that it knows.
//
// # Keys
//
// With the prefix fapws: {fapws}:events is the stream, {fapws}:state a hash with the epoch and the last number, and
// {fapws}:sent:NODE how many batches a server has added. The braces keep them together in a cluster.
type Broker struct {
	redis   redis.UniversalClient
	keys    []string // of addScript, without that of the node
	shown   string
	node    string // the name of this server among others
	epoch   string
	log     func(logfile.Level, string)
	ctx     context.Context // until Close
	cancel  context.CancelFunc
	ends    sync.WaitGroup
	deliver func(Batch)
	last    string // id of the last entry that was read; of readSome, as the two below
	old     string // id up to which entries with numbers that were read are not new: see rewind
	unsure  bool   // the broker may have lost the last entry
	warned  bool   // of entries that fapws did not write

	full bool // the broker has dropped events to make room; of writeSome

	mu      sync.Mutex
	seq     uint64 // the highest number that was read
	sent    uint64 // batches that were given their count
	waiting []pendingBatch
	own     []pendingBatch // without their events: those that were not read yet, at most mostOwn
	bytes   int            // of waiting
	events  int            // in waiting
	waited  int            // events that have waited; of this outage
	lost    int            // events that found no room; of this outage
	losses  int            // of all
	news    chan struct{}  // something waits
	away    time.Time      // since when the broker is away; zero: it is there
	failing [2]bool        // in which direction
}

// Place is a place in the events of a broker, behind one of them.
type Place struct {
	Entry string // where the broker has it
	Seq   uint64 // its number
}

// Batch is what a worker has published at once.
type Batch struct {
	Seq       uint64 // the number of the first event, from the broker
	N         int    // events
	Raw       []byte // the events, or with Purge the pattern
	ID        uint64 // of the message of a worker of this server
	Publisher int    // its process; 0: it was another server
	Entry     string // where the broker has it
	Purge     bool
}

// direction is one of the two uses of a broker. One may fail alone: a broker that is full, or only a copy of another one, is still read from.
type direction uint8

const (
	reading direction = iota
	writing
)

// pendingBatch is a Batch that waits.
type pendingBatch struct {
	Batch
	count uint64
}

// ConnectBroker connects to a broker. Its error is a line for the user. With the epoch of an earlier Broker, whose events go on, it does not wait
// for the broker, which may be away.
func ConnectBroker(a *BrokerAddress, epoch string, log func(logfile.Level, string)) (*Broker, error) {
	quiet()
	o := *a.options
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = answerWithin, answerWithin, answerWithin
	o.MaxRetries = -1
	o.PoolSize, o.MinIdleConns = 3, 0
	o.ContextTimeoutEnabled = true
	c := &Broker{redis: redis.NewUniversalClient(&o), keys: []string{"{" + a.prefix + "}:state", "{" + a.prefix + "}:events"}, shown: a.String(), node: rand.Text(), epoch: epoch, log: log,
		news: make(chan struct{}, 1)}
	c.keys = append(c.keys, "{"+a.prefix+"}:sent:"+c.node)
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

// begin agrees with other servers on the epoch, and finds out whether it may add events: those of no batch are there.
func (c *Broker) begin(ctx context.Context) error {
	own := strconv.FormatInt(time.Now().UnixMilli(), 36)
	if err := c.redis.HSetNX(ctx, c.keys[0], "epoch", own).Err(); err != nil {
		return err
	}
	var err error
	if c.epoch, err = c.redis.HGet(ctx, c.keys[0], "epoch").Result(); err != nil {
		return err
	}
	if !isEpoch(c.epoch) { // it is part of all ids
		return fmt.Errorf("the epoch in %s is not one of fapws: %.40q; delete the key, or choose another ?prefix=", c.keys[0], c.epoch)
	}
	return c.add([]pendingBatch{{}}, 0)
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

// Start begins to call deliver, on a goroutine, with the batches of all servers behind a place; the zero Place: from now on.
// The events of this server come back so, too. It returns the place.
func (c *Broker) Start(from Place, deliver func(Batch)) (Place, error) {
	if from.Entry == "" {
		var err error
		if from, err = c.tip(); err != nil {
			return from, fmt.Errorf("channels: %s: %s", c.shown, reason(err))
		}
	}
	c.deliver, c.last, c.seq, c.unsure = deliver, from.Entry, from.Seq, true
	c.ends.Go(func() { c.repeat(reading, c.readSome) })
	c.ends.Go(func() { c.repeat(writing, c.writeSome) })
	return from, nil
}

// repeat calls step until Close, with pauses while the broker is away.
func (c *Broker) repeat(in direction, step func() error) {
	var pause time.Duration
	for c.ctx.Err() == nil {
		err := step()
		if err == nil {
			pause = 0
			c.answered(in)
			continue
		}
		c.failed(in, err)
		pause = min(max(2*pause, againAfter), againAtMost)
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
		}
	}
}

// tip returns the place behind all that was published.
func (c *Broker) tip() (Place, error) {
	ctx, cancel := context.WithTimeout(c.ctx, connectWithin)
	defer cancel()
	at := Place{Entry: noEntry}
	var err error
	if at.Seq, err = c.lastNumber(ctx); err != nil { // first: entries between the two must have larger numbers
		return at, err
	}
	entries, err := c.redis.XRevRangeN(ctx, c.keys[1], "+", "-", 1).Result()
	if len(entries) > 0 {
		at.Entry = entries[0].ID
	}
	return at, err
}

// lastNumber returns the last number that any server has given to an event; 0: none, or it is unknown.
func (c *Broker) lastNumber(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	text, err := c.redis.HGet(ctx, c.keys[0], "seq").Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	seq, wrong := strconv.ParseUint(text, 10, 64)
	if err == nil && (wrong != nil || seq > maxSeq) {
		return 0, nil // addScript makes another one
	}
	return seq, err
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
}
