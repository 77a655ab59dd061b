package pool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"fapws/cmd/fapws/process"
	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

const (
	connectWithin = 10 * time.Second

	answerWithin = 5 * time.Second

	// readFor is the time after which a server without messages asks the broker whether it has missed some.
	readFor = 5 * time.Second

	againAfter  = 100 * time.Millisecond
	againAtMost = 2 * time.Second

	// Above muchPending queued bytes, publishers are delayed; above mostPending, new events are dropped.
	muchPending = 16 << 20
	mostPending = 64 << 20

	// mostTogether and togetherBytes limit the batches of one request. The limits are small enough that a request
	// succeeds within answerWithin on a slow network; a single larger batch is sent alone.
	mostTogether  = 64
	togetherBytes = 256 << 10
)

// Broker connects a server to Redis or Valkey. The broker numbers the events; without a broker, the supervisor numbers
// them. The methods of Broker are safe for concurrent use. Only the methods History and Close block, for at most a few
// seconds.
//
// # Order
//
// The id of an entry of the stream is the number of its last event. The broker sends each new entry to every server,
// including the publisher, as a message of a channel (PUBLISH), and each server sends the events to its clients. If the
// number of a message does not follow the last one, the server reads the stream, as it does after it has connected. All
// servers therefore have the same events in the same order with the same ids: a client that reconnects to another server
// with Last-Event-ID receives the events that it missed.
//
// # Outages
//
// During an outage, batches stay in memory, to be sent in order afterwards. A batch whose response was lost is sent
// again. Each server counts its batches, so that the script can reject a batch that was already added. After an outage,
// reading continues with the event that follows the last event that was read. If the broker has lost its data, the
// first server that notices the loss skips some numbers, so that no number is used twice (placeScript).
//
// The server does not start while the broker is unreachable, because the last event number is unknown.
//
// # Foreign entries
//
// Programs other than fapws can also write to the stream; the first foreign entry is logged. All foreign entries are
// ignored, but the next event number is larger than their ids. If an id exceeds maxSeq, the stream is deleted and
// starts again.
//
// # Keys
//
// With the prefix fapws, the key {fapws}:events is the stream, and the channel has the same name; {fapws}:state is a hash
// with the epoch and the last number, and {fapws}:sent:NODE counts the batches that a server has added. {fapws}:counts
// and {fapws}:counts:NODE are the numbers of subscribers, which expire (broker_counts.go). The braces keep the keys on
// one node of a cluster.
type Broker struct {
	address *BrokerAddress
	lines   [2]brokerLine // for reading the stream and for writing
	// subscription is the line for messages. It is used on the goroutine of Start, as lines[reading] is.
	subscription brokerLine
	keys         []string
	shown        string
	node         string // a random name of this server
	epoch        string
	log          func(logfile.Level, string)
	ctx          context.Context
	cancel       context.CancelFunc
	ends         sync.WaitGroup
	waiting      *eventloop.Queue[Batch]
	deliver      func([]Batch)
	warned       sync.Once // logs the first entry that fapws did not write
	// limits log lines about missing events, because any program with access to the broker can cause them
	gaps logfile.Seldom

	counts serverCounts // used on one goroutine at a time

	full sync.Once // logs that the broker was out of memory and has dropped old events

	seq   atomic.Uint64 // number of the last event that was read from the broker
	bytes atomic.Int64  // of the batches that wait for the broker

	mu      sync.Mutex
	sent    uint64
	events  int
	waited  int
	lost    int       // number of events lost during the current outage
	losses  int       // number of events lost since the server started
	away    time.Time // start of the current outage; zero if the broker is reachable
	failing [2]bool
}

type Batch struct {
	Seq uint64 // number of the first event, assigned by the broker
	N   int
	Raw []byte // the events, or the pattern of cached responses to remove if Purge is true
	// ID of the message in which a worker of this server sent the batch
	ID        uint64
	Publisher int // process ID of the worker; 0 if another server published it
	Purge     bool
	// number of batches that this server has published, including this one
	count uint64
}

// direction distinguishes reads from writes, because writes can fail while reads succeed: a full broker or a read-only
// replica can still be read.
type direction uint8

const (
	reading direction = iota
	writing
)

// If epoch is not empty, the Broker continues with the epoch and the last event number of an earlier Broker, and
// ConnectBroker succeeds even if the broker is unreachable. The text of the error is a message for the user of the
// server.
func ConnectBroker(a *BrokerAddress, epoch string, last uint64, log func(logfile.Level, string)) (*Broker, error) {
	node := rand.Text()
	c := &Broker{address: a, lines: [2]brokerLine{reading: {patience: readFor + answerWithin},
		writing: {patience: answerWithin}}, keys: []string{a.key("events"), a.key("state"), a.key("sent:" + node)},
		counts: serverCounts{line: brokerLine{patience: answerWithin}, stale: make(chan struct{}, 1)}, shown: a.String(), node: node, epoch: epoch, log: log}
	c.subscription = brokerLine{patience: readFor + answerWithin, prepare: c.subscribe}
	c.seq.Store(last)
	c.waiting = eventloop.NewQueue(c.write)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if epoch != "" {
		return c, nil
	}
	late := time.AfterFunc(connectWithin, c.cancel)
	err := c.begin()
	if !late.Stop() {
		err = context.DeadlineExceeded
	}
	if err != nil {
		c.cancel()
		return nil, fmt.Errorf("channels: cannot reach %s: %s", c.shown, reason(err))
	}
	return c, nil
}

