package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/runtime/loglevel"

	"github.com/redis/go-redis/v9"
)

const (
	// readAtOnce is how many entries a request reads at most.
	readAtOnce = 64

	// historyEntries is how many entries make the history of a server that starts.
	historyEntries = 1000
)

// read hands over the entries of the stream, on a goroutine of its own.
func (c *Client) read(deliver func(pool.Batch)) {
	defer c.ends.Done()
	var pause time.Duration
	for c.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(c.ctx, readFor+answerWithin)
		streams, err := c.redis.XRead(ctx, &redis.XReadArgs{Streams: []string{c.keys[1], c.last}, Count: readAtOnce, Block: readFor}).Result()
		cancel()
		if err != nil && !errors.Is(err, redis.Nil) { // Nil: nothing has come
			c.failed(reading, err)
			if !c.pause(&pause) {
				return
			}
			continue
		}
		pause = 0
		c.answered(reading)
		for _, stream := range streams {
			for _, entry := range stream.Messages {
				c.take(entry, deliver)
			}
		}
	}
}

// take hands over an entry.
func (c *Client) take(entry redis.XMessage, deliver func(pool.Batch)) {
	b, from, count, err := parse(entry)
	own := from == c.node
	c.last, b.Entry = entry.ID, entry.ID
	c.mu.Lock()
	if err == nil && !b.Purge {
		if b.Seq <= c.seq { // the broker has lost its data, and a server that knows no number has published
			b.Seq = c.seq + 1
		}
		c.seq = b.Seq + uint64(b.N) - 1
	}
	if own {
		b.ID, b.Publisher = c.published(count)
	}
	c.mu.Unlock()
	switch {
	case err != nil:
		c.log(loglevel.Error, fmt.Sprintf("channels: entry %s of %s: %v", entry.ID, c.shown, err))
	case b.Purge && own: // the other workers know
	default:
		deliver(b)
	}
}

// published returns from whom a batch of this server came. The mutex is held.
func (c *Client) published(count uint64) (id uint64, publisher int) {
	for len(c.own) > 0 && c.own[0].count <= count {
		id, publisher = c.own[0].ID, c.own[0].Publisher
		c.own = c.own[1:]
	}
	return id, publisher
}

// History implements pool.Broker.
func (c *Client) History() ([]pool.Batch, error) {
	ctx, cancel := context.WithTimeout(c.ctx, answerWithin)
	defer cancel()
	entries, err := c.redis.XRevRangeN(ctx, c.keys[1], "+", "-", historyEntries).Result()
	if err != nil {
		return nil, errors.New(reason(err))
	}
	slices.Reverse(entries)
	var all []pool.Batch
	for _, entry := range entries {
		if b, _, _, err := parse(entry); err == nil && !b.Purge {
			all = append(all, b)
		}
	}
	return all, nil
}

var errEntry = errors.New("it was not written by fapws")

// parse reads an entry of the stream.
func parse(entry redis.XMessage) (b pool.Batch, from string, count uint64, err error) {
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
	b = pool.Batch{Seq: number("seq"), N: int(number("n")), Raw: []byte(text("raw")), Purge: text("kind") == "purge"}
	count = number("count")
	if b.Seq == 0 || b.N <= 0 && !b.Purge || b.N > 1<<20 {
		err = errEntry
	}
	return b, text("from"), count, err
}
