package exchange

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
)

// decide finds out what answers x, and has it answered. A decision that needs the disk, a password or its turn is left, and
// goes on here.
func (s *Server) decide(x *Exchange) {
	q := x.req
	for {
		s.settleRules(x)
		switch q.Outcome {
		case route.Found:
			if q.mount.Pending {
				s.note(x)
				if s.gaveUp && s.override != nil && x.html {
					x.Refuse(*s.override)
				} else {
					s.await(x)
				}
				return
			}
			if q.mount.Handler != nil {
				if s.timed {
					s.note(x)
				}
				s.admit(x)
				return
			}
			s.startWith(q.mount.Source, x)
			return
		case route.NeedsLookup:
			if !s.skipsFileMount(x) {
				s.startWith(q.mount.Source, x)
				return
			}
			q.Skip()
		case route.NeedsPassword:
			if o := x.client.subrequest; o == nil || !o.Own {
				x.makeRequest()
				switch refusal, known := x.rules.access.Admit(x); {
				case !known:
					x.suspend(forResume)
					return
				case refusal != nil:
					s.note(x)
					x.Refuse(*refusal)
					return
				}
			}
			x.Check = nil
			q.Admit()
		default:
			s.note(x)
			s.refuseRouted(x)
			return
		}
	}
}

// refuseRouted answers x, which routing has refused.
func (s *Server) refuseRouted(x *Exchange) {
	q := x.req
	if q.Fault != "" {
		s.logClient(x, logfile.Error, "%s", q.Fault)
	}
	if q.Cert != "" {
		s.secure.Report(logfile.Info, x.clientText(), fmt.Sprintf("%s of %s got %d: %s", q.parsed.Method.In(q.Head), conn.Excerpt(q.Path), q.Status, q.Cert))
	}
	x.Refuse(Reply{Status: q.Status, Fields: q.Fields, Text: q.Text, Whole: q.Status < 400})
}

// startWith has x, which was decided about, answered by source.
func (s *Server) startWith(source Source, x *Exchange) {
	if s.timed {
		s.note(x)
	}
	x.makeRequest()
	x.Source = source
	x.Stream.Read(x)
	source.Start(x)
}

// route asks the table where x goes.
func (s *Server) route(x *Exchange) {
	q, c := x.req, x.client
	if q.parsed.Forwarded {
		s.dropForged(x)
	}
	r := route.Request{Parsed: &q.parsed, Head: q.Head, Client: x.from, Index: q.index}
	if p := c.proxy; p != nil {
		if s.applyForwarded(x); p.trusted {
			x.from, r.Client = p.peer, p.peer
			q.forwarded = append(q.forwarded[:0], p.peer.Host...)
			r.Host = q.forwarded
		}
		r.Root = p.root
	}
	s.table.route.Decide(&q.Decision, r)
	if x.Prefix = ""; q.Hidden {
		x.Prefix = c.proxy.root
	}
}

// settleRules finds the mount and the rules of a decision.
func (s *Server) settleRules(x *Exchange) {
	q := x.req
	if q.Site < 0 {
		return
	}
	site := &s.table.sites[q.Site]
	q.mount, x.rules, x.counts = nil, site.rules, site.counts
	if q.Mount >= 0 {
		q.mount = &site.Table[q.Mount]
		x.rules, x.counts = q.mount.rules, q.mount.counts
	}
	if q.mount != nil && q.mount.Asks {
		x.MaxBody = -1
		return
	}
	if x.MaxBody = cmp.Or(x.rules.maxBody, s.Config.MaxBodySize); x.MaxBody == 0 && q.mount != nil {
		x.MaxBody = q.mount.MaxBody
	}
	x.MaxBody = cmp.Or(x.MaxBody, usualBody)
}

// Override answers every request of a browser, that is one whose Accept names text/html, with page, an HTML document in UTF-8, and
// status; nothing is to keep it. Other requests go where they always do. A page of nil ends this.
// With local, only requests for http1.LocalHost get it.
func (s *Server) Override(status int, page []byte, local bool) {
	s.override, s.overrideLocal = nil, local
	if page != nil {
		s.override = &Reply{Status: status, Body: page, Type: htmlType, Fields: []byte("Cache-Control: no-store\r\n"), Whole: true, Override: true}
	}
}

// overrides reports whether the page of Override answers q.
func (s *Server) overrides(q *request) bool {
	return q.parsed.HTML && (!s.overrideLocal || http1.LocalHost(string(q.parsed.Host.In(q.Head))) && q.parsed.Authority.Len == 0)
}

// notFoundCache remembers which paths the files of a mount have nothing for, so that
// not each request for a page of an application looks at the disk.
type notFoundCache struct {
	since map[string]int64 // conn.Set.Now by path
}

const (
	missesMax = 4096                     // paths
	missesLen = 256                      // bytes of a path that is worth it
	missesAge = int64(1_000_000_000) / 2 // with the loop's clock, a tick late at most, new files are seen within a second
)

