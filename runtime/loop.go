package runtime

import (
	"fmt"
	"math"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

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
	"fapws/runtime/source/static"
	"fapws/runtime/system"
)

const serverName = "fapws"

// loop is what the event loop calls. Everything in it belongs to the
// loop's goroutine unless a comment says otherwise.
type loop struct {
	s     *Server
	cfg   *Config
	paced bool // TCP connections are, unless we say otherwise: see conn.Paces

	conns     conn.Set // all of them, with the clock and the output that is gathered
	wake      wake
	accepting conn.Acceptor
	secure    conn.TLSServer  // has the handshakes of TLS
	sites     exchange.Server // has exchanges, and decides what answers
	http1     http1conn.Server
	http2     http2.Server
	app       *app.Dispatcher   // has the requests that handlers answer
	pages     *cache.Pages      // nil: nothing is kept
	counts    *metrics.Recorder // nil: requests are not counted
	timer     *time.Timer       // calls watch
	live      atomic.Int64      // open connections; written here, read by watch
	owed      atomic.Int64      // exchanges that may get overdue, at the last tick or when the last connection went
	busyNow   bool              // flushBatch is on the stack
	shut      bool              // closeAll was called

	slow logfile.Seldom // lines that responses were ended because clients read too slowly
	cut  int            // responses that were ended since the last one

	subscribers *live.Subscribers // of channels
	sockets     *live.Sockets

	ticking atomic.Bool // a tick is on its way
	unused  func()      // of Replace, until it is called

	gone    bool          // leaving, and the last connection has gone
	drained chan struct{} // closed by tellEnd, at the end of the batch in which that was
	tellEnd func()        // tells Shutdown
	ended   chan struct{} // closed by Close
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
	l.accepting.Loop, l.accepting.Log = l, s.logf
	l.conns.Init()
	l.conns.Log = s.logf
	l.conns.Unsent.Exceeded = func() { l.conns.Soon(l.boundUnsent) }
	l.app = app.New(l, &l.conns)
	l.subscribers = live.NewSubscribers(l, &l.sites, &l.conns)
	l.sockets = live.NewSockets(l, &l.sites, &l.conns)
	l.secure.Init(&l.conns)
	l.secure.Freed = l.accepting.Resume
	l.secure.LogClient = func(level logfile.Level, client, line string) { l.s.logClient(level, client, line) }
	l.http2.Init(&l.sites)
	l.sites.Init(l, &l.conns, &l.secure, l.sockets, serverName)
	l.http1.Init(&l.sites, &l.secure, l.Open, l.http2.Begin)
	l.clock(l.conns.Start)
	return l
}

// post runs f on the loop, soon, and returns false if the loop has ended. It is safe for concurrent use.
func (l *loop) post(f func()) bool { return l.conns.Events.Post(f) }

// recovered ends what a panic interrupted: c or, in flushBatch, every connection
// that waits for a response; not the server.
func (l *loop) recovered(h eventloop.Handler, p any, stack []byte) {
	c, ok := h.(*conn.Conn)
	l.s.logf(logfile.Error, "bug: %v in %s", p, stack)
	all := l.busyNow || !ok
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
		if own, ok := c.Protocol().(*http1conn.Conn); !ok || own.Busy() || c.Gathers() {
			c.Close("internal error")
		}
	}
}

// Open makes c, whose descriptor it owns from now on, a connection of the loop.
func (l *loop) Open(c *http1conn.Conn) {
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
	if l.conns.Debug >= 1 {
		l.conns.Log(logfile.Debug, "%s connected, %d open", c, l.live.Load())
	}
	if l.sites.End == exchange.Draining && (!c.Subrequest() || l.shut) {
		c.Close("the server is shutting down")
	}
}

// connectionOpened counts one more connection.
func (l *loop) connectionOpened() {
	l.sites.Opened(1)
	if l.live.Add(1) == 1 {
		l.clock(time.Now())
		l.timer.Reset(time.Duration(tickLength))
	}
}

// flushBatch is the end of a batch of events. It moves everything that can move: it starts requests that were submitted, delivers
// what came back, writes, and goes on with input that had to wait.
func (l *loop) flushBatch() {
	if l.busyNow {
		return // closing a connection calls back; the outer flushBatch goes on
	}
	l.busyNow = true
	for {
		if l.counts != nil {
			l.counts.Turn()
		}
		l.app.Run()
		l.Flush()
		if !l.conns.Resume() && !l.app.Due {
			break
		}
	}
	if l.counts != nil {
		l.counts.Turn() // the next request comes after a wait
	}
	l.busyNow = false
	if l.gone {
		l.tellEnd()
	}
}

// Flush writes the output that is gathered. Clients that have their response are counted.
func (l *loop) Flush() {
	if l.counts != nil {
		l.counts.Turn()
	}
	l.conns.Flush()
}

