package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"fapws/runtime/logfile"
)

// noEntry is the id before the first entry.
const noEntry = "0-0"

var (
	errEntry  = errors.New("it was not written by fapws")
	errNumber = errors.New("no server has given this number to an event")
)

// parseBatch reads an entry of the stream, which anyone may have written who may write to the broker: the server that has published it, and
// how many batches that had published.
func parseBatch(entry redis.XMessage) (b Batch, from string, count uint64, err error) {
	text := func(name string) string {
		s, _ := entry.Values[name].(string)
		return s
	}
	number := func(name string) uint64 {
		n, e := strconv.ParseUint(text(name), 10, 63)
		if e != nil {
			err = errEntry
		}
		return n
	}
	b = Batch{Seq: number("seq"), N: int(number("n")), Raw: []byte(text("raw")), Purge: text("kind") == "purge"}
	count = number("count")
	if b.Seq == 0 || b.Seq > 2*maxSeq || b.Purge != (b.N == 0) || b.N < 0 || b.N > 1<<20 || len(b.Raw) == 0 || len(b.Raw) > maxEvents {
		err = errEntry
	}
	return b, text("from"), count, err
}

// last is the number of the last event; of a purge, that of the event before it.
func (b *Batch) last() uint64 { return b.Seq + uint64(b.N) - 1 }

// check returns an error if b has numbers above that of the last event, 0: that is unknown. Later events would seem to be old ones.
func (b *Batch) check(last uint64) error {
	if last > 0 && b.last() > last {
		return errNumber
	}
	return nil
}

// compareIDs compares the ids of two entries; "" is before all.
func compareIDs(a, b string) int {
	x, i := cutID(a)
	y, j := cutID(b)
	return cmp.Or(cmp.Compare(x, y), cmp.Compare(i, j))
}

// cutID returns the two numbers of an id: milliseconds, and a count of entries in the same one.
func cutID(id string) (millis, n uint64) {
	one, other, _ := strings.Cut(id, "-")
	millis, _ = strconv.ParseUint(one, 10, 64)
	n, _ = strconv.ParseUint(other, 10, 64)
	return millis, n
}

// before returns the largest id before another one.
func before(id string) string {
	millis, n := cutID(id)
	if n--; n == math.MaxUint64 {
		millis--
	}
	return strconv.FormatUint(millis, 10) + "-" + strconv.FormatUint(n, 10)
}

const (
	// readAtOnce is how many entries a request reads at most.
	readAtOnce = 64

	// historyEntries and historyBytes are how many entries make the history of a server that starts: a worker keeps no more.
	historyEntries = 1000
	historyBytes   = 16 << 20
)

// readSome waits for entries and hands them over.
func (c *Broker) readSome() error {
	wait := readFor
	if c.unsure {
		if err := c.rewind(); err != nil {
			return err
		}
		wait = -1 // so that it is known at once whether the broker answers
	}
	ctx, cancel := context.WithTimeout(c.ctx, readFor+answerWithin)
	streams, err := c.redis.XRead(ctx, &redis.XReadArgs{Streams: []string{c.keys[1], c.last}, Count: readAtOnce, Block: wait}).Result()
	cancel()
	nothing := errors.Is(err, redis.Nil)
	if c.unsure = err != nil && !(nothing && wait < 0); err != nil && !nothing {
		return err
	}
	for _, stream := range streams {
		for _, entry := range stream.Messages {
			if err := c.take(entry); err != nil {
				c.unsure = true
				return err
			}
		}
	}
	return nil
}

