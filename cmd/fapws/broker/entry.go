package broker

import (
	"cmp"
	"errors"
	"math"
	"strconv"
	"strings"

	"fapws/cmd/fapws/pool"

	"github.com/redis/go-redis/v9"
)

const (
	// maxRaw bounds the events of an entry, in bytes. Workers publish no more at once.
	maxRaw = 65 << 20

	// noEntry is the id before the first entry.
	noEntry = "0-0"
)

var (
	errEntry  = errors.New("it was not written by fapws")
	errNumber = errors.New("no server has given this number to an event")
)

// record is a batch as an entry of the stream has it.
type record struct{ pool.Batch }

// parse reads an entry of the stream, which anyone may have written who may write to the broker: the server that has published it, and
// how many batches that had published.
func parse(entry redis.XMessage) (b record, from string, count uint64, err error) {
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
	b = record{pool.Batch{Seq: number("seq"), N: int(number("n")), Raw: []byte(text("raw")), Purge: text("kind") == "purge"}}
	count = number("count")
	if b.Seq == 0 || b.Seq > 2*maxSeq || b.Purge != (b.N == 0) || b.N < 0 || b.N > 1<<20 || len(b.Raw) == 0 || len(b.Raw) > maxRaw {
		err = errEntry
	}
	return b, text("from"), count, err
}

// last is the number of the last event; of a purge, that of the event before it.
func (b *record) last() uint64 { return b.Seq + uint64(b.N) - 1 }

// check returns an error if b has numbers above that of the last event, 0: that is unknown. Later events would seem to be old ones.
func (b *record) check(last uint64) error {
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