// begin reads the epoch from the broker. All servers that use the broker share this epoch; the first server sets it.
// begin also checks the permission to add events, and reads the number of the last published event.
func (c *Broker) begin() error {
	own := strconv.FormatInt(time.Now().UnixMilli(), 36)
	err := c.lines[writing].use(c.ctx, c.address, func(conn redis.Conn) (err error) {
		if _, err = conn.Do("HSETNX", c.keys[1], "epoch", own); err == nil {
			c.epoch, err = redis.String(conn.Do("HGET", c.keys[1], "epoch"))
		}
		return err
	})
	if err != nil {
		return err
	}
	if !isEpoch(c.epoch) { // Clients receive the epoch as a part of event ids, so it must be valid.
		return fmt.Errorf("the epoch in %s is not one of fapws: %.40q; delete the key, or choose another ?prefix=",
			c.keys[1], c.epoch)
	}
	if err := c.add([]Batch{{}}, 0); err != nil { // Adding an empty batch tests the permission.
		return err
	}
	return c.lines[writing].use(c.ctx, c.address, func(conn redis.Conn) error {
		last, err := place(conn, c.keys[0], 0)
		c.seq.Store(last)
		return err
	})
}

func (c *Broker) String() string { return c.shown }

// The event numbers of different epochs are not comparable.
func (c *Broker) Epoch() string { return c.epoch }

// isEpoch reports whether text has the form of an epoch: a lower-case number in base 36.
func isEpoch(text string) bool {
	_, err := strconv.ParseUint(text, 36, 63)
	return err == nil && strings.ToLower(text) == text
}

// Start returns the number of the last event. Start calls deliver on a separate goroutine with the later batches, in
// order, of all servers including this server.
func (c *Broker) Start(deliver func([]Batch)) (last uint64) {
	c.deliver, last = deliver, c.seq.Load()
	c.ends.Go(func() {
		for c.ctx.Err() == nil {
			c.try(reading, c.readSome)
		}
	})
	return last
}

// try calls step, with growing pauses, until step succeeds or Close is called.
func (c *Broker) try(dir direction, step func() error) {
	for pause := againAfter; c.ctx.Err() == nil; pause = min(2*pause, againAtMost) {
		err := step()
		if err == nil {
			c.answered(dir)
			return
		}
		c.failed(dir, err)
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
		}
	}
}

func reason(err error) string {
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		return "no answer in time"
	case strings.Contains(err.Error(), "publish"): // the error of a script has no code
		return err.Error() + " (allow the user the channels: ACL SETUSER NAME '&{fapws}:*', or the prefix of the URL)"
	case isLogin(err):
		return err.Error() + " (give redis://USER:PASSWORD@HOST, or redis://:PASSWORD@HOST without a user)"
	case hasPrefix(err, "MOVED"):
		return err.Error() + " (give redis+cluster://HOST:PORT,HOST:PORT, because this is a node of a cluster)"
	}
	return process.ExitPlain(err).Error()
}

// isLogin reports whether the broker refused a command for lack of a login or of permissions. Redis answers commands of
// more than ten words with a protocol error instead of NOAUTH, because it limits the size of commands before a login.
func isLogin(err error) bool {
	return hasPrefix(err, "WRONGPASS") || hasPrefix(err, "NOAUTH") || hasPrefix(err, "NOPERM") ||
		hasPrefix(err, "ERR") && strings.Contains(err.Error(), "unauthenticated")
}

func (c *Broker) failed(dir direction, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing[dir] = true
	if !c.away.IsZero() || c.ctx.Err() != nil {
		return
	}
	c.away = time.Now()
	c.log(logfile.Error, fmt.Sprintf("channels: %s is away (%s); events wait for it, up to %d MB", c.shown, reason(err),
		mostPending>>20))
}

// answered ends the outage after a successful read or write, unless requests in the opposite direction still fail.
func (c *Broker) answered(dir direction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing[dir] = false
	if c.away.IsZero() || c.failing[1-dir] {
		return
	}
	// Unlike c.events, c.waited may lack the events of a write that began before the outage.
	waited := max(c.waited, c.events)
	line := fmt.Sprintf("channels: %s is back after %v; %s waited", c.shown,
		time.Since(c.away).Round(100*time.Millisecond), Count(waited, "event"))
	level := logfile.Info
	if c.lost > 0 {
		line += fmt.Sprintf(", %s found no room and are lost", Count(c.lost, "event"))
		level = logfile.Error
	}
	c.log(level, line)
	c.away, c.waited, c.lost = time.Time{}, 0, 0
}

type BrokerState struct {
	// duration of the current outage; 0 if the broker is reachable
	Away    time.Duration
	Waiting int
	Lost    int
}

func (c *Broker) State() BrokerState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := BrokerState{Waiting: c.events, Lost: c.losses}
	if !c.away.IsZero() {
		s.Away = max(1, time.Since(c.away))
	}
	return s
}

// Close closes the connection when the queue is empty, or after the duration limit at the latest.
func (c *Broker) Close(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end) && !c.Idle(); {
		time.Sleep(10 * time.Millisecond)
	}
	if s := c.State(); s.Waiting > 0 {
		c.log(logfile.Error, fmt.Sprintf("channels: %s had no answer for %s, which are lost", c.shown,
			Count(s.Waiting, "event")))
	}
	c.withdrawCounts()
	c.cancel() // also closes the connections
	c.ends.Wait()
	c.waiting.Close()
}
