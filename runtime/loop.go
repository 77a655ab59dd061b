package runtime

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/compress"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1conn"
	"fapws/runtime/http2"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
	"fapws/runtime/system"
)

const serverName = "fapws"

// loop contains the state and the callbacks of the event loop. Only the event loop may use this state, unless a comment
// says otherwise.
type loop struct {
	s     *Server
	cfg   *Config
	paced bool // the kernel paces TCP connections by default (conn.Paces)

	conns      conn.Set
	wake       wake
	accepting  conn.Acceptor
	secure     conn.TLSServer
	sites      exchange.Server
	http1      http1conn.Server
	http2      http2.Server
	app        *app.Dispatcher
	pages      *cache.Pages // nil without a cache
	compressor *compress.Compressor
	counts     *metrics.Recorder // nil if requests are not counted
	timer      *time.Timer
	// number of open connections; written on the loop, read by the method watch
	live atomic.Int64
	// number of exchanges that can time out; updated at each tick and when the last connection closes
	owed    atomic.Int64
	busyNow bool
	shut    bool

	// limits the log lines about responses that were aborted because of slow clients
	slow logfile.Seldom
	// number of responses that were aborted since the last log line
	cut int

	// number of open connections for each address, if Config.Accept limits this number
	addresses       conn.Shares
	crowdedWarnings logfile.Seldom

	subscribers *live.Subscribers
	sockets     *live.Sockets
	tunnels     *live.Tunnels

	ticking atomic.Bool // a tick was posted and has not yet run
	// parameter of the latest call of Replace; nil after the function was called
	unused func()

	gone    bool // the server is stopping, and the last connection has closed
	drained chan struct{}
	tellEnd func()
	ended   chan struct{}
}

func newLoop(s *Server) *loop {
	l := &loop{
		s:       s,
		cfg:     &s.cfg,
		drained: make(chan struct{}),
		ended:   make(chan struct{}),
		paced:   conn.Paces(),
	}
	l.timer = time.AfterFunc(math.MaxInt64, l.watch)
	l.tellEnd = sync.OnceFunc(func() { close(l.drained) })
	l.accepting.Room, l.accepting.Accepted, l.accepting.Log = l.room, l.accepted, s.logf
	l.conns.Init()
	l.conns.Log = s.logf
	l.conns.Unsent.Exceeded = func() { l.conns.Soon(nil, l.boundUnsent) }
	l.app = app.New(l, &l.conns, &l.secure, l.s.subrequest)
	l.compressor = compress.New(&l.conns)
	l.sites.Compressor = l.compressor
	l.subscribers = live.NewSubscribers(l, &l.sites, &l.conns)
	l.sockets = live.NewSockets(l, &l.sites, &l.conns)
	l.tunnels = live.NewTunnels(l, &l.conns)
	l.secure.Init(&l.conns)
	l.secure.Freed = l.accepting.Resume
	l.secure.LogClient = func(level logfile.Level, client, line string) { l.s.logClient(level, client, line) }
	l.http2.Init(&l.sites)
	l.sites.Init(l, &l.conns, &l.secure, l.offer, serverName)
	l.http1.Init(&l.sites, &l.secure, l.Open, l.http2.Begin)
	l.clock(l.conns.Start)
	return l
}

// post makes the loop run f soon, or returns false if the loop has ended. post is safe for concurrent use.
func (l *loop) post(f func()) bool { return l.conns.Events.Post(f) }

// recovered closes the connections whose work a panic has interrupted. conn.Set.Guard has recovered from the panics of
// work for one client. After any other panic in flushBatch or in a posted function, recovered closes every connection
// that waits for a response.
func (l *loop) recovered(h eventloop.Handler, p any) {
	own, ok := h.(*conn.Conn)
	all := l.busyNow || h == nil
	l.busyNow = false
	var interrupted []*conn.Conn // none if, for example, the acceptor has panicked
	switch {
	case all:
		interrupted = slices.DeleteFunc(l.conns.All(), func(c *conn.Conn) bool {
			idle, ok := c.Protocol().(*http1conn.Conn)
			return ok && !idle.Busy() && !c.Gathers()
		})
	case ok:
		interrupted = append(interrupted, own)
	}
	l.conns.Fail(p, interrupted...)
}

type wake struct {
	l       *loop
	watch   eventloop.Watch
	signals int // the server's end of the socketpair
	theirs  eventloop.Waker
}

func (w *wake) open(l *loop) error {
	fds, err := system.SocketpairNonblock()
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	w.l, w.signals, w.theirs = l, fds[0], l.conns.Events.Waker()
	w.theirs.Signals = fds[1]
	return nil
}

func (w *wake) close() {
	unix.Close(w.signals)
	unix.Close(w.theirs.Signals)
}

func (l *loop) woken() {
	if l.conns.Debug >= 2 {
		l.conns.Tracef("woken by the application")
	}
	l.app.Due = true
	l.flushBatch()
}

func (w *wake) Ready(eventloop.Readiness) {
	l := w.l
	var b [64]byte
	n, err := conn.Receive(w.signals, b[:])
	if n == 0 || err != nil && err != unix.EAGAIN { // the application has closed one of the server's descriptors
		w.watch.Remove()
		l.s.logf(logfile.Error, "signal handlers of the application will not run: their socket was closed")
		return
	}
	if n == len(b) {
		w.watch.Again()
	}
	for _, signal := range b[:max(n, 0)] {
		if signal != 0 {
			l.app.Signalled()
			break
		}
	}
	l.app.Due = true
}

