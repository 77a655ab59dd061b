package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"fapws/runtime/logfile"
)

const (
	// countsTurn is the interval at which a server renews its numbers of subscribers, and looks for servers that have
	// died. Numbers that have changed are exchanged without delay, but at most once in countsPause.
	countsTurn  = 3 * time.Second
	countsPause = 500 * time.Millisecond

	// countsLive is the time, in seconds, after which the numbers of a server that has died no longer count. The other
	// servers notice it up to countsTurn later.
	countsLive = 7

	// withdrawing limits how long a server that ends waits until the others no longer count its subscribers.
	withdrawing = time.Second

	// maxShared limits the numbers that a server shares, in bytes of JSON.
	maxShared = 1 << 20
)

// countsScript renews the numbers of a server. It returns the name and the version of each server that has renewed its
// numbers lately; version 0 means that the server has no numbers. The keys are the hash with the versions, the key of
// the server's numbers, and the channel. The arguments are the name of the server, its version, and its numbers, which are empty if
// they have not changed. The result begins with 0 if the broker has lost the numbers. New numbers are announced by a
// message, countsMessage with the name of the server.
var countsScript = sync.OnceValue(func() *redis.Script {
	return redis.NewScript(3, fmt.Sprintf(`
local now, kept, changed = tonumber(redis.call('TIME')[1]), 1, true
if ARGV[2] == '0' then
  changed = redis.call('DEL', KEYS[2]) == 1
elseif ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3], 'EX', %[1]d)
else
  kept, changed = redis.call('EXPIRE', KEYS[2], %[1]d), false
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%%.0f', now))
redis.call('EXPIRE', KEYS[1], %[1]d)
local all, found = redis.call('HGETALL', KEYS[1]), {kept}
for i = 1, #all, 2 do
  local version, at = string.match(all[i + 1], '^(%%d+) (%%d+)$')
  if not version or now - tonumber(at) >= %[1]d then
    redis.call('HDEL', KEYS[1], all[i])
  elseif version ~= '0' then
    found[#found + 1] = all[i]
    found[#found + 1] = version
  end
end
if changed then
  redis.call('PUBLISH', KEYS[3], '%[2]s' .. ARGV[1])
end
return found
`, countsLive, countsMessage))
})

const countsMessage = "counts "

// serverCounts are the numbers of subscribers of this server and of the others.
type serverCounts struct {
	line    brokerLine
	own     map[string]int64
	version int  // of own
	unsent  bool // the broker may lack own
	others  map[string]countsOf
	seen    time.Time     // time when the broker answered last
	stale   chan struct{} // has a value if the numbers of a server have changed since the last exchange
	much    sync.Once     // logs that some numbers are not shared
	refused sync.Once     // logs that the broker refuses the numbers
}

type countsOf struct {
	version string
	numbers map[string]int64
}

// shareCounts stores the numbers of this server, if own is not nil because they have changed, and reads those of the
// other servers. It returns their sums, or nil if the sums are the same as before. While the broker is away, the numbers
// of the other servers count for a few seconds more. shareCounts must be called on one goroutine at a time.
func (c *Broker) shareCounts(own map[string]int64) (sums map[string]int64) {
	s := &c.counts
	if own != nil {
		s.own, s.unsent = own, true
		s.version++
	}
	changed := false
	err := s.line.use(c.ctx, c.address, func(conn redis.Conn) (err error) {
		changed, err = c.exchangeCounts(conn)
		return err
	})
	var refused redis.Error
	if errors.As(err, &refused) && c.State().Away == 0 {
		s.refused.Do(func() {
			c.log(logfile.Warning, fmt.Sprintf("channels: the subscribers of other servers are not counted: %s refuses "+
				"the numbers (%s)", c.shown, reason(err)))
		})
	}
	switch {
	case err == nil:
		s.seen = time.Now()
	case len(s.others) > 0 && time.Since(s.seen) > countsLive*time.Second:
		s.others, changed = nil, true
	}
	if !changed {
		return nil
	}
	sums = make(map[string]int64)
	for _, server := range s.others {
		for name, n := range server.numbers {
			sums[name] += n
		}
	}
	return sums
}

// countsChanged ends awaitCounts, because the numbers of this server or of another one have changed. It is safe for
// concurrent use.
func (c *Broker) countsChanged() {
	select {
	case c.counts.stale <- struct{}{}:
	default:
	}
}

// awaitCounts waits until it is time to exchange numbers again.
func (c *Broker) awaitCounts() {
	time.Sleep(countsPause)
	select {
	case <-c.counts.stale:
	case <-time.After(countsTurn - countsPause):
	case <-c.ctx.Done():
	}
}

func (c *Broker) exchangeCounts(conn redis.Conn) (changed bool, err error) {
	s, version, text := &c.counts, c.counts.version, []byte(nil)
	if len(s.own) == 0 {
		version = 0
	} else if s.unsent {
		text = c.encodeCounts()
	}
	index := c.address.key("counts")
	found, err := redis.Values(countsScript().Do(conn, index, index+":"+c.node, c.keys[0], c.node, version, text))
	if err != nil || len(found) == 0 {
		return false, err
	}
	kept, err := redis.Int(found[0], nil)
	if err != nil {
		return false, err
	}
	if s.unsent = kept == 0; s.unsent {
		c.countsChanged()
	}
	versions, err := redis.StringMap(found[1:], nil)
	if err != nil {
		return false, err
	}
	delete(versions, c.node)
	others := make(map[string]countsOf)
	for server, version := range versions {
		one, known := s.others[server]
		if !known || one.version != version {
			changed = true
			text, err := redis.Bytes(conn.Do("GET", index+":"+server))
			if err != nil && !errors.Is(err, redis.ErrNil) {
				return false, err
			}
			one = countsOf{version, decodeCounts(text)}
		}
		others[server] = one
	}
	changed = changed || len(others) != len(s.others)
	s.others = others
	return changed, nil
}

// encodeCounts encodes the numbers of this server, and leaves out those above the limit.
func (c *Broker) encodeCounts() []byte {
	some, bytes := make(map[string]int64), 0
	for name, n := range c.counts.own {
		if bytes += countCost(name); bytes > maxShared {
			c.counts.much.Do(func() {
				c.log(logfile.Warning, "channels: too many channels and groups; other servers do not count the "+
					"subscribers of some")
			})
			break
		}
		some[name] = n
	}
	text, _ := json.Marshal(some)
	return text
}

// decodeCounts ignores what a server does not send: any program with access to the broker can write numbers.
func decodeCounts(text []byte) map[string]int64 {
	var numbers map[string]int64
	if len(text) > 4*maxShared || json.Unmarshal(text, &numbers) != nil {
		return nil
	}
	maps.DeleteFunc(numbers, func(name string, n int64) bool { return n <= 0 || n > maxCount || len(name) > maxName })
	return numbers
}

// withdrawCounts makes the other servers no longer count the subscribers of this one.
func (c *Broker) withdrawCounts() {
	ctx, cancel := context.WithTimeout(context.Background(), withdrawing)
	defer cancel()
	conn, err := c.address.connect(ctx, withdrawing)
	if err != nil {
		return // the numbers expire
	}
	defer conn.Close()
	index := c.address.key("counts")
	_, _ = countsScript().Do(conn, index, index+":"+c.node, c.keys[0], c.node, 0, "")
}
