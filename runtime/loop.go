package runtime

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
)

const serverName = "fapws"

// loop is what the event loop calls. Everything in it belongs to the
// loop's goroutine unless a comment says otherwise.
type loop struct {
	s     *Server
	cfg   *Config
	debug int
	paced bool // TCP connections are, unless we say otherwise: see conn.Paces

	http      http.Server
	conns     conn.Set // all of them, with the clock and the output that is gathered
	wake      wake
	accepting conn.Acceptor
	secure    conn.TLSServer  // has the handshakes of TLS
	sites     sites.Sites     // decide what answers
	app       *app.Dispatcher // has the requests that handlers answer
	pages     *cache.Pages    // nil: nothing is kept
	idle      chan struct{}   // told when the first connection comes: see tick
	emptied   chan struct{}   // told when the last one has gone
	live      atomic.Int64    // open connections; written here, read by tick
	limited   atomic.Bool     // handlers have timeouts
	owed      atomic.Int64    // exchanges that may get overdue, at the last tick or when the last connection went
	busyNow   bool            // flushBatch is on the stack
	shut      bool            // closeAll was called

	warned int64 // when a line said that responses were ended because clients read too slowly, by now
	cut    int   // responses that were ended since then

	subscribers *live.Subscribers // of channels
	sockets     *live.Sockets

	ticking atomic.Bool // a tick is on its way
	unused  func()      // of Replace, until it is called

	gone    bool          // leaving, and the last connection has gone
	drained chan struct{} // closed at the end of the batch in which that was
	ended   chan struct{} // closed by Close
}

func newLoop(s *Server) *loop {
	l := &loop{
		s:       s,
		cfg:     &s.cfg,
		idle:    make(chan struct{}, 1),
		emptied: make(chan struct{}, 1),
		drained: make(chan struct{}),
		ended:   make(chan struct{}),
		paced:   conn.Paces(),
	}
	l.accepting.Host, l.accepting.Log = acceptHost{l}, s.logf
	l.conns.Init()
	l.conns.Log = s.logf
	l.app = app.New(appHost{l})
	l.subscribers = live.NewSubscribers(subscriberHost{l})
	l.sockets = live.NewSockets(socketHost{l}, &l.conns)
	l.secure.Init(&l.conns)
	l.secure.Freed = l.accepting.Resume
	l.secure.LogClient = func(level logfile.Level, client, line string) { l.s.logClient(level, client, line) }
	l.sites.Init(siteHost{l}, &l.http, &l.conns, &l.secure, l.sockets, serverName)
	l.clock(l.conns.Start())
	return l
}

// post runs f on the loop, soon, and returns false if the loop has ended. It is safe for concurrent use.
func (l *loop) post(f func()) bool { return l.conns.Events.Post(f) }

// recover logs p, a panic beside the loop's callbacks if it is not nil, and ends the work that it interrupted.
func (l *loop) recover(p any) {
	if p != nil {
		l.recovered(nil, p, debug.Stack())
	}
}

// recovered ends what a panic interrupted: c or, in flushBatch, every connection
// that waits for a response; not the server.
func (l *loop) recovered(h eventloop.Handler, p any, stack []byte) {
	var c *conn.Conn
	switch h := h.(type) {
	case *conn.Conn:
		c = h
	case interface{ Client() *conn.Conn }:
		c = h.Client()
	}
	l.s.logf(logfile.Error, "bug: %v in %s", p, stack)
	all := l.busyNow || c == nil
	l.busyNow = false
	defer func() {
		if p := recover(); p != nil {
			l.s.logf(logfile.Error, "bug: %v after a bug", p)
		}
	}()
	if !all {
		c.Close("internal error")
		return
	}
	for _, c := range l.conns.All() {
		if own, ok := c.Protocol().(*sites.Client); !ok || own.Busy() || c.Gathers() {
			c.Close("internal error")
		}
	}
}

// open makes c, whose descriptor it owns from now on, a connection of the loop.
func (l *loop) open(c *sites.Client) {
	if err := c.Open(c.Speaks()); err != nil {
		l.s.logf(logfile.Error, "cannot watch %s: %v", c, err)
		return
	}
	if l.paced && conn.SameMachine(c.Local, c.Remote) {
		conn.Unpace(c.Fd())
	}
	l.connectionOpened()
	l.accepting.Opened(c.Counts)
	c.Stamp = l.now()
	c.Schedule()
	if l.debug >= 1 {
		l.tracef("%s connected, %d open", c, l.live.Load())
	}
	if l.http.Draining() && (!c.Subrequest() || l.shut) {
		c.Close("the server is shutting down")
	}
}

// connectionOpened counts one more connection.
func (l *loop) connectionOpened() {
	if l.live.Add(1) == 1 {
		l.clock(time.Now())
		select {
		case l.idle <- struct{}{}:
		default:
		}
	}
}

// all returns the connections that speak HTTP/1, in no particular order.
func (l *loop) all() (list []*sites.Client) {
	for _, c := range l.conns.All() {
		if own, ok := c.Protocol().(*sites.Client); ok {
			list = append(list, own)
		}
	}
	return list
}

// busy reports whether other work waits for the loop.
func (l *loop) busy() bool { return l.conns.Events.Busy() }

// endOfBatch passes on what a batch of events has brought.
func (l *loop) endOfBatch(woken bool) {
	l.flushBatch()
	if woken { // now that all others have had their turn
		l.subscribers.Turn()
		l.sockets.Turn()
		if l.conns.Gathers() || l.conns.Resumes() {
			l.flushBatch()
		}
	}
	if l.gone {
		l.tellEnd()
	}
}

// flushBatch moves everything that can move: it starts what was submitted, delivers
// what came back, writes, and goes on with input that had to wait.
func (l *loop) flushBatch() {
	if l.busyNow {
		return // closing a connection calls back; the outer flushBatch goes on
	}
	l.busyNow = true
	for {
		l.sites.Turn()
		l.app.Run()
		if l.pages != nil {
			l.pages.Retry()
		}
		if l.conns.Unsent.Exceeded() {
			l.boundUnsent()
		}
		l.http.EaseBodies()
		l.sites.Turn() // clients that have their response are counted
		l.conns.Flush()
		if !l.conns.Resumes() && !l.app.Pending() && (l.pages == nil || !l.pages.Pending()) {
			break
		}
		l.conns.Resume()
	}
	l.sites.Turn() // the next request comes after a wait
	l.busyNow = false
}

func (l *loop) tracef(format string, args ...any) {
	l.s.log(logfile.Debug, fmt.Sprintf(format, args...))
}