// flushBatch is called at the end of a batch of events. flushBatch starts submitted requests, delivers finished parts,
// writes output, and continues with pending input.
func (l *loop) flushBatch() {
	if l.busyNow {
		// This is a recursive call, because closing a connection can call flushBatch. The outer call of flushBatch does
		// the work.
		return
	}
	l.busyNow = true
	for {
		if l.counts != nil {
			l.counts.Turn()
		}
		if l.app.Due {
			l.app.Flush()
		}
		l.app.Deliver()
		l.Flush()
		if !l.conns.Resume() && !l.app.Due {
			break
		}
	}
	if l.counts != nil {
		l.counts.Turn() // the loop waits for the next request now
	}
	l.busyNow = false
	if l.gone {
		l.tellEnd()
	}
}

// Flush compresses waiting parts of responses, writes the gathered output, and counts the finished responses.
func (l *loop) Flush() {
	if l.counts != nil {
		l.counts.Turn()
	}
	if l.compressor.Due {
		l.compressor.Compress()
	}
	l.conns.Flush()
}

func (l *loop) giveEvents() {
	l.flushBatch()
	l.subscribers.Turn()
	l.sockets.Turn()
	l.conns.Flush()
	if l.app.Due { // the handlers of closed WebSockets must be notified
		l.flushBatch()
	}
}

const (
	// tickLength is the interval between checks of the deadlines, in nanoseconds.
	tickLength = eventloop.Tick

	// quietAfter is how long the server must be without connections before it counts as idle. Because of this delay,
	// the server does not count as idle between clients that connect one after the other.
	quietAfter = 100 * time.Millisecond
)

// The timer loop.timer calls the method watch. While there are connections, watch is called at each tick, and makes the
// loop update its time and check its deadlines. When there has been no connection for the time quietAfter, watch calls
// onIdle, and the timer stops. An idle server thus has no ticks.
func (l *loop) watch() {
	select {
	case <-l.ended:
		return
	default:
	}
	if l.s.onTick != nil {
		l.s.onTick()
	}
	if l.live.Load() == 0 && l.owed.Load() == 0 {
		if l.s.onIdle != nil {
			l.s.onIdle()
		}
		return
	}
	if l.ticking.CompareAndSwap(false, true) { // post no second tick while the loop is blocked
		l.post(l.ticked)
	}
	l.app.Stalled()
	l.timer.Reset(time.Duration(tickLength))
}

// now returns the loop's time, in nanoseconds since the start of the loop, which is at most tickLength behind the
// clock.
func (l *loop) now() int64 { return l.conns.Now }

func (l *loop) clock(t time.Time) {
	l.conns.SetTime(t)
	l.sites.Heads.SetTime(l.conns.Unix())
}

func (l *loop) ticked() {
	l.ticking.Store(false)
	before := l.now()
	l.clock(time.Now())
	switch late := l.now() - before - tickLength; {
	case late > tickLength:
		// An inline handler has blocked the loop, so all timestamps since the last tick have the time of the last tick.
		// Replace them by the current time.
		l.conns.Restamp(before, l.now())
		l.app.ExcludeBlockedTime(l.now() - before)
	case late > tickLength/8:
		// All timestamps since the last tick have the time of the last tick. This may be too early by more than one
		// tick, but deadlines allow only for one tick.
		l.conns.Restamp(before, l.now()-tickLength)
	}
	l.sites.Tick()
	l.app.Tick()
	l.dismiss()
	l.owed.Store(int64(l.app.AwaitsPart()))
	if l.pages != nil {
		l.pages.Tick()
	}
	l.subscribers.Tick()
	l.sockets.Expire()
	l.conns.Tick()
	// a TLS handshake may now be old enough to be closed in favor of a waiting client
	l.accepting.Resume()
}

// dismiss calls the function unused, a parameter of Replace, if no request of the previous sites is active.
func (l *loop) dismiss() {
	if l.unused != nil && !l.sites.HasFormer() && !l.app.HasFormer() {
		go l.unused()
		l.unused = nil
	}
}

func (l *loop) boundUnsent() {
	client, unsent, ended := l.conns.Unsent.Bound(l.now())
	if ended == 0 {
		return
	}
	if l.cut += ended; !l.slow.Now() {
		return
	}
	others := ""
	if l.cut > 1 {
		others = fmt.Sprintf(", and %d more since the last such line", l.cut-1)
	}
	l.cut = 0
	l.s.logClient(logfile.Warning, client,
		fmt.Sprintf("response ended with %.1f MiB unread%s: more than %d MiB wait for slow clients; see --max-unsent",
			float64(unsent)/(1<<20), others, l.cfg.MaxUnsent>>20))
}

// headWithin is how long a stopping server waits for the first request of a new connection, for a TLS handshake, or for
// the rest of an incomplete request.
const headWithin = 2 * time.Second

func (l *loop) drain() { l.leave(exchange.Draining, headWithin) }

// leave begins a stage of the shutdown, unless this stage or a later one has already begun. If end is Leaving,
// connections may stay idle for the duration idle, because a request may be on its way; if idle is 0, idle connections
// that have carried a request close at once.
func (l *loop) leave(end exchange.Ending, idle time.Duration) {
	if l.sites.End >= end {
		return
	}
	l.sites.End = end
	retires, atOnce := end == exchange.Leaving, idle == 0
	if atOnce {
		idle = headWithin // for connections that have not carried a request yet
	}
	l.sites.Config.KeepAlive = min(l.sites.Config.KeepAlive, idle)
	l.secure.Limit(idle)
	l.app.EndEvents()
	l.sockets.Drain(retires)
	l.conns.Drain(retires && !atOnce)
	l.gone = l.live.Load() == 0
	l.subscribers.Drain(retires)
}

func (l *loop) closeAll() {
	l.drain()
	l.shut = true
	l.conns.CloseAll("the server has shut down")
}