// Serve starts to accept connections on the listeners, which it owns from now
// on, and returns at once. Requests go to the site of all that has their host, the first
// one if none has, and there to the first mount whose prefix fits. h answers
// where a mount names nothing else; nil if there is no such mount. Call it once;
// more listeners may follow with Accept, and other sites with Replace. The error, of one line, is about the directories of
// Config.SendfileRoots and AccelRoots, or about names of sites.
func (s *Server) Serve(listeners []*conn.Listener, all []exchange.Site, h app.Interpreter) error {
	err := s.Replace(all, h, nil)
	if err == nil {
		for _, ln := range listeners {
			s.Accept(ln)
		}
	}
	return err
}

// Replace has other sites, with their handler, answer from now on, also the requests that wait (exchange.Mount.Pending). What was
// begun before is finished as it was begun; unused is called, on a goroutine, when nothing of that is left. Call it after Serve,
// when an earlier call has returned, and not on the loop. The error is as of Serve.
func (s *Server) Replace(all []exchange.Site, h app.Interpreter, unused func()) error {
	handed := new(static.Handed)
	if err := handed.Open(s.cfg.SendfileRoots, s.cfg.AccelRoots, s.cfg.Private); err != nil {
		return err
	}
	table, err := s.loop.sites.Prepare(all, h, s.source)
	if err != nil {
		return err
	}
	s.do(func() {
		l := s.loop
		s.handed = handed
		l.app.Configure(s.appConfig())
		l.sites.Use(table)
		l.app.Serve(h)
		l.unused = unused
	})
	return nil
}

// GiveUp answers the requests that wait (exchange.Mount.Pending) with 503, and those that would: what they wait for does not come. It
// returns when they have been answered.
func (s *Server) GiveUp() {
	s.do(s.loop.sites.GiveUp)
	s.do(func() {}) // behind the end of that batch
}

// dismiss tells the caller of Replace when nothing of the sites before is left.
func (l *loop) dismiss() {
	if l.unused != nil && !l.sites.HasFormer() && !l.app.HasFormer() {
		go l.unused()
		l.unused = nil
	}
}

// wake is how others get the loop out of its sleep, and the end of a socketpair by which the application's
// signals come.
type wake struct {
	l       *loop
	watch   eventloop.Watch
	signals int // our end of the socketpair
	theirs  eventloop.Waker
}

// open makes the socketpair.
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

// woken sends the parts that the application has finished, before new requests are read and before a tick looks at the time.
func (l *loop) woken() {
	if l.conns.Debug >= 2 {
		l.conns.Tracef("woken by the application")
	}
	l.app.Due = true
	l.flushBatch()
}

// Ready implements eventloop.Handler: signals for the application have come.
func (w *wake) Ready(eventloop.Readiness) {
	l := w.l
	var b [64]byte
	n, err := conn.Receive(w.signals, b[:])
	if n == 0 || err != nil && err != unix.EAGAIN { // the script has closed a descriptor of the server
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

// Intact returns an error, of one line, if the server can answer no more requests because of the application: a descriptor
// that it needs was closed (os.closerange), is another file now or was made blocking, or the limit of open files was
// lowered. A loop that is only busy is intact. It is safe for concurrent use, between Serve and Close.
func (s *Server) Intact() error {
	if err := s.loop.conns.Events.Intact(); err != nil {
		return err
	}
	return s.loop.accepting.Intact()
}

// besideJob is work for the thread of the loop that would hold the loop up. Another goroutine runs the loop meanwhile.
type besideJob struct {
	do   func() // nil: there is none
	done chan struct{}
}

// run runs the loop, and the work of DoBeside between. It returns nil when the loop has stopped, or else why it cannot go on.
func (s *Server) run() error {
	events := s.loop.conns.Events
	for {
		err := events.Run()
		if err != eventloop.ErrLeft {
			return err
		}
		e := s.besideJob
		s.besideJob = besideJob{}
		s.lock.Do(goruntime.LockOSThread)
		left := make(chan error, 1)
		go func() { left <- events.Run() }()
		e.do()
		events.Post(events.Leave)
		err = <-left
		close(e.done)
		if err != eventloop.ErrLeft {
			return err
		}
	}
}

// DoBeside is Do for an f that may take long: until it has returned, another goroutine runs the loop, so the Handler of Serve
// must not depend on a thread yet. Call it when an earlier call has returned, and neither Do nor DoBeside meanwhile.
func (s *Server) DoBeside(f func()) {
	done := make(chan struct{})
	if s.loop.post(func() {
		s.besideJob = besideJob{do: f, done: done}
		s.loop.conns.Events.Leave()
	}) {
		<-done
	}
}
