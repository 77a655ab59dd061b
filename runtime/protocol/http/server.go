package http

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Host decides what answers the exchanges of a Server. It embeds each Exchange in a struct of its own, which is the Sink and the
// exchange.Server of the exchange. All methods are called on the event loop.
type Host interface {
	// New returns memory for an exchange, with Sink and Server. It is used again after Ended, which sets these again.
	New() *Exchange

	// Request returns memory for the next request, with Parsed. It is the same again until Keep was called for an exchange with it.
	Request() *exchange.Request

	// Decide finds out what answers x, whose Req has a head, and begins that: it calls one of Admit, Start, Refuse, Suspend and
	// AwaitTurn. Resume goes on with an exchange that was suspended, or whose turn has come.
	Decide(x *Exchange)
	Resume(x *Exchange)

	// Keep makes Req of x last: it must not refer to the input of its connection any more. Forget is called when nothing needs
	// Req any more.
	Keep(x *Exchange)
	Forget(x *Exchange)

	// Malformed is called for an exchange without a request, before it is refused. received is what the client has sent instead.
	Malformed(x *Exchange, received []byte)

	// Substituted is called when y was made to answer the client in the place of x, which has lost it.
	Substituted(x, y *Exchange)

	// HalfClosed is called when the client of x has shut down its side, and may have left.
	HalfClosed(x *Exchange)

	// Canceled is called when the client of x has left. Ended is called once, when nothing of x is needed any more.
	Canceled(x *Exchange)
	Ended(x *Exchange)

	// Edits returns changes of the head of the response to x, and HeadSent gets the head that was made, as HTTP/1 has it.
	Edits(x *Exchange) exchange.Edits
	HeadSent(x *Exchange, head []byte)

	// Upgrade is called before the head of a response that may give a connection of HTTP/1 to another protocol: that of an exchange
	// whose MayUpgrade is set, and one with Head.Tunnel. It reports whether the part was taken; otherwise it is sent.
	Upgrade(x *Exchange, p *exchange.Part) (taken bool)

	// Account returns the name under which limits count the client that x answers; "": they do not.
	Account(x *Exchange) string

	// Client returns the name of the client of x, for the log.
	Client(x *Exchange) string

	// Arrived is called when a connection has sent a request, or the rest of one that has not come at once.
	Arrived(c *conn.Conn)

	// Delivered is called when input of a connection was used: requests may have been started.
	Delivered()
}

// Config says how the connections of a Server behave.
type Config struct {
	Limits      http1.Limits  // of the head of a request (414 and 431 beyond)
	HeadTimeout time.Duration // in which it has to arrive, from its first byte or from the start of the connection
	BodyTimeout time.Duration // how long a client may pause while it sends a body
	BodyRate    int64         // bytes per second that a body has to have on average after that; 0 or less: any
	KeepAlive   time.Duration // how long a connection may be idle

	SpoolSize int    // bytes of a body that are kept in memory; 0: 256 KiB
	SpoolDir  string // where the others go, as files without a name; "": os.TempDir

	// MaxSpools bounds the number of these files. One client gets up to a third of them; its further bodies wait for one, and are not read
	// meanwhile. 0: an eighth of the descriptors that the process may have open.
	MaxSpools int
}

// Server is what connections of HTTP share. It belongs to the event loop.
type Server struct {
	Heads  Heads
	Host   Host
	Set    *conn.Set
	Config Config

	exchanges     exchangeTable
	files         Shares // with bodies
	spoolWarnings logfile.Seldom
	closes        bool // responses say that their connection closes
	leaving       bool // closes, and no connection comes any more
	draining      bool // leaving, and connections close that wait for nothing
}

// Init makes s ready. name is the value of the field Server of responses.
func (s *Server) Init(host Host, set *conn.Set, name string) {
	s.Host, s.Set = host, set
	s.files.eases = func() { set.Soon(s.easeBodies) }
	s.Heads.Init(name, set.Start().Unix())
}

// Configure sets how connections behave from now on. It must be called before the first one is opened.
func (s *Server) Configure(cfg Config) { s.Config, s.files.Max = cfg, int64(cfg.MaxSpools) }

// Discourage is called when clients should change to other servers. Connections still come.
func (s *Server) Discourage() { s.closes = true }

// Retire is called when no connection comes any more: each one stays until its next request is answered, or until it was idle for so
// long. conn.Set.Drain has to follow.
func (s *Server) Retire(idle time.Duration) {
	s.closes, s.leaving = true, true
	s.Config.KeepAlive = min(s.Config.KeepAlive, idle)
}

// Drain is called when the server stops: connections close when they have answered the requests that have arrived. conn.Set.Drain has
// to follow.
func (s *Server) Drain() { s.closes, s.leaving, s.draining = true, true, true }

// Closes reports whether Discourage, Retire or Drain was called: responses say that their connection closes.
func (s *Server) Closes() bool { return s.closes }

// Leaving reports whether Retire or Drain was called, Draining whether Drain was.
func (s *Server) Leaving() bool  { return s.leaving }
func (s *Server) Draining() bool { return s.draining }

