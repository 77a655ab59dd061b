package sites

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/login"
	"fapws/runtime/metrics"
	"fapws/runtime/protocol/http"
	"fapws/runtime/route"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/refusal"
)

// Site is what answers for some host names.
type Site struct {
	// Names are the hosts it answers for, in any case and without a port:
	// "example.org", "*.example.org" (any depth), "example.*" or "[2001:db8::1]".
	// None, which only the first site may have: it answers for all others. The
	// first one answers for them anyway, unless Config.RefuseUnknownHosts.
	Names []string

	// Table is gone through in its order.
	Table []Mount

	Rules *Rules         // of all its responses; nil: none
	Pages *refusal.Pages // for its errors; nil: the server's own

	// AccessLog gets its requests. nil: Config.AccessLog.
	AccessLog   *logfile.AccessLog
	NoAccessLog bool // they have no line in any

	// ErrorLog gets the lines about its clients. nil: Config.LogClient.
	ErrorLog func(level logfile.Level, client, line string)

	// ErrorLogNumber is exchange.Request.ErrorLog of its requests: the same log, as
	// handlers know it.
	ErrorLogNumber int

	// MaxBodySize and Timeout are as in Config. 0: those of Config. Timeout below
	// zero: none.
	MaxBodySize int64
	Timeout     time.Duration

	rules  *rules         // where no mount fits
	counts *metrics.Route // of requests that no mount fits; nil: they are not counted
}

// Mount binds paths to what answers them: the first of Source, Rewrite and Handler that is not nil.
type Mount struct {
	// Pending says that nothing can answer yet: requests wait for other sites (Sites.Use), see pending.go.
	Pending bool

	Prefix string // compared with the canonical path (http1.ResolvePath), so in this form itself

	// Within, if not empty, is a second prefix that the path must have. It has
	// no part in SCRIPT_NAME.
	Within string

	// Having, if not empty, is a pattern as Match that some segment of the path below Within has to match, too.
	Having string

	// Match, if not empty, is a pattern for names as path.Match has it, without a
	// slash: "*.php". Below Prefix, for a Handler any segment may match, and
	// SCRIPT_NAME ends with it; for others the last one has to.
	Match string

	Except []string // the path must not have one of these prefixes

	Plain bool // it is for requests that have not come over HTTPS, as far as trusted proxies say
	Open  bool // every client may use it, without a password, whatever the rules of the site say

	OwnPolicy bool // rules do not replace the Content-Security-Policy and Referrer-Policy of its responses

	ToLogIn bool // it is for clients that have not logged in: those that its site allows may use it without a password, and send forms

	Source  exchange.Source // a static.Source, a static.Fixed, a redirect.Redirect
	Rewrite *route.Rewrite  // routing goes on behind this mount

	Handler app.Handler     // nil: the one of Serve
	Cache   *cache.Compiled // which of the Handler's answers are kept; nil: none
	Index   int             // what the Handler calls this mount: exchange.Request.Mount

	// Abilities of the Handler beyond answering whole requests; those up to WebSocket
	// need a Receiver. Of the last three, one at most.
	Occupies     app.Occupancy // how long each of its requests occupies one of Config.Concurrency
	Streams      bool          // it takes requests whose body has not arrived: exchange.Request.More
	Asks         bool          // and asks for bodies by its first credit (100 Continue), bounds their size itself, and may take its time
	WebSocket    bool          // and WebSockets: exchange.Request.WebSocket
	Tunnels      bool          // it may pass on the connection where a WebSocket is asked for: exchange.Head.Tunnel
	Group        string        // that each of its WebSockets joins; "": none
	DetachSocket bool          // it is given the descriptor where a WebSocket is asked for: exchange.Request.Socket

	// Resolved gives the Handler the resolved form of the path (http1.ResolvePath), with the
	// empty segments that the client has sent, instead of the canonical one. Applications
	// and servers behind this one decide by themselves what these mean.
	Resolved bool

	// Receives, if not nil, gets requests before the Handler, and their bodies as they arrive. The Handler gets the requests that it hands on:
	// exchange.Head.HandsOn.
	Receives *Receives

	Rules *Rules       // in addition to those of the site; nil: none
	Login *login.Login // in the place of that of the rules; nil: as these say

	// LocalWithoutLogin says that clients on this machine need no session, where others do.
	LocalWithoutLogin bool

	rules   *rules
	counts  *metrics.Route // of its requests; nil: they are not counted
	missing notFoundCache
	bulky   bool // the Source may answer with any size before the loop knows
}

// Receives is a handler that receives bodies for another one.
type Receives struct {
	Handler app.Receiver
	Index   int // what it calls the mount
}

// route returns what package route has to know of a mount.
func (m *Mount) route() route.Mount {
	return route.Mount{
		Prefix:   m.Prefix,
		Within:   m.Within,
		Having:   m.Having,
		Match:    m.Match,
		Inner:    m.Handler != nil || m.Pending,
		Except:   m.Except,
		Plain:    m.Plain,
		Optional: m.declines(),
		Rewrite:  m.rewrite(),
		Guard:    m.rules.guard(),
	}
}

// declines reports whether the source may have nothing for a path.
func (m *Mount) declines() bool {
	s, ok := m.Source.(exchange.Optional)
	return ok && s.Declines()
}

// rewrite returns m.Rewrite if nothing that comes first answers.
func (m *Mount) rewrite() *route.Rewrite {
	if m.Source != nil {
		return nil
	}
	return m.Rewrite
}

// Timeout returns the timeout of the rules of m, or of its site; 0: that of the server. It is known in Prepare.
func (m *Mount) Timeout() time.Duration {
	if m.rules == nil {
		return 0
	}
	return m.rules.timeout
}

// answerer returns what answers at a mount.
func (m *Mount) answerer() http.Answerer {
	return http.Answerer{Source: m.Source, Streams: m.Streams, Asks: m.Asks, Bulky: m.bulky}
}
