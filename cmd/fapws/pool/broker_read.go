package pool

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gomodule/redigo/redis"

	"fapws/runtime/logfile"
)

// numberOf returns the event number, which is the first part of the id of an entry.
func numberOf(id string) uint64 {
	number, _, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseUint(number, 10, 64)
	return n
}

// An entry is an entry of the stream.
type entry struct {
	id     string
	fields []any // names and values, each as bytes
}

// parseEntries parses the list of entries in a response of the broker.
func parseEntries(list []any) ([]entry, error) {
	entries := make([]entry, len(list))
	for i := range list {
		pair, err := redis.Values(list[i], nil)
		if err == nil {
			_, err = redis.Scan(pair, &entries[i].id, &entries[i].fields)
		}
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// parseBatch parses an entry of the stream; ok is false for an invalid entry, which any program with access to the
// broker can write. server is the server that published the batch.
func parseBatch(e entry) (b Batch, server string, ok bool) {
	ok = true
	field := func(name string) (value []byte) {
		for i := 0; i+1 < len(e.fields); i += 2 {
			if key, _ := e.fields[i].([]byte); string(key) == name {
				value, _ = e.fields[i+1].([]byte)
			}
		}
		return value
	}
	number := func(name string) uint64 {
		n, e := strconv.ParseUint(string(field(name)), 10, 63)
		ok = ok && e == nil
		return n
	}
	last := numberOf(e.id)
	b = Batch{N: int(number("n")), Raw: field("raw"), ID: number("id"), Publisher: int(number("pid")),
		Purge: string(field("kind")) == "purge"}
	b.Seq = last + 1 - uint64(max(b.N, 1))
	ok = ok && last <= maxSeq && b.Purge == (b.N == 0) && b.N <= 1<<20 && uint64(b.N) <= last && len(b.Raw) > 0 &&
		len(b.Raw) <= maxEvents
	return b, string(field("from")), ok
}

const (
	readAtOnce = 64

	// historyEntries and historyBytes limit the history that a server reads from the broker at its start.
	historyEntries = 1000
	historyBytes   = 16 << 20
)

func (c *Broker) readSome() error {
	var entries []entry
	err := c.lines[reading].use(c.ctx, c.address, func(conn redis.Conn) (err error) {
		entries, err = c.read(conn)
		return err
	})
	var batches []Batch
	bytes := 0
	for i, e := range entries {
		if b, ok := c.take(e); ok {
			batches, bytes = append(batches, b), bytes+len(b.Raw)
		}
		// Deliver large batches separately, because deliver waits until the workers keep up.
		if len(batches) > 0 && (i == len(entries)-1 || bytes > togetherBytes) {
			c.deliver(batches)
			batches, bytes = nil, 0
		}
	}
	return err
}

// read returns the entries after the last event that was read. If there are none, read waits for some. After a failed
// or fruitless call, the next call does not wait, and finds out whether the broker has lost entries.
func (c *Broker) read(conn redis.Conn) (entries []entry, err error) {
	args := redis.Args{"COUNT", readAtOnce}
	waits := !c.unsure
	if c.unsure = true; waits {
		args = args.Add("BLOCK", readFor.Milliseconds())
	} else if _, err := place(conn, c.keys[0], c.seq.Load()); err != nil {
		return nil, err
	}
	streams, err := redis.Values(conn.Do("XREAD", args.Add("STREAMS", c.keys[0], after(c.seq.Load()))...))
	if errors.Is(err, redis.ErrNil) {
		c.unsure = waits
		return nil, nil
	}
	var name string
	var stream, list []any
	if err == nil {
		_, err = redis.Scan(streams, &stream)
	}
	if err == nil {
		_, err = redis.Scan(stream, &name, &list)
	}
	if err == nil {
		entries, err = parseEntries(list)
	}
	c.unsure = err != nil
	return entries, err
}

// after returns the largest id of an entry with this event number.
func after(seq uint64) string { return fmt.Sprintf("%d-%d", seq, uint64(math.MaxUint64)) }

// take returns the batch in the entry e, unless there is none for the workers of this server.
func (c *Broker) take(e entry) (b Batch, ok bool) {
	b, from, ok := parseBatch(e)
	if seq := c.seq.Load(); seq > 0 && ok && b.Seq > seq+1 && c.gaps.Now() {
		c.log(logfile.Warning, fmt.Sprintf("channels: events %d to %d may be missing: %s has lost its data, or "+
			"dropped old entries while this server was away", seq+1, b.Seq-1, c.shown))
	}
	if last := numberOf(e.id); last > maxSeq { // place then deletes the stream, before the next read
		c.unsure = true
	} else {
		c.seq.Store(last)
	}
	if !ok {
		c.warned.Do(func() {
			c.log(logfile.Error, fmt.Sprintf("channels: ignoring entry %s of %s in %s: it was not written by fapws; "+
				"further ones are ignored without a message", e.id, c.keys[0], c.shown))
		})
	}
	own := from == c.node
	if !own {
		b.ID, b.Publisher = 0, 0
	}
	return b, ok && !(own && b.Purge) // this server has already purged the pattern in its own workers
}

func (c *Broker) History() ([]Batch, error) {
	if c.State().Away > 0 {
		return nil, errors.New("the broker is away")
	}
	conn, err := c.address.connect(c.ctx, answerWithin)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	defer conn.Close()
	var all []Batch
	for end, bytes, n := "+", 0, 0; n < historyEntries && bytes < historyBytes; {
		list, err := redis.Values(conn.Do("XREVRANGE", c.keys[0], end, "-", "COUNT", readAtOnce))
		if err != nil {
			return nil, errors.New(reason(err))
		}
		some, err := parseEntries(list)
		if err != nil {
			return nil, err
		}
		for _, e := range some {
			b, _, ok := parseBatch(e)
			if bytes += len(b.Raw); bytes < historyBytes && ok && !b.Purge {
				all = append(all, b)
			}
		}
		n += len(some)
		last := uint64(0)
		if len(some) == readAtOnce {
			last = numberOf(some[readAtOnce-1].id)
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
	return redis.NewScript(1, fmt.Sprintf(lastOfStream+`
local number, lost = last()
if lost then
  redis.call('XDEL', KEYS[1], redis.call('XADD', KEYS[1], id(number), 'number', 'lost'))
end
return string.format('%%.0f', number)
`, maxSeq, afterLoss))
})

func place(conn redis.Conn, key string, known uint64) (uint64, error) {
	return redis.Uint64(placeScript().Do(conn, key, known))
}
