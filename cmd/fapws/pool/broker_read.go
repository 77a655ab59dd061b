package pool

import (
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

// numberOf returns the event number, which is the first part of the id of an entry.
func numberOf(id string) uint64 {
	number, _, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseUint(number, 10, 64)
	return n
}

// parseBatch parses an entry of the stream; ok is false for an invalid entry, which any program with access to the
// broker can write. from is the server that published the batch.
func parseBatch(entry redis.XMessage) (b Batch, from string, ok bool) {
	ok = true
	text := func(name string) string {
		s, _ := entry.Values[name].(string)
		return s
	}
	number := func(name string) uint64 {
		n, e := strconv.ParseUint(text(name), 10, 63)
		ok = ok && e == nil
		return n
	}
	last := numberOf(entry.ID)
	b = Batch{N: int(number("n")), Raw: []byte(text("raw")), ID: number("id"), Publisher: int(number("pid")),
		Purge: text("kind") == "purge"}
	b.Seq = last + 1 - uint64(max(b.N, 1))
	ok = ok && last <= maxSeq && b.Purge == (b.N == 0) && b.N <= 1<<20 && uint64(b.N) <= last && len(b.Raw) > 0 &&
		len(b.Raw) <= maxEvents
	return b, text("from"), ok
}

const (
	readAtOnce = 64

	// historyEntries and historyBytes limit the history that a server reads from the broker at its start.
	historyEntries = 1000
	historyBytes   = 16 << 20
)

func (c *Broker) readSome() error {
	wait := readFor
	if c.unsure {
		if _, err := c.place(c.seq.Load()); err != nil {
			return err
		}
		// A negative wait makes the read return at once, so that a broker that does not respond is detected
		// immediately.
		wait = -1
	}
	ctx, cancel := context.WithTimeout(c.ctx, readFor+answerWithin)
	defer cancel()
	behind := fmt.Sprintf("%d-%d", c.seq.Load(), uint64(math.MaxUint64))
	streams, err := c.redis.XRead(ctx, &redis.XReadArgs{Streams: []string{c.keys[0], behind}, Count: readAtOnce,
		Block: wait}).Result()
	nothing := errors.Is(err, redis.Nil)
	if c.unsure = err != nil && !(nothing && wait < 0); err != nil && !nothing {
		return err
	}
	for _, stream := range streams {
		for _, entry := range stream.Messages {
			c.take(entry)
		}
	}
	return nil
}

func (c *Broker) take(entry redis.XMessage) {
	b, from, ok := parseBatch(entry)
	if seq := c.seq.Load(); seq > 0 && ok && b.Seq > seq+1 && c.gaps.Now() {
		c.log(logfile.Warning, fmt.Sprintf("channels: events %d to %d may be missing: %s has lost its data, or "+
			"dropped old entries while this server was away", seq+1, b.Seq-1, c.shown))
	}
	if last := numberOf(entry.ID); last > maxSeq { // place then deletes the stream, before the next read
		c.unsure = true
	} else {
		c.seq.Store(last)
	}
	own := from == c.node
	switch {
	case !ok:
		c.warned.Do(func() {
			c.log(logfile.Error, fmt.Sprintf("channels: ignoring entry %s of %s in %s: it was not written by fapws; "+
				"further ones are ignored without a message", entry.ID, c.keys[0], c.shown))
		})
	case own && b.Purge: // this server has already purged the pattern in its own workers
	case own:
		c.deliver(b)
	default:
		b.ID, b.Publisher = 0, 0
		c.deliver(b)
	}
}

func (c *Broker) History() ([]Batch, error) {
	if c.State().Away > 0 {
		return nil, errors.New("the broker is away")
	}
	ctx, cancel := context.WithTimeout(c.ctx, answerWithin)
	defer cancel()
	var all []Batch
	for end, bytes, n := "+", 0, 0; n < historyEntries && bytes < historyBytes; {
		some, err := c.redis.XRevRangeN(ctx, c.keys[0], end, "-", readAtOnce).Result()
		if err != nil {
			return nil, errors.New(reason(err))
		}
		for _, entry := range some {
			b, _, ok := parseBatch(entry)
			if bytes += len(b.Raw); bytes < historyBytes && ok && !b.Purge {
				all = append(all, b)
			}
		}
		n += len(some)
		last := uint64(0)
		if len(some) == readAtOnce {
			last = numberOf(some[readAtOnce-1].ID)
		}
		if last == 0 {
			break
		}
		end = strconv.FormatUint(last-1, 10)
	}
	slices.Reverse(all)
	return all, nil
}

// placeScript returns the number of the last entry. ARGV[1] is the largest number that this server has read. If the
// number of the last entry is smaller than ARGV[1], the broker has lost entries. In this case, the script adds and
// deletes an entry with a number above ARGV[1], so that later entries from all servers get higher numbers.
var placeScript = sync.OnceValue(func() *redis.Script {
	return redis.NewScript(fmt.Sprintf(lastOfStream+`
local number, lost = last()
if lost then
  redis.call('XDEL', KEYS[1], redis.call('XADD', KEYS[1], id(number), 'number', 'lost'))
end
return string.format('%%.0f', number)
`, maxSeq, afterLoss))
})

func (c *Broker) place(known uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(c.ctx, answerWithin)
	defer cancel()
	return placeScript().Eval(ctx, c.redis, c.keys[:1], known).Uint64()
}
