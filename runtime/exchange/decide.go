package exchange

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
)

func (s *Server) New(client *Client, c Stream) *Exchange {
	x := s.free
	if x == nil {
		x = &Exchange{s: s}
		x.Sink = x
		s.exchanges = append(s.exchanges, x)
	} else {
		s.free = x.Next
		x.Next = nil
	}
	if x.from = client.peer; x.from == nil {
		x.from = client.direct()
	}
	x.client, x.Stream, x.Source, x.rules = client, c, Memory{}, noRules
	client.Active++
	return x
}

func (s *Server) begun() iter.Seq[*Exchange] {
	return func(yield func(*Exchange) bool) {
		for _, x := range s.exchanges {
			if x.client != nil && !yield(x) {
				return
			}
		}
	}
}

func (s *Server) Active() int {
	n := len(s.exchanges)
	for x := s.free; x != nil; x = x.Next {
		n--
	}
	return n
}

// Request returns the memory for the next request. The memory changes only if an exchange has kept its request.
func (s *Server) Request() *Request {
	q := s.next
	if q.kept {
		q = newRequest()
		s.next = q
		return &q.handed
	}
	q.mount, q.limits, q.index = nil, q.limits[:0], ""
	// With fields in this literal, the compiler would make a temporary copy.
	q.handed = Request{}
	q.handed.Parsed, q.handed.Spool = &q.parsed, -1
	return &q.handed
}

// Decide makes x the exchange of the request from Server.Request, and routes x. The head must have arrived.
func (x *Exchange) Decide() {
	s, q := x.s, x.s.next
	s.begins(x, q, false)
	if s.override == nil || !q.parsed.HTML || !s.overridden(x, q) {
		s.route(x)
		s.decide(x)
	}
	if !q.kept && x.req == q {
		x.req, x.Req = nil, nil
	}
}

// begins initializes x for the request q. If identified is true, another process has already added the request id to
// the head.
func (s *Server) begins(x *Exchange, q *request, identified bool) {
	r, parsed := &q.handed, &q.parsed
	x.Req, x.req, q.Head = r, q, r.Head
	x.Version, x.IsHead, x.Out.trailers, x.KeepAlive, x.Safe = parsed.Version, parsed.Head, parsed.Trailers,
		parsed.KeepAlive, parsed.Safe
	x.html = parsed.HTML
	if s.Config.Details != nil {
		x.details = parsed.Authority.Len == 0 && s.Config.Details(string(parsed.Host.In(q.Head)))
	}
	x.Received = int64(len(r.Head))
	if s.served++; s.served == int64(s.Config.MaxRequests) && s.Config.OnMaxRequests != nil {
		go s.Config.OnMaxRequests()
	}
	if s.metrics != nil && !x.client.Subrequest() {
		x.began = s.metrics.Begin()
	}
	if s.identifier != nil {
		q.identify(s.identifier, identified || x.client.reports(), x.client.Subrequest() || x.client.FromDoor(), &x.ID)
	}
	if s.timed {
		q.time, q.earlier = time.Now(), x.client.requests
		x.client.requests++
	}
}

