package cache

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// Rule says which answers of a route are kept. The zero value keeps those that say themselves how long they are good
// for.
type Rule struct {
	// TTL is how long an answer is good that says nothing about it. 0: such an
	// answer is not kept.
	TTL time.Duration

	// Stale is how long after that it still answers, while one request fetches
	// a new one; a stale-while-revalidate of the answer counts before it.
	Stale time.Duration

	// Heuristic, if not 0, keeps answers that say nothing of their age but have a Last-Modified, for a tenth of the
	// time since then, at most this long (RFC 9111 §4.2.2).
	Heuristic time.Duration

	// Status are those that TTL is for. nil: 200, 301 and 308.
	Status []int

	// Vary are request fields that tell answers apart, in addition to those that an answer's Vary names.
	Vary []string

	// IgnoreQuery gives one answer whatever follows "?".
	IgnoreQuery bool

	// Compress sends pages that get smaller by it compressed to clients that take
	// that.
	Compress bool

	// IgnoreCookies treats requests with a Cookie like others. Otherwise these
	// are answered from the cache, and their answers kept, only where the answer
	// says that it is for everybody: public or s-maxage.
	IgnoreCookies bool
}

// Compiled is a Rule in the form that requests are matched with. It does not change.
type Compiled struct {
	rule Rule
	vary []string // in lower case
}

// MaxTTL bounds the durations of a Rule, and those that an answer may ask for.
const MaxTTL = 366 * 24 * time.Hour

var ttlStatus = []int{200, 301, 308}

// Compile checks a rule. The error is one line.
func Compile(r Rule) (*Compiled, error) {
	c := &Compiled{rule: r}
	if r.TTL < 0 || r.TTL > MaxTTL {
		return nil, fmt.Errorf("ttl must be 0 to 366 days, not %v", r.TTL)
	}
	if r.Stale < 0 || r.Stale > MaxTTL {
		return nil, fmt.Errorf("stale must be 0 to 366 days, not %v", r.Stale)
	}
	if r.Heuristic < 0 || r.Heuristic > MaxTTL {
		return nil, fmt.Errorf("heuristic must be 0 to 366 days, not %v", r.Heuristic)
	}
	for _, s := range r.Status {
		if s < 200 || s > 599 || s == 206 || s == 304 {
			return nil, fmt.Errorf("status %d cannot be kept", s)
		}
	}
	if r.Status == nil {
		c.rule.Status = ttlStatus
	}
	for _, name := range r.Vary {
		if !isToken(name) {
			return nil, fmt.Errorf("vary: %q is not a valid header field name", name)
		}
		c.vary = append(c.vary, strings.ToLower(name))
	}
	slices.Sort(c.vary)
	c.vary = slices.Compact(c.vary)
	if len(c.vary) > maxVary {
		return nil, fmt.Errorf("vary: more than %d names", maxVary)
	}
	return c, nil
}

func isToken(s string) bool {
	return s != "" && s != "*" && textproto.TrimString(s) == s && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