// Now returns the time of the event loop in nanoseconds. It may be a tick late.
func (s *Server) Now() int64 { return s.Set.Now() }

// Carrier carries exchanges between a client and the server: a connection of HTTP/1, or a stream of HTTP/2. All methods are called on
// the event loop, with an exchange that it carries.
type Carrier interface {
	// Below returns the connection.
	Below() *conn.Conn

	// Broken reports whether the client cannot be sent anything any more.
	Broken() bool

	// Internal reports whether the client is this server itself.
	Internal() bool

	// Admit has x, which is being decided about, answered by a when its body has arrived, or at once if a streams: by Exchange.Submit.
	Admit(x *Exchange, a Answerer)

	// SkipBody is called for x, which is being decided about, if nothing takes its body. GiveUpBody is called when nothing takes the rest
	// of its body any more, if there is one.
	SkipBody(x *Exchange)
	GiveUpBody(x *Exchange)

	// Submitting is called before a gets the request of x.
	Submitting(x *Exchange, a Answerer)

	// Ending is called before the last part of x is sent or held: nothing takes the rest of its body any more. It reports whether x has ended
	// without that part.
	Ending(x *Exchange, p *exchange.Part) (ended bool)

	// Suspended is called when x, which is being decided about, has to wait. Wake has Exchange.GoOn called for it, soon.
	Suspended(x *Exchange)
	Wake(x *Exchange)

	// StopInput has the client send no more input of x. Credited is called when the source of x has dealt with n bytes of input; more reports whether
	// it should get more.
	StopInput(x *Exchange)
	Credited(x *Exchange, n int64, more bool)

	// InTurn reports whether a part of x would be written now. If so, Transmit writes it, as far as there is room, and releases it when
	// that is done; x may have ended then. Advance is called afterwards: another part, or another exchange, may have its turn.
	InTurn(x *Exchange) bool
	Transmit(x *Exchange, p *exchange.Part)
	Advance()

	// SwitchProtocols takes x from the carrier: behind r, a response with the status 101 that is not sent yet, another protocol has what
	// carried it. It returns the connection for that, and the head that has to be sent on it first: nil if it has been sent as it should.
	SwitchProtocols(x *Exchange, r *http1.Response) (c *conn.Conn, head []byte)

	// TakeConn returns the connection that another protocol has behind the response to x, which does not end: see exchange.Upgrade.
	TakeConn(x *Exchange) *conn.Conn

	// TakesInterim reports whether the client can be sent responses of 1xx.
	TakesInterim(x *Exchange) bool

	// WaitsForClient reports whether x cannot go on before the client has read or sent something. Parts that x holds count anyway.
	WaitsForClient(x *Exchange) bool

	// Deferred is called when the source of x has put off its response, until Exchange.ResumeDeferred.
	Deferred(x *Exchange)

	// Cut ends x, whose response has begun or waits for another one, so that its client sees that something is missing.
	Cut(x *Exchange)

	// Replaced is called when the server itself answers x. closes says that nothing more can be understood of what the client sends.
	Replaced(x *Exchange, closes bool)

	// Substituted is called when y has taken the place of x.
	Substituted(x, y *Exchange)

	// BesideDone is called when the source of x has done its work beside the loop. decided says that x was being decided about before.
	BesideDone(x *Exchange, decided bool)
}

// Answerer is a source, and its properties that count before it starts.
type Answerer struct {
	Source  exchange.Source
	Streams bool // it takes requests whose body has not arrived: exchange.Request.More
	Asks    bool // and asks for the body with its first credit: 100 Continue waits for that
	Bulky   bool // it may answer with any size before the loop knows
}

// Admit has x, which is being decided about, answered by a, when its body has arrived.
func (x *Exchange) Admit(a Answerer) { x.Carrier.Admit(x, a) }

// Start has x, which is being decided about, answered by source, which takes no body.
func (x *Exchange) Start(source exchange.Source) {
	x.Source = source
	x.Carrier.SkipBody(x)
	source.Start(&x.Exchange)
}

// Submit hands x over to a. Size and Body of its request are set.
func (x *Exchange) Submit(a Answerer) {
	r := x.Req
	x.phase = answering
	// That of a chunked body is without its framing; of one that is streamed the rest is added as it comes.
	if x.Received += r.Size; r.More {
		x.Received += int64(len(r.Body)) - r.Size
	}
	r.Pipeline = 0
	x.Carrier.Submitting(x, a)
	x.Source = a.Source
	if a.Source.Start(&x.Exchange); x.Req == r && !x.lasting {
		x.Req = nil
		x.s.Host.Forget(x)
	}
}

// Suspend makes x, which is being decided about, wait until Resume. Later input of its carrier is not looked at meanwhile.
func (x *Exchange) Suspend() { x.suspend(awaitingHost) }

// Resume lets x go on, soon.
func (x *Exchange) Resume() {
	x.phase = deciding
	x.Carrier.Wake(x)
}