func (s *notFoundCache) has(path []byte, now int64) bool {
	at, ok := s.since[string(path)]
	return ok && now-at < missesAge
}

func (s *notFoundCache) add(path []byte, now int64) {
	if len(path) > missesLen {
		return
	}
	if s.since == nil || len(s.since) >= missesMax {
		s.since = make(map[string]int64)
	}
	s.since[string(path)] = now
}

// skipsFileMount reports whether the files of its mount are known to have nothing for x.
func (s *Server) skipsFileMount(x *Exchange) bool {
	q := x.req
	if q.parsed.HasBody || !q.parsed.Get && !q.parsed.Head {
		return true
	}
	return q.mount.missing.has(q.Path[q.Script:], s.Set.Now)
}

// While an application loads, its mounts are Pending: what the configuration says of them holds already (who may ask, passwords,
// methods), but the request waits, undecided, for the next Use. So its body is not read, and nothing of it is lost. Browsers that
// load a page soon get one that says so, and asks again.

// await has x, whose mount is Pending, wait.
func (s *Server) await(x *Exchange) {
	now := s.Set.Now
	if x.until == 0 {
		wait := s.Config.StartWait
		if x.req.loadsPage() {
			wait = min(wait, pageWait)
		}
		x.until = now + int64(wait)
		if x.req.time.IsZero() {
			x.req.time = time.Now() // for the log, which may begin with the next sites
		}
	}
	switch {
	case s.gaveUp:
		x.Refuse(Reply{Status: 503, Fields: RetryAfter, Text: "the application failed to start"})
	case now >= x.until && x.req.loadsPage():
		x.Refuse(Starting(time.Duration(now)))
	case now >= x.until:
		x.Refuse(Reply{Status: 503, Fields: RetryAfter, Text: "the application is starting"})
	default:
		x.suspend(forSites)
		if s.Config.Needed != nil {
			s.Config.Needed()
		}
	}
}

// loadsPage reports whether a browser asks for a page, which it can ask for again.
func (q *request) loadsPage() bool {
	return q.parsed.Get && !q.parsed.HasBody && !q.parsed.Upgrade && q.parsed.HTML
}

// replaced lets everything go on that waits for other sites, and marks the exchanges that the former ones have begun.
func (s *Server) replaced() {
	for x := range s.begun() {
		if x.wait == forSites {
			x.Resume()
		} else {
			x.former = true
		}
	}
}

// HasFormer reports whether something is not finished that was begun before the last Use.
func (s *Server) HasFormer() bool {
	return slices.ContainsFunc(s.exchanges, func(x *Exchange) bool { return x.former })
}

// GiveUp answers everything that waits, or would: the next Use does not come.
func (s *Server) GiveUp() {
	s.gaveUp = true
	s.Tick()
}

// Tick answers the requests that have waited for long enough, after GiveUp all of them.
func (s *Server) Tick() {
	if !s.table.pending && !s.descriptors.refused {
		return
	}
	now := s.Set.Now
	for x := range s.begun() {
		switch {
		case x.wait == forSites && (s.gaveUp || now >= x.until),
			x.wait == forResume && x.awaitsDescriptor && now >= x.until:
			x.Resume()
		}
	}
}

// Decide makes x, which is new, the exchange of the request of Server.Request, of which there is the head, finds out what answers it, and
// begins that: it ends with one of Submit, Start, Refuse, suspend and AwaitTurn.
func (x *Exchange) Decide() {
	s, q := x.s, x.s.next
	s.begins(x, q)
	if s.override != nil && s.overrides(q) {
		s.note(x)
		x.Refuse(*s.override)
	} else {
		s.route(x)
		s.decide(x)
	}
	if !q.kept {
		if q.reset(); x.req == q {
			x.req, x.Req = nil, nil
		}
	}
}

// begins makes x, which is new, the exchange of q, of which there is the head.
func (s *Server) begins(x *Exchange, q *request) {
	r, parsed := &q.handed, &q.parsed
	x.Req, x.req, q.Head = r, q, r.Head
	x.Version, x.IsHead, x.trailers, x.KeepAlive, x.Safe = parsed.Version, parsed.Head, parsed.Trailers, parsed.KeepAlive, parsed.Safe
	x.html = parsed.HTML
	x.Received = int64(len(r.Head))
	if s.served++; s.served == int64(s.Config.MaxRequests) && s.Config.OnMaxRequests != nil {
		go s.Config.OnMaxRequests()
	}
	if s.metrics != nil && !x.client.Subrequest() {
		x.began = s.metrics.Begin()
	}
	if s.Config.Trace {
		q.trace(s.tracer, &x.trace)
		q.Head = r.Head
	}
	if s.timed {
		q.time, q.earlier = time.Now(), x.client.requests
		x.client.requests++
	}
}
