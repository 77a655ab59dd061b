package broker

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

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
func (c *Client) rewind() error {
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
