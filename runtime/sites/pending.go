package sites

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/source/refusal"
)

// While an application loads, its mounts are Pending: what the configuration says of them holds already (who may ask, passwords,
// methods), but the request waits, undecided, for the next Use. So its body is not read, and nothing of it is lost. Browsers that
// load a page soon get one that says so, and asks again.

// await has x, whose mount is Pending, wait.
func (s *Sites) await(x *Exchange) {
	now := s.now()
	if x.until == 0 {
		wait := s.cfg.StartWait
		if x.req.loadsPage() {
			wait = min(wait, refusal.PageWait)
		}
		x.until = now + int64(wait)
		if x.req.time.IsZero() {
			x.req.time = time.Now() // for the log, which may begin with the next sites
		}
	}
	if s.gaveUp || now >= x.until {
		x.Refuse(s.unready(x))
		return
	}
	x.waits, x.Patient = true, true
	x.Suspend()
	if s.cfg.Needed != nil {
		s.cfg.Needed()
	}
}

// unready is the answer to x, which does not wait any longer.
func (s *Sites) unready(x *Exchange) exchange.Reply {
	switch {
	case s.gaveUp:
		return exchange.Reply{Status: 503, Fields: retryAfter, Text: "the application failed to start"}
	case x.req.loadsPage():
		return refusal.Starting(time.Duration(s.now()))
	}
	return exchange.Reply{Status: 503, Fields: retryAfter, Text: "the application is starting"}
}

// loadsPage reports whether a browser asks for a page, which it can ask for again.
func (q *request) loadsPage() bool {
	return string(q.parsed.Method.In(q.Head)) == "GET" && !q.hasBody() && !q.parsed.Upgrade && q.wantsHTML()
}

// replaced lets everything go on that waits for other sites, and counts what the former ones have begun.
func (s *Sites) replaced() {
	for x := range s.exchanges() {
		if x.waits {
			x.goOn()
		} else if !x.former {
			x.former = true
			s.former++
		}
	}
}

// Waiting returns how many requests wait for other sites.
func (s *Sites) Waiting() (n int) {
	for x := range s.exchanges() {
		if x.waits {
			n++
		}
	}
	return n
}

// HasFormer reports whether something is not finished that was begun before the last Use.
func (s *Sites) HasFormer() bool { return s.former > 0 }

// GiveUp answers everything that waits, or would: the next Use does not come.
func (s *Sites) GiveUp() {
	s.gaveUp = true
	for x := range s.exchanges() {
		if x.waits {
			x.goOn()
		}
	}
}

// Tick answers the requests that have waited for long enough.
func (s *Sites) Tick() {
	if !s.table.pending {
		return
	}
	now := s.now()
	for x := range s.exchanges() {
		if x.waits && now >= x.until {
			x.goOn()
		}
	}
}

// goOn has x, which waits, decided about again.
func (x *Exchange) goOn() {
	x.waits, x.Patient = false, false
	x.Resume()
}

// exchanges returns the exchanges that have begun and not ended.
func (s *Sites) exchanges() func(yield func(*Exchange) bool) {
	return func(yield func(*Exchange) bool) {
		for inner := range s.http.Exchanges() {
			if x := ofHTTP(inner); x.client != nil && !yield(x) {
				return
			}
		}
	}
}