// take hands over an entry. After an error it can be taken again.
func (c *Broker) take(entry redis.XMessage) error {
	b, from, count, wrong := parseBatch(entry)
	if wrong == nil && b.Seq > c.seq+1 {
		last, err := c.lastNumber(c.ctx)
		if err != nil {
			return err
		}
		if wrong = b.check(last); wrong == nil {
			c.reportGap(b.Seq)
		}
	}
	c.last = entry.ID
	switch {
	case wrong != nil:
		c.reportForeign(entry.ID, wrong)
		return nil
	case b.Seq <= c.seq && compareIDs(entry.ID, c.old) <= 0: // it was read before
		return nil
	}
	b.Entry = entry.ID
	own := from == c.node
	c.mu.Lock()
	if b.Seq <= c.seq && !b.Purge { // the broker has lost its data, and a server that knows no number has published
		b.Seq = c.seq + 1
	}
	c.seq = max(c.seq, b.last())
	if own {
		b.ID, b.Publisher = c.published(count)
	}
	c.mu.Unlock()
	if !b.Purge || !own { // the other workers know
		c.deliver(b)
	}
	return nil
}

// reportGap logs that entries did not come before the one with the number seq.
func (c *Broker) reportGap(seq uint64) {
	if c.seq > 0 {
		c.log(logfile.Warning, fmt.Sprintf("channels: events %d to %d may be missing: %s has lost its data, or dropped old entries while this server was away", c.seq+1, seq-1, c.shown))
	}
}

// reportForeign logs, once, that there are entries of others.
func (c *Broker) reportForeign(id string, why error) {
	if !c.warned {
		c.log(logfile.Error, fmt.Sprintf("channels: ignoring entry %s of %s in %s: %v; further ones are ignored without a message", id, c.keys[1], c.shown, why))
		c.warned = true
	}
}

// published returns from whom a batch of this server came. The mutex is held.
func (c *Broker) published(count uint64) (id uint64, publisher int) {
	for len(c.own) > 0 && c.own[0].count <= count {
		id, publisher = c.own[0].ID, c.own[0].Publisher
		c.own = c.own[1:]
	}
	return id, publisher
}

// History returns the latest events that the broker keeps, the oldest first.
func (c *Broker) History() ([]Batch, error) {
	if c.State().Away > 0 {
		return nil, errors.New("the broker is away")
	}
	ctx, cancel := context.WithTimeout(c.ctx, answerWithin)
	defer cancel()
	var entries []redis.XMessage
	for end, bytes := "+", 0; len(entries) < historyEntries && bytes < historyBytes; {
		some, err := c.redis.XRevRangeN(ctx, c.keys[1], end, "-", readAtOnce).Result()
		if err != nil {
			return nil, errors.New(reason(err))
		}
		for _, entry := range some {
			raw, _ := entry.Values["raw"].(string)
			if bytes += len(raw); bytes < historyBytes {
				entries = append(entries, entry)
			}
		}
		if len(some) < readAtOnce {
			break
		}
		end = before(some[len(some)-1].ID)
	}
	last, err := c.lastNumber(ctx)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	slices.Reverse(entries)
	var all []Batch
	for _, entry := range entries {
		if b, _, _, err := parseBatch(entry); err == nil && !b.Purge && b.check(last) == nil {
			all = append(all, b)
		}
	}
	return all, nil
}

// The ids of entries are the time of the broker's machine. They go back if the broker loses entries (a failover, a restart without them) and
// its clock is behind, as that of a small device is after a power failure: the entries that come then are not behind the last one that was
// read, and would never be.

// tipScript returns the id of the last entry, and the epoch. KEYS: state, stream.
var tipScript = sync.OnceValue(func() *redis.Script {
	return redis.NewScript(`
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return {last[1] and last[1][1] or '0-0', redis.call('HGET', KEYS[1], 'epoch') or ''}
`)
})

// rewind makes the reader begin at the first entry if the broker does not have the last one that was read, nor later ones. It skips those
// that it knows by their numbers, unless a server that knows no number has published first.
func (c *Broker) rewind() error {
	ctx, cancel := context.WithTimeout(c.ctx, answerWithin)
	defer cancel()
	tip, err := tipScript().Eval(ctx, c.redis, c.keys[:2]).StringSlice()
	if err != nil || len(tip) != 2 || compareIDs(tip[0], c.last) >= 0 {
		return err
	}
	c.last, c.old = noEntry, ""
	if tip[1] == c.epoch {
		c.old = tip[0]
	}
	return nil
}