// Again has x, whose source does not answer it, decided about again, soon.
func (x *Exchange) Again() {
	x.suspend(deciding)
	x.Carrier.Wake(x)
}

// suspend makes x, which is being decided about, wait in a phase.
func (x *Exchange) suspend(p phase) {
	x.s.Host.Keep(x)
	x.phase, x.Source = p, nil
	x.Carrier.Suspended(x)
}

// Waits reports whether x, which was suspended, still has to wait.
func (x *Exchange) Waits() bool {
	if x.phase == awaitingTurn {
		return !x.InTurn()
	}
	return x.phase != deciding
}

// GoOn has x, which was suspended and does not wait any more, decided about again.
func (x *Exchange) GoOn() {
	x.phase = deciding
	x.s.Host.Resume(x)
}

// Hold keeps a part of x until its turn comes.
func (x *Exchange) Hold(p *exchange.Part) {
	x.held = append(x.held, *p)
	x.PartWaits(p, len(p.Body))
}

// unhold takes the first part that Hold has kept, to be sent.
func (x *Exchange) unhold() exchange.Part {
	p := x.held[0]
	x.held = x.held[:copy(x.held, x.held[1:])]
	if x.unsent != nil {
		x.s.Set.Unsent.Drop(x.unsent, p.Body, len(p.Body))
	}
	return p
}

// DropHeld releases the parts that x keeps until its turn comes. ended reports whether the last one was among them: then x
// has ended.
func (x *Exchange) DropHeld() (ended bool) {
	held := x.held
	x.held = held[:0]
	ended = len(held) > 0 && held[len(held)-1].Last
	for i := range held {
		x.Release(&held[i])
	}
	clear(held)
	return ended
}

// PartWaits implements exchange.PartOwner. What waits for a subrequest is counted where its client waits.
func (x *Exchange) PartWaits(p *exchange.Part, left int) *conn.Unsent {
	if len(p.Body) < conn.CountedPart || x.Carrier == nil || x.Carrier.Internal() {
		return x.unsent
	}
	if x.unsent == nil {
		x.unsent = new(conn.Unsent)
	}
	x.s.Set.Unsent.Add(x.unsent, x, p.Body, left, x.s.Now())
	return x.unsent
}

// Unsent returns how many bytes of the response wait in memory for the client.
func (x *Exchange) Unsent() int64 { return x.unsent.Size() }

// Cut implements conn.Response: the client loses the rest of the response.
func (x *Exchange) Cut() (client string) {
	client = x.s.Host.Client(x)
	if x.Carrier != nil {
		x.Carrier.Cut(x)
	}
	return client
}

// Deferred implements exchange.Server: the source begins when less of what its connection has asked for before waits.
func (x *Exchange) Deferred() {
	x.deferred = true
	x.Carrier.Deferred(x)
}

// IsDeferred reports whether the source of x has put off its response. ResumeDeferred has it begin.
func (x *Exchange) IsDeferred() bool { return x.deferred }

func (x *Exchange) ResumeDeferred() {
	x.deferred = false
	x.Source.(exchange.Pacer).Resume(&x.Exchange)
}

// Shares divides what unfinished requests need among the clients: descriptors, or memory. A client may take half of the free
// amount, so one client gets a third of Max, two get a quarter each, and some is left for the next client. Clients without a known
// address, "", may take the whole free amount.
type Shares struct {
	Max int64 // of all clients

	used    int64
	clients map[string]int64
	refused bool   // a client waits for more
	eases   func() // is called when there is more since then; nil: nothing is
}

// Room returns how much more a client may have. It is below 0 for a client that has too much by now.
func (s *Shares) Room(client string) int64 {
	free := s.Max - s.used
	if client == "" {
		return free
	}
	return (free+1)/2 - s.clients[client]
}

// Add adds n, which may be negative, to what a client has.
func (s *Shares) Add(client string, n int64) {
	s.used += n
	if n < 0 && s.refused && s.eases != nil {
		s.refused = false
		s.eases()
	}
	switch has := s.clients[client] + n; {
	case has == 0:
		delete(s.clients, client)
	case s.clients == nil:
		s.clients = map[string]int64{client: has}
	default:
		s.clients[client] = has
	}
}

// takeFile counts a file for the body of x, or notes that x waits for one.
func (x *Exchange) takeFile() bool {
	files, client := &x.s.files, x.s.Host.Account(x)
	x.awaitsFile = files.Room(client) < 1
	if x.awaitsFile {
		files.refused = true
		return false
	}
	files.Add(client, 1)
	x.hasFile, x.fileOf = true, client
	return true
}

// giveFile counts it no longer, if there is one.
func (x *Exchange) giveFile() {
	if x.hasFile {
		x.hasFile = false
		x.s.files.Add(x.fileOf, -1)
	}
}

// easeBodies lets bodies go on that have waited for a file.
func (s *Server) easeBodies() {
	files := &s.files
	for _, x := range s.exchanges.all {
		if x.awaitsFile && x.Carrier != nil {
			x.Carrier.Credited(x, 0, true)
			files.refused = files.refused || x.awaitsFile
		}
	}
}
