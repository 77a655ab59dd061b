package cache

import (
	"slices"
	"time"

	"fapws/runtime/http1"
)

// Answer is the head of a handler's answer: the fields that decide whether it is kept.
type Answer struct {
	Status int
	Fields []byte // "Name: value\r\n" ...
	Length int64  // of the body, -1 if not known
}

// Asked are the parts of a request that matter for this.
type Asked struct {
	Cookie        bool // it has a Cookie field
	Authorization bool // it has an Authorization field, or the client a certificate
}

// personal says whether the answer is for one person unless it says otherwise.
func (c *Compiled) personal(a Asked) bool {
	return a.Authorization || a.Cookie && !c.rule.IgnoreCookies
}

// terms are the conditions on which an answer is kept. Times are nanoseconds.
type terms struct {
	keep     bool
	personal bool // not kept only because of fields of the request; for others it may be

	public   bool     // also for requests with Cookie or Authorization
	fresh    int64    // from now; the next three follow it
	stale    int64    // it answers while a new one is fetched
	ifError  int64    // it answers in place of an error
	down     int64    // it answers where there would be no answer at all
	validate bool     // each request has to be confirmed by the handler
	age      int64    // that it is old already
	vary     []string // in lower case, sorted, without the rule's
	plain    bool     // it may be sent in another coding
}

const second = int64(1e9)

const (
	maxVary     = 8
	maxVaryName = 64
	maxTags     = 32

	// downFor is how long a stale page answers while its origin cannot be reached (RFC 9111 §4.2.4 has no
	// bound).
	downFor = int64(24 * time.Hour)
)

// understood are the statuses whose requirements on caches are met here, for must-understand (RFC 9111 §5.2.2.3).
// The heuristic ones among them may be kept without being asked to (RFC 9110 §15.1).
var (
	understood = []int{200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 451, 501}
	heuristic  = []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}
)

// judge decides whether and how long a response is kept (RFC 9111 §3, §3.5, §4.2).
func (c *Compiled) judge(asked Asked, status int, f *answerFields) (t terms) {
	cc := &f.control
	if status < 200 || status == 206 || status == 304 || f.never || cc.private || f.setCookie || f.stream {
		return t
	}
	knows := slices.Contains(understood, status)
	if cc.mustUnderstand && !knows || cc.noStore && !cc.mustUnderstand {
		return t
	}
	lifetime, ok := c.lifetime(status, f)
	if !ok {
		return t
	}
	t.age = max(f.age, f.apparent) * second
	t.fresh = max(lifetime-t.age, 0)
	t.stale, t.ifError, t.down = c.staleness(cc)
	if cc.noCache {
		t.fresh, t.stale, t.ifError, t.down = 0, 0, 0, 0
	}
	if t.fresh == 0 && t.stale == 0 {
		if t.validate = status == 200 && f.validates(); !t.validate {
			return terms{}
		}
	}
	t.vary = slices.DeleteFunc(slices.Clone(f.vary), func(name string) bool { return slices.Contains(c.vary, name) })
	t.plain = !f.coded && !cc.noTransform
	t.public = cc.public || cc.sMaxAge >= 0
	t.personal = !t.public && c.personal(asked)
	t.keep = !t.personal
	return t
}

// lifetime returns how long an answer is good from when it was made, in nanoseconds. ok is false if nothing says so.
func (c *Compiled) lifetime(status int, f *answerFields) (lifetime int64, ok bool) {
	cc := &f.control
	switch {
	case cc.sMaxAge >= 0:
		return cc.sMaxAge * second, true
	case cc.maxAge >= 0:
		return cc.maxAge * second, true
	case f.expires >= 0:
		return min(max(f.expires-f.made, 0), int64(MaxTTL)/second) * second, true
	case c.rule.TTL > 0 && slices.Contains(c.rule.Status, status):
		return int64(c.rule.TTL), true
	case cc.noCache: // good for no time, but perhaps to be confirmed
		return 0, true
	case c.rule.Heuristic > 0 && (cc.public || slices.Contains(heuristic, status)):
		return c.guess(f)
	}
	return 0, false
}

// guess is a tenth of the time for which an answer has not changed (RFC 9111 §4.2.2).
func (c *Compiled) guess(f *answerFields) (lifetime int64, ok bool) {
	changed, ok := http1.ParseDate(f.date)
	if !ok {
		return 0, false
	}
	return min(max(f.made-changed, 0)*second/10, int64(c.rule.Heuristic)), true
}

// staleness returns how long an answer may be sent that is no longer fresh: while another one is fetched, in place of
// an error, and where there is no answer at all. Such pages are forbidden by must-revalidate and proxy-revalidate, and
// by s-maxage unless the same answer says for how long (RFC 9111 §4.2.4, §5.2.2.10; RFC 5861).
func (c *Compiled) staleness(cc *control) (stale, ifError, down int64) {
	switch {
	case cc.mustRevalidate:
		return 0, 0, 0
	case cc.stale >= 0:
		stale = cc.stale * second
	case cc.sMaxAge < 0:
		stale = int64(c.rule.Stale)
	}
	ifError = max(cc.ifError*second, stale)
	if down = ifError; cc.sMaxAge < 0 {
		down = max(down, downFor)
	}
	return stale, ifError, down
}
