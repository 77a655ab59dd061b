package ratelimit

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Rate permits Burst requests at once, and then one request in each Interval.
type Rate struct {
	Interval time.Duration
	Burst    int
}

// Most limits the numbers in a rate, so that times of a limit stay below 2^63 nanoseconds.
const Most = 1_000_000

var (
	rateText = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(\d{1,7})/([smh])(?: burst (\d{1,7}))?$`)
	})
	periods = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

	errRate = fmt.Errorf(`a rate such as "20/s", "100/m" or "20/s burst 40", with numbers from 1 to %d`, Most)
)

// ParseRate parses a rate such as "20/s burst 40". The default burst is the number of requests that the rate permits in
// a second. The error describes the permitted texts.
func ParseRate(text string) (r Rate, err error) {
	part := rateText().FindStringSubmatch(text)
	if part == nil {
		return r, errRate
	}
	n, _ := strconv.Atoi(part[1]) // at most seven digits
	if n < 1 || n > Most {
		return r, errRate
	}
	r.Interval = periods[part[2]] / time.Duration(n)
	r.Burst = max(1, int(time.Second/r.Interval))
	if part[3] != "" {
		r.Burst, _ = strconv.Atoi(part[3])
	}
	if r.Burst < 1 || r.Burst > Most {
		return r, errRate
	}
	return r, nil
}

// Options describe a limit.
type Options struct {
	Rate
	Number int    // number of the limit in the configuration, counted from 1
	Policy string // name of the limit in response fields
	// the limit applies to each user or, for requests without a user, to each client address
	User bool
	// lower-case name of a request field to whose values the limit applies; "" if the limit applies to addresses or
	// users
	Header string
	// all responses, not only those with status 429, have the fields RateLimit and RateLimit-Policy
	Fields bool
	DryRun bool
	Text   string // describes the limit in log lines
}

// limiter implements a limit. limiter must be used on the event loop.
type limiter struct {
	Options
	t *Table

	policy   string // the header field RateLimit-Policy
	lines    logfile.Seldom
	unlogged int
}

// Limit returns the limit for o, and always returns the same limit for the same o.
func (t *Table) Limit(o Options) *exchange.RateLimit {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limits[o] == nil {
		l := &limiter{Options: o, t: t, policy: fmt.Sprintf("RateLimit-Policy: %q;q=%d;w=%d\r\n", o.Policy, o.Burst,
			seconds(o.Interval*time.Duration(o.Burst)))}
		t.limits[o] = &exchange.RateLimit{Take: l.take, OfUser: o.User, DryRun: o.DryRun}
	}
	return t.limits[o]
}

func seconds(d time.Duration) int64 { return int64(max(1, (d+time.Second-1)/time.Second)) }

func (l *limiter) take(x *exchange.Exchange) *exchange.Reply {
	by, who := l.client(x)
	if who == "" {
		return nil
	}
	ahead, ok := l.t.take(l.hash(by, who), l.Rate, l.t.now())
	if ok {
		if l.Fields {
			used := int((ahead-1)/l.Interval) + 1 // number of used intervals, rounded up
			x.AddFields(l.fields(l.Burst-used, (ahead-1)%l.Interval+1))
		}
		return nil
	}
	wait := ahead - l.Interval*time.Duration(l.Burst-1)
	l.log(x)
	fields := l.fields(0, wait)
	if l.DryRun && l.Fields {
		x.AddFields(fields)
	}
	return &exchange.Reply{Status: 429, Fields: append(fmt.Appendf(nil, "Retry-After: %d\r\n", seconds(wait)), fields...)}
}

// client returns the client to which the request of x is attributed. The first result is the kind of the client's
// identity: header value ('h'), user ('u') or address ('a'). The second result is the identity, or "" for a unix
// socket.
func (l *limiter) client(x *exchange.Exchange) (kind byte, client string) {
	r := x.Req
	if l.Header != "" {
		if value, _ := http1.First(r.Head, r.Parsed.Fields, l.Header); len(value) > 0 {
			return 'h', string(value)
		}
	}
	if l.User && r.Peer.User != "" {
		return 'u', r.Peer.User
	}
	return 'a', conn.Network(r.Peer.Addr)
}

// hash returns the key of a client and this limit in the Table. The key is never 0. It depends on the rate, so that a
// new rate resets all counts.
func (l *limiter) hash(kind byte, client string) uint64 {
	text := append(make([]byte, 0, 128), l.t.key[:]...)
	for _, n := range [...]int64{int64(l.Number), int64(l.Interval), int64(l.Burst)} {
		text = binary.LittleEndian.AppendUint64(text, uint64(n))
	}
	text = append(append(text, kind), client...)
	sum := sha256.Sum256(text)
	return cmp.Or(binary.LittleEndian.Uint64(sum[:]), 1)
}

// fields returns the response fields of draft-ietf-httpapi-ratelimit-headers-11. remaining is how many requests the
// client may send now. The last parameter is the time until the client may send another request.
func (l *limiter) fields(remaining int, wait time.Duration) []byte {
	return fmt.Appendf([]byte(l.policy), "RateLimit: %q;r=%d;t=%d\r\n", l.Policy, remaining, seconds(wait))
}

// log logs a rejected request, but at most one line a second.
func (l *limiter) log(x *exchange.Exchange) {
	if !l.lines.Now() {
		l.unlogged++
		return
	}
	verb, others := "got", ""
	if l.DryRun {
		verb = "would have got"
	}
	if l.unlogged > 0 {
		others = fmt.Sprintf(", and %d more since the last such line", l.unlogged)
	}
	l.unlogged = 0
	x.Log(logfile.Warning, fmt.Sprintf("%s of %s %s 429: more than %s%s", x.Req.Parsed.Method.In(x.Req.Head),
		conn.Excerpt(x.Req.Path), verb, l.Text, others))
}
