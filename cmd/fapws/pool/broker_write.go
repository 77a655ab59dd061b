package pool

import (
	"fmt"
	"sync"

	"github.com/gomodule/redigo/redis"

	"fapws/runtime/logfile"
)

const (
	// keptEntries is the approximate length of the stream. Servers that were disconnected and clients that reconnect
	// read old entries.
	keptEntries = 10000

	// nodeLives is the time, in seconds, for which the broker remembers how many batches a server has added. nodeLives
	// must be longer than any network failure.
	nodeLives = 24 * 3600

	// leastEntries is the number of entries that the script keeps when the broker runs out of memory.
	leastEntries = 100

	// afterLoss is added to the last number after the broker has lost its data, because other servers may have read
	// larger numbers than this server.
	afterLoss = 1000

	// maxSeq limits event numbers, because numbers above 2^53 are not exact in Lua. Ids that Redis generates, in
	// milliseconds since 1970, are smaller than maxSeq.
	maxSeq uint64 = 1 << 52
)

// lastOfStream is the common beginning of addScript and placeScript. KEYS[1] is the stream, and ARGV[1] is the largest
// number that the server has read. The Lua function last() usually returns the number of the last entry and false. If
// the broker has lost entries that the server has read, or if an id exceeds maxSeq and the stream starts again, last()
// returns a number above ARGV[1] and true. Its response contains the first and the last entry, so last() is expensive.
const lastOfStream = `
local known = tonumber(ARGV[1])
local function last()
  local info, number = redis.pcall('XINFO', 'STREAM', KEYS[1]), 0
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      number = tonumber(string.match(info[i + 1], '%%d+'))
    end
  end
  if number > %d then
    redis.call('DEL', KEYS[1])
    number = -1
  end
  if number < known or number < 0 then
    return known + %d, true
  end
  return number, false
end
local function id(number)
  return string.format('%%.0f-0', number)
end
`

// trimmed is the error of addScript after it has removed old events, because the broker was out of memory.
const trimmed = "TRIMMED"

// maxPublished limits the messages of the channel, in bytes. Entries of larger ones are read from the stream, so that Redis
// keeps no copy of them for each server that reads slowly.
const maxPublished = 64 << 10

// addScript appends batches to the stream, except those that were already added, and publishes the new entries to the
// servers. Each server numbers its batches, and the broker stores the number of the last batch that the server has added.
// A batch was already added if its number is at most the stored one. If a batch fails, the later ones are not added,
// because the failed batch would otherwise count as added. If the broker is out of memory, addScript removes old events.
//
// The state contains the number of the last event that a server has added. If the stream already has a larger id,
// because another program has written an entry, addScript asks the stream for its last number.
//
// The keys are the stream, the state and the stored batch number of the server. The arguments are, in this order: the
// largest event number that the server has read, the epoch; then, for each batch: its number, the number of events, and
// its text (formatBatch). The message to the servers consists, for each entry, of the id, the length and the text; it is
// empty if it would be too long, or if nothing was added.
var addScript = sync.OnceValue(func() *redis.Script {
	return redis.NewScript(3, fmt.Sprintf(lastOfStream+`
local function add(number, i)
  return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', %d, id(number), '`+batchField+`', ARGV[i + 2])
end
local sent = tonumber(redis.call('GET', KEYS[3]) or '0')
local stored = tonumber(redis.call('HGET', KEYS[2], 'last') or '')
local number, before, failed = stored or 0, sent, nil
local message, length = {}, 0
if number < math.max(known, 1) or number > %d then
  number = last()
end
for i = 3, #ARGV, 3 do
  local count, n = tonumber(ARGV[i]), math.max(tonumber(ARGV[i + 1]), 1)
  if count > sent then
    number = number + n
    local added = add(number, i)
    if type(added) == 'table' and (string.find(added.err, 'equal or smaller', 1, true) or
        string.find(added.err, 'last possible ID', 1, true)) then
      number = last() + n
      added = add(number, i)
    end
    if type(added) == 'table' then
      failed = added
      break
    end
    sent = count
    message[#message + 1] = id(number) .. ' ' .. #ARGV[i + 2] .. '\n'
    message[#message + 1] = ARGV[i + 2]
    length = length + #ARGV[i + 2]
  end
end
if sent > before then
  if not stored then
    redis.call('HSETNX', KEYS[2], 'epoch', ARGV[2])
  end
  redis.call('HSET', KEYS[2], 'last', string.format('%%.0f', number))
  redis.call('SET', KEYS[3], sent, 'EX', %d)
end
redis.call('PUBLISH', KEYS[1], length > %d and '' or table.concat(message))
if failed and string.find(failed.err, 'OOM', 1, true) then
  local length = redis.call('XLEN', KEYS[1])
  if length > %d then
    redis.call('XTRIM', KEYS[1], 'MAXLEN', math.floor(length / 2))
    return redis.error_reply('`+trimmed+` past entries')
  end
end
return failed or 1
`, maxSeq, afterLoss, keptEntries, maxSeq, nodeLives, maxPublished, leastEntries))
})

// Publish queues events for all servers, or a purge pattern for all servers except this one, and returns false if the
// queue was full.
func (c *Broker) Publish(b Batch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes.Load()+int64(len(b.Raw)) > mostPending {
		if c.lost == 0 {
			c.log(logfile.Error, fmt.Sprintf("channels: %d MB of events wait for %s; dropping further ones",
				mostPending>>20, c.shown))
		}
		c.lost += b.N
		c.losses += b.N
		return false
	}
	c.sent++
	b.count = c.sent
	c.bytes.Add(int64(len(b.Raw)))
	c.events += b.N
	c.waiting.Add(b)
	return true
}

func (c *Broker) Congested() bool { return c.bytes.Load() > muchPending }

func (c *Broker) Idle() bool { return c.bytes.Load() == 0 }

func (c *Broker) write(batches []Batch) {
	for len(batches) > 0 && c.ctx.Err() == nil {
		some := together(batches)
		c.try(writing, func() error {
			err := c.add(some, c.seq.Load())
			for hasPrefix(err, trimmed) {
				c.full.Do(c.reportFull)
				err = c.add(some, c.seq.Load())
			}
			if err == nil {
				c.added(some)
			}
			return err
		})
		batches = batches[len(some):]
	}
}

func (c *Broker) reportFull() {
	c.log(logfile.Warning, fmt.Sprintf("channels: %s has reached its maxmemory; dropping past events to make room for "+
		"new ones", c.shown))
}

func together(batches []Batch) []Batch {
	n, bytes := 0, 0
	for n < min(len(batches), mostTogether) && (n == 0 || bytes+len(batches[n].Raw) <= togetherBytes) {
		bytes += len(batches[n].Raw)
		n++
	}
	return batches[:n]
}

func (c *Broker) add(batches []Batch, seq uint64) error {
	args := redis.Args{}.AddFlat(c.keys).Add(seq, c.epoch)
	for i := range batches {
		args = args.Add(batches[i].count, batches[i].N, c.formatBatch(&batches[i]))
	}
	return c.lines[writing].use(c.ctx, c.address, func(conn redis.Conn) error {
		_, err := addScript().Do(conn, args...)
		return err
	})
}

func (c *Broker) added(batches []Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.away.IsZero() {
		c.waited = max(c.waited, c.events)
	}
	for _, b := range batches {
		c.bytes.Add(-int64(len(b.Raw)))
		c.events -= b.N
	}
	clear(batches)
}