func (s *Server) route(x *Exchange) {
	q, c := x.req, x.client
	if c.FromDoor() {
		s.introduced(x)
	} else if q.parsed.Forwarded {
		s.dropForged(x)
	}
	r := route.Input{Parsed: &q.parsed, Head: q.Head, Client: x.from, Index: q.index}
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

func (s *Server) settleRules(x *Exchange) {
	q := x.req
	if q.Site < 0 {
		return
	}
	site := &s.table.sites[q.Site]
	q.mount, x.rules = nil, site.rules
	if q.Mount >= 0 {
		q.mount = &site.Table[q.Mount]
		x.rules = q.mount.rules
	}
	if x.rules.unseen && x.began != 0 {
		s.metrics.Withdraw()
		x.began = 0
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

// decide finds the source of x and starts the source. If x must wait for the disk, a password check or earlier
// responses, decide returns and is called again later.
func (s *Server) decide(x *Exchange) {
	q := x.req
	for {
		s.settleRules(x)
		switch q.Outcome {
		case route.Found:
			if s.override != nil && (q.mount.Pending || q.mount.Application) && s.overridden(x, q) {
				return
			}
			if q.mount.Pending {
				s.note(x)
				s.await(x)
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
		case route.NeedsAdmission:
			q.hand(x)
			switch refusal, running := x.rules.admit(x); {
			case running != nil:
				x.Check = running
				x.suspend(forResume)
				return
			case refusal != nil:
				s.note(x)
				x.Refuse(*refusal)
				return
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

func (s *Server) startWith(source Source, x *Exchange) {
	if s.timed {
		s.note(x)
	}
	x.req.hand(x)
	x.Source = source
	x.Stream.Read(x)
	source.Start(x)
}

func (s *Server) admit(x *Exchange) {
	q, m := x.req, x.req.mount
	q.hand(x)
	// on a connection of its own, a response from the cache needs no further descriptor
	if m.Unbounded && (m.Cache == nil || x.Version.Has(http1.SharesConnection)) && !x.HoldDescriptor() {
		x.AwaitDescriptor()
		return
	}
	if m.Upgrades != NoUpgrades && q.parsed.UpgradeTo.Len > 0 && !x.client.Subrequest() && !s.offer(x, m) {
		return
	}
	x.Choice = m
	x.Stream.Read(x)
}

// Admits reports whether x may have a body of size bytes, and rejects x if not. The routing of x must not be complete.
func (x *Exchange) Admits(size int64) bool {
	err := x.s.spools.admits(x.s.Config.SpoolDir, size, x.MaxBody)
	if err != nil {
		x.Refuse(refused(x.s, err, size, x.MaxBody))
	}
	return err == nil
}

// suspend interrupts the routing of x until the wait w ends. Until then, the stream reads no later request.
func (x *Exchange) suspend(w wait) {
	x.req.keep()
	x.enter(routing, w)
	x.Source, x.Choice = Memory{}, nil
	x.Stream.Wait(x)
}

func (x *Exchange) Waits() bool {
	if x.wait == forTurn {
		return !x.InTurn()
	}
	return x.wait != forReady
}

func (x *Exchange) Resume() {
	defer x.s.Set.Guard(x.Conn())
	x.enter(routing, forReady)
	x.Stream.Wait(x)
}

func (x *Exchange) Continue() {
	s, q := x.s, x.req
	x.enter(routing, nothing)
	if !q.IsFor(s.table.route) { // the request was routed by the previous sites
		s.route(x)
	}
	s.decide(x)
}

func (s *Server) refuseRouted(x *Exchange) {
	q := x.req
	if q.Fault != "" {
		s.logClient(x, logfile.Error, "%s", q.Fault)
	}
	if q.Cert != "" {
		s.secure.Report(logfile.Info, x.clientText(), fmt.Sprintf("%s of %s got %d: %s", q.parsed.Method.In(q.Head),
			conn.Excerpt(q.Path), q.Status, q.Cert))
	}
	x.Refuse(Reply{Status: q.Status, Fields: q.Fields, Text: q.Text, Whole: q.Status < 400})
}

func (s *Server) skipsFileMount(x *Exchange) bool {
	q := x.req
	if q.parsed.HasBody || !q.parsed.Get && !q.parsed.Head {
		return true
	}
	return q.mount.missing.Has(q.Path[q.Script:], s.Set.Now)
}

// await suspends x until the next Server.Use or a timeout, because x's mount is Pending: its application is loading. x
// has already passed the rules for clients, passwords and methods. The server does not read the body during the wait.
func (s *Server) await(x *Exchange) {
	now := s.Set.Now
	if x.until == 0 {
		wait := s.Config.StartWait
		if x.req.loadsPage() {
			wait = min(wait, pageWait)
		}
		x.until = now + int64(wait)
		if x.req.time.IsZero() {
			// the next Use may set sites that log the request
			x.req.time = time.Now()
		}
	}
	if s.Config.Needed != nil && !s.gaveUp {
		if s.needed == 0 {
			s.needed = now
		}
		s.Config.Needed()
	}
	switch {
	case s.gaveUp:
		x.Refuse(Reply{Status: 503, Fields: RetryAfter, Text: "the application failed to start"})
	case now >= x.until && x.req.loadsPage():
		x.Refuse(Starting(time.Duration(now - s.needed)))
	case now >= x.until:
		x.Refuse(Reply{Status: 503, Fields: RetryAfter, Text: "the application is starting"})
	default:
		x.suspend(forSites)
	}
}

func (q *request) loadsPage() bool {
	return q.parsed.Get && !q.parsed.HasBody && !q.parsed.Upgrade && q.parsed.HTML
}

// replaced resumes exchanges that wait for new sites, and sets the field replaced of all others.
func (s *Server) replaced() {
	for x := range s.begun() {
		if x.wait == forSites {
			x.until = 0
			x.Resume()
		} else {
			x.replaced = true
		}
	}
}

func (s *Server) HasFormer() bool {
	return slices.ContainsFunc(s.exchanges, func(x *Exchange) bool { return x.replaced })
}

// GiveUp makes the server answer 503 for Pending mounts, because the application has failed to start.
func (s *Server) GiveUp() {
	s.gaveUp = true
	s.Tick()
}

// Tick resumes requests whose wait has timed out. After GiveUp, Tick resumes all requests that wait for new sites.
func (s *Server) Tick() {
	s.Regions.Tick()
	if !s.table.pending && !s.Descriptors.Awaited {
		return
	}
	now := s.Set.Now
	for x := range s.begun() {
		switch {
		case x.wait == forSites && (s.gaveUp || now >= x.until):
			x.Resume()
		case x.wait == forDescriptor && x.yields():
			x.until = now
			x.Resume()
		}
	}
	if s.Descriptors.crowded {
		s.Descriptors.crowded = false
		s.loop.Freed() // if a client still waits, the loop calls MakeRoom again
	}
}
