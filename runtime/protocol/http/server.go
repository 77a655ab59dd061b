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
	Limits      *http1.Limits // of the head of a request
	HeadTimeout time.Duration // in which it has to arrive
	BodyTimeout time.Duration // how long a client may pause while it sends a body
	BodyRate    int           // bytes per second that a body has to have after that
	KeepAlive   time.Duration // how long a connection may be idle
	SpoolSize   int           // bytes of a body that are kept in memory
	SpoolDir    string        // where the others go
	MaxSpools   int           // files with bodies, of all clients: see Shares
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
