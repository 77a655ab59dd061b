package pool

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

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
	id   string
	text []byte // nil if it was not written by fapws
}

// batchField is the name of the only field of an entry.
const batchField = "batch"

// parseEntries parses the list of entries in a response of the broker.
func parseEntries(list []any) ([]entry, error) {
	entries := make([]entry, len(list))
	for i := range list {
		var fields [][]byte
		pair, err := redis.Values(list[i], nil)
		if err == nil {
			_, err = redis.Scan(pair, &entries[i].id, &fields)
		}
		if err != nil {
			return nil, err
		}
		if len(fields) == 2 && string(fields[0]) == batchField {
			entries[i].text = fields[1]
		}
	}
	return entries, nil
}

// parseMessage parses a message of addScript. It returns no entries if the message is empty or invalid.
func parseMessage(text []byte) (entries []entry) {
	for len(text) > 0 {
		head, rest, _ := bytes.Cut(text, []byte("\n"))
		id, digits, _ := strings.Cut(string(head), " ")
		length, err := strconv.Atoi(digits)
		if err != nil || length < 0 || length > len(rest) {
			return nil
		}
		entries, text = append(entries, entry{id, rest[:length]}), rest[length:]
	}
	return entries
}

const (
	eventBatch = "events"
	purgeBatch = "purge"
)

// formatBatch returns the text of an entry: a line with the kind, the number of events, the publisher's message ID, the
// publisher's process ID and the server, and then the events.
func (c *Broker) formatBatch(b *Batch) []byte {
	kind := eventBatch
	if b.Purge {
		kind = purgeBatch
	}
	text := make([]byte, 0, len(b.Raw)+64)
	text = fmt.Appendf(text, "%s %d %d %d %s\n", kind, b.N, b.ID, b.Publisher, c.node)
	return append(text, b.Raw...)
}

// parseBatch parses an entry of the stream; ok is false for an invalid entry, which any program with access to the
// broker can write. server is the server that published the batch.
func parseBatch(e entry) (b Batch, server string, ok bool) {
	head, raw, _ := bytes.Cut(e.text, []byte("\n"))
	fields := strings.Fields(string(head))
	if len(fields) != 5 {
		return b, "", false
	}
	var numbers [3]uint64
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.ParseUint(fields[1+i], 10, 63); err != nil {
			return b, "", false
		}
	}
	last := numberOf(e.id)
	b = Batch{N: int(numbers[0]), ID: numbers[1], Publisher: int(numbers[2]), Raw: raw, Purge: fields[0] == purgeBatch}
	b.Seq = last + 1 - uint64(max(b.N, 1))
	return b, fields[4], last <= maxSeq && b.Purge == (b.N == 0) && b.N <= 1<<20 && uint64(b.N) <= last && len(raw) > 0 &&
		len(raw) <= maxEvents
}

const (
	readAtOnce = 64

	// historyEntries and historyBytes limit the history that a server reads from the broker at its start.
	historyEntries = 1000
	historyBytes   = 16 << 20
)

// readSome waits for a message of the broker and delivers its events.
func (c *Broker) readSome() error { return c.subscription.use(c.ctx, c.address, c.receive) }

// subscribe subscribes a new connection. The stream has the events that were published before, and numbers of subscribers
// may have changed.
func (c *Broker) subscribe(conn redis.Conn) error {
	s := redis.PubSubConn{Conn: conn}
	if err := s.Subscribe(c.keys[0]); err != nil {
		return err
	}
	if err, failed := s.Receive().(error); failed {
		return err
	}
	c.countsChanged()
	return c.catchUp()
}

// receive waits for a message. After readFor without a message, receive finds out whether the broker still answers and
// whether the broker has lost entries.
func (c *Broker) receive(conn redis.Conn) error {
	s := redis.PubSubConn{Conn: conn}
	ping := time.AfterFunc(readFor, func() { _ = s.Ping("") }) // an error is also one of Receive
	defer ping.Stop()
	switch m := s.Receive().(type) {
	case error:
		return m
	case redis.Message:
		if server, found := bytes.CutPrefix(m.Data, []byte(countsMessage)); found {
			if string(server) != c.node {
				c.countsChanged()
			}
		} else if !c.follows(m.Data) {
			return c.catchUp()
		}
	case redis.Pong:
		last := c.seq.Load()
		if err := c.catchUp(); err != nil {
			return err
		}
		if c.seq.Load() != last { // The node of this connection may have left the cluster.
			c.subscription.close()
		}
	}
	return nil
}

// follows delivers the entries in a message if they follow the last event that was read. Otherwise, it returns false.
func (c *Broker) follows(message []byte) bool {
	entries := parseMessage(message)
	seq, valid := c.seq.Load(), len(entries) > 0
	for len(entries) > 0 && numberOf(entries[0].id) <= seq {
		entries = entries[1:] // which the stream has shown already
	}
	if len(entries) > 0 {
		if first, _, ok := parseBatch(entries[0]); !ok || first.Seq != seq+1 {
			return false
		}
		c.pass(entries)
	}
	return valid
}

// catchUp delivers the entries of the stream that follow the last event that was read.
func (c *Broker) catchUp() error {
	for placed := false; ; {
		var entries []entry
		err := c.lines[reading].use(c.ctx, c.address, func(conn redis.Conn) error {
			if !placed {
				if last, err := place(conn, c.keys[0], c.seq.Load()); err != nil || last == c.seq.Load() {
					return err
				}
				placed = true
			}
			var err error
			entries, err = readStream(conn, c.keys[0], c.seq.Load())
			return err
		})
		if err != nil || len(entries) == 0 {
			return err
		}
		placed = c.pass(entries)
	}
}

// readStream returns the first entries after the event seq.
func readStream(conn redis.Conn, key string, seq uint64) ([]entry, error) {
	after := fmt.Sprintf("%d-%d", seq, uint64(math.MaxUint64)) // the largest id with this event number
	streams, err := redis.Values(conn.Do("XREAD", "COUNT", readAtOnce, "STREAMS", key, after))
	if errors.Is(err, redis.ErrNil) {
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
	if err != nil {
		return nil, err
	}
	return parseEntries(list)
}

// pass delivers the batches of entries. It returns false if an id is larger than maxSeq: place must then be called,
// which deletes the stream.
func (c *Broker) pass(entries []entry) (valid bool) {
	var batches []Batch
	size := 0
	for i, e := range entries {
		if b, ok := c.take(e); ok {
			batches, size = append(batches, b), size+len(b.Raw)
		}
		// Deliver large batches separately, because deliver waits until the workers keep up.
		if len(batches) > 0 && (i == len(entries)-1 || size > togetherBytes) {
			c.deliver(batches)
			batches, size = nil, 0
		}
	}
	return numberOf(entries[len(entries)-1].id) <= maxSeq
}

// take returns the batch in the entry e, unless there is none for the workers of this server.
func (c *Broker) take(e entry) (b Batch, ok bool) {
	b, from, ok := parseBatch(e)
	if seq := c.seq.Load(); seq > 0 && ok && b.Seq > seq+1 && c.gaps.Now() {
		c.log(logfile.Warning, fmt.Sprintf("channels: events %d to %d may be missing: %s has lost its data, or "+
			"dropped old entries while this server was away", seq+1, b.Seq-1, c.shown))
	}
	if last := numberOf(e.id); last <= maxSeq {
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
	for end, size, n := "+", 0, 0; n < historyEntries && size < historyBytes; {
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
			if size += len(b.Raw); size < historyBytes && ok && !b.Purge {
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
