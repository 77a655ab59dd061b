package runtime

import (
	"context"
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/http1conn"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/static"
)

// A Server is an HTTP server with an event loop. The methods of a Server may be called on any goroutine except the
// loop's.
type Server struct {
	cfg Config
	// limits for request heads that are parsed again because the server has added fields
	again  http1.Limits
	loop   *loop
	over   chan struct{}
	failed chan error

	lock      sync.Once
	besideJob besideJob
	handed    *static.Handed              // the files in Config.SendfileRoots and AccelRoots
	store     atomic.Pointer[cache.Store] // nil without a cache
	stored    int64                       // value of Config.CacheSize when the field store was set

	// Copies of functions in the Config that was passed to New. Any goroutine may call these functions.
	log       func(logfile.Level, string)
	logClient func(level logfile.Level, client, line string)
	onIdle    func()
	onTick    func()

	measuring   atomic.Pointer[metrics.Recorder] // nil if requests are not counted
	lastMetrics atomic.Pointer[[]metrics.Family]
}

// New returns a server whose loop runs, but which has no listeners.
func New(cfg Config) (*Server, error) {
	s := &Server{handed: new(static.Handed)}
	s.loop = newLoop(s)
	cfg = cfg.withDefaults()
	s.log, s.logClient, s.onIdle, s.onTick = cfg.Log, cfg.Sites.LogClient, cfg.OnIdle, cfg.OnTick
	s.configure(cfg)
	if err := s.begin(); err != nil {
		return nil, fmt.Errorf("event loop: %w", err)
	}
	go s.loop.app.SendDuringTurns(s.loop.ended)
	return s, nil
}

func (s *Server) begin() (err error) {
	l := s.loop
	if l.conns.Events, err = eventloop.New(); err != nil {
		return err
	}
	if err = l.wake.open(l); err != nil {
		l.conns.Events.Close()
		return err
	}
	l.wake.theirs.SendNow, l.wake.theirs.AskForSender = l.app.SendNow, l.app.AskForSender
	turn := l.conns.Events.Once(l.giveEvents)
	l.subscribers.WakeBy(turn)
	l.sockets.WakeBy(turn)
	l.conns.SetReadSize(s.cfg.ReadBuffer)
	l.accepting.Events = l.conns.Events
	l.accepting.KeepReserve(l.wake.signals)
	l.conns.Events.OnWake(l.woken)
	l.conns.Events.AtEndOfBatch(l.flushBatch)
	l.conns.Events.OnPanic(l.recovered)
	l.post(func() {
		if err := l.conns.Events.Add(&l.wake.watch, l.wake.signals, &l.wake); err != nil {
			s.logf(logfile.Error, "signal handlers of the application will not run: %v", err)
		}
	})
	s.over, s.failed = make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(s.over)
		if err := s.run(); err != nil {
			s.logf(logfile.Error, "event loop: %v", err)
			s.failed <- err
		}
	}()
	return nil
}

// Configure replaces the Config except ReadBuffer, Log, LogClient, OnIdle and OnTick. Configure applies the settings
// of a script that was loaded on the loop after New. Configure must be called before Serve or Replace.
func (s *Server) Configure(cfg Config) {
	s.do(func() {
		cfg.Log, cfg.Sites.LogClient, cfg.OnIdle, cfg.OnTick = s.log, s.logClient, s.onIdle, s.onTick
		s.configure(cfg)
	})
}

func (s *Server) configure(cfg Config) {
	s.cfg = cfg.withDefaults()
	if s.again = s.cfg.Sites.Limits; s.cfg.Sites.Trace || s.cfg.Sites.RequestID {
		s.again = s.again.Plus(http1.OwnFields, http1.OwnLines)
	}
	s.loop.conns.Debug, s.loop.conns.WriteTimeout, s.loop.conns.Unsent.Max = s.cfg.Debug, s.cfg.WriteTimeout,
		s.cfg.MaxUnsent
	s.loop.compressor.Inline = s.cfg.Inline
	s.loop.accepting.Configure(s.cfg.Accept)
	s.loop.sites.Configure(s.cfg.Sites)
	s.loop.http2.Configure(s.cfg.HTTP2)
	if s.cfg.CacheSize > 0 && s.stored != s.cfg.CacheSize {
		s.stored = s.cfg.CacheSize
		s.store.Store(cache.New(s.cfg.CacheSize, 0))
		s.loop.pages = cache.NewPages(s.store.Load(), s.loop.Flush, s.loop.invalidated, &s.loop.conns, &s.again)
	}
	s.loop.secure.Configure(s.cfg.TLSTimeout, s.cfg.TLSHandshakes)
	if s.cfg.TLS != nil {
		s.loop.secure.SetConfig(s.cfg.TLS)
	}
	s.loop.app.Configure(s.appConfig())
	s.loop.subscribers.Configure(s.cfg.Channels, s.cfg.Accept.MaxClients)
	s.loop.sockets.Configure(s.cfg.WebSockets, s.cfg.Channels)
}

// Serve starts to accept connections on the listeners, and returns at once. The server then owns the listeners. A
// request is routed to the site with the request's host name, or to the first site if no site has this name. In the
// site, the request is routed to the first mount whose prefix matches. h is the handler for mounts without their own
// handler, and may be nil if every mount has one. Serve must be called only once; Accept adds listeners, and Replace
// changes the sites. An error has one line, and is about a directory in Config.SendfileRoots or AccelRoots, or about
// the names of the sites.
func (s *Server) Serve(listeners []*conn.Listener, sites []exchange.Site, h app.Interpreter) error {
	err := s.Replace(sites, h, nil)
	if err == nil {
		for _, ln := range listeners {
			s.Accept(ln)
		}
	}
	return err
}

// Replace replaces the sites and their handler. Requests that wait until an application is loaded
// (exchange.Mount.Pending) are answered by the new sites. All other active requests continue with the previous sites.
// When the last of them has ended, unused is called on a goroutine. Replace must not be called on the loop, before
// Serve, or before an earlier call has returned. The errors are the same as for Serve.
func (s *Server) Replace(sites []exchange.Site, h app.Interpreter, unused func()) error {
	handed := new(static.Handed)
	if err := handed.Open(s.cfg.SendfileRoots, s.cfg.AccelRoots, s.cfg.Private); err != nil {
		return err
	}
	table, err := s.loop.sites.Prepare(sites, h, s.source)
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

// GiveUp makes the server answer 503 to all waiting and future requests for pending mounts (exchange.Mount.Pending),
// because the application has failed to load. GiveUp returns when the waiting requests have been answered.
func (s *Server) GiveUp() {
	s.do(s.loop.sites.GiveUp)
	// Wait for the end of the batch in which the requests were answered.
	s.do(func() {})
}

// Accept makes the server accept connections on ln. The server then owns ln. Accept must not be called before Serve.
// After Shutdown or Retire, Accept only closes ln. Accept is safe for concurrent use.
func (s *Server) Accept(ln *conn.Listener) { s.loop.accepting.Accept(ln) }

// Unlisten stops accepting on ln and closes ln before it returns, and must not be called on the loop.
func (s *Server) Unlisten(ln *conn.Listener) { s.do(func() { s.loop.accepting.Unlisten(ln) }) }

func (s *Server) Dispatcher() *app.Dispatcher { return s.loop.app }

func (s *Server) Subscribers() *live.Subscribers { return s.loop.subscribers }

func (s *Server) Sockets() *live.Sockets { return s.loop.sockets }

// Override makes the server answer requests with o, or ends the override if o is nil. Override returns before the loop
// uses o, so o must not be changed afterwards. Override may be called on any goroutine except the loop's.
func (s *Server) Override(o *exchange.Override) {
	s.loop.post(func() { s.loop.sites.Override(o) })
}

// Do runs f on the loop's goroutine and returns when f has returned. The first call of Do locks the loop to its thread.
// Therefore thread-local state that f creates, such as an inline interpreter, still exists when the loop calls the
// Handler. Do must not be called on the loop.
func (s *Server) Do(f func()) {
	s.do(func() {
		s.lock.Do(goruntime.LockOSThread)
		f()
	})
}

// do runs f on the loop and waits until f has returned, or does nothing if the loop has ended.
func (s *Server) do(f func()) {
	done := make(chan struct{})
	if s.loop.post(func() {
		defer close(done)
		f()
	}) {
		<-done
	}
}

// DoBeside runs f on the same thread as Do. Until f returns, a second goroutine runs the loop on a different thread.
// DoBeside is for long work, such as loading an application. DoBeside is permitted only while no Handler depends on the
// loop's thread. Until DoBeside has returned, neither Do nor DoBeside may be called.
func (s *Server) DoBeside(f func()) {
	done := make(chan struct{})
	if s.loop.post(func() {
		s.besideJob = besideJob{do: f, done: done}
		s.loop.conns.Events.Leave()
	}) {
		<-done
	}
}

// A besideJob is long work that must run on the first thread of the loop (see Server.Do). During this work, a second
// goroutine runs the loop.
type besideJob struct {
	do   func()
	done chan struct{}
}

// run runs the loop and the jobs of DoBeside. run returns nil after the loop was stopped, or the error that ended the
// loop.
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

// Ping waits until the loop responds. If ctx ends first, for example because an inline handler blocks the loop, Ping
// returns the error of ctx.
func (s *Server) Ping(ctx context.Context) error {
	answered := make(chan struct{})
	s.loop.post(func() { close(answered) })
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Intact returns a one-line error if the application has damaged the server so that it can no longer answer. For
// example, the application may have closed, replaced or made blocking a descriptor of the server (os.closerange), or
// lowered the limit of open files. If the loop is only busy, Intact returns nil. Intact is safe for concurrent use,
// between Serve and Close.
func (s *Server) Intact() error {
	if err := s.loop.conns.Events.Intact(); err != nil {
		return err
	}
	return s.loop.accepting.Intact()
}

// Failed returns a channel that receives the error that has ended the loop. After this error, the server no longer
// answers.
func (s *Server) Failed() <-chan error { return s.failed }

// Discourage makes responses announce the end of their connection ("Connection: close", or GOAWAY), so that clients
// change to other servers before Shutdown. Discourage is safe for concurrent use.
func (s *Server) Discourage() {
	s.loop.post(func() { s.loop.sites.End = max(s.loop.sites.End, exchange.Discouraged) })
}

// HandIdle hands over the idle HTTP/1 connections without TLS to another process, which calls Arrive. All other
// connections close after the response to their next request. HandIdle calls give with the state and the descriptor of
// each connection, and then closes the descriptor. After an error of give, HandIdle closes the remaining connections.
// HandIdle must not be called on the loop.
func (s *Server) HandIdle(give func(d *http1conn.ClientState, fd int) error) (n int, err error) {
	var list []http1conn.IdleClient
	s.do(func() {
		s.loop.sites.End = max(s.loop.sites.End, exchange.Discouraged)
		list = s.loop.http1.TakeIdle()
	})
	return giveAll(list, give)
}

// HandWaiting hands over the HTTP/1 connections without TLS whose requests wait for a handler: requests contains these
// requests by their tickets, as the clients have sent them. The new process gets each request again. Otherwise,
// HandWaiting does the same as HandIdle.
func (s *Server) HandWaiting(requests map[exchange.Ticket][]byte,
	give func(d *http1conn.ClientState, fd int) error) (n int, err error) {
	var list []http1conn.IdleClient
	s.do(func() {
		for ticket, text := range requests {
			if x := s.loop.app.Exchange(ticket); x != nil {
				if one, ok := s.loop.http1.TakeWaiting(x, text); ok {
					list = append(list, one)
				}
			}
		}
	})
	return giveAll(list, give)
}

func giveAll(list []http1conn.IdleClient, give func(d *http1conn.ClientState, fd int) error) (n int, err error) {
	for _, one := range list {
		if err == nil {
			if err = give(&one.State, one.FD); err == nil {
				n++
			}
		}
		unix.Close(one.FD)
	}
	return n, err
}

// Arrive serves a connection that HandIdle of another process has handed over. Arrive owns fd, and closes fd if the
// server has no room. Arrive must not be called on the loop or before Serve.
func (s *Server) Arrive(d *http1conn.ClientState, fd int) {
	arrives := func() { unix.Close(fd) }
	s.do(func() {
		if !s.loop.Full() && s.loop.sites.End < exchange.Draining {
			arrives = func() {}
			s.loop.http1.Arrive(d, fd)
		}
	})
	arrives()
}

// HoldHistory keeps all events for the duration d, within the memory limit of the history. A server that will take over
// subscribers of another process must keep events until these subscribers have arrived. HoldHistory must not be called
// on the loop.
func (s *Server) HoldHistory(d time.Duration) {
	s.do(func() { s.loop.subscribers.Hold(d) })
}

// TakePublished moves all published events and messages to their channels and groups. Clients that subscribe later do
// not receive these events and messages. TakePublished must not be called on the loop.
func (s *Server) TakePublished() {
	s.do(func() {
		s.loop.subscribers.Take()
		s.loop.sockets.Take()
	})
}

// StopAccepting stops accepting at once. The loop closes the listeners a moment later. Shutdown and Retire call
// StopAccepting, which is safe for concurrent use.
func (s *Server) StopAccepting() { s.loop.accepting.Stop(false) }

// Shutdown accepts only the connections that already wait in the listen queues, and finishes the requests that have
// arrived. If ctx ends before these requests have ended, Shutdown closes the remaining connections and returns the
// error of ctx. The loop continues to run until Close, so Do still works.
func (s *Server) Shutdown(ctx context.Context) error {
	s.loop.accepting.Stop(true)
	return s.end(ctx, s.loop.drain)
}

// Retire ends the server as Shutdown does, while another process continues to accept on the same sockets. A connection
// closes after the response to its next request, or when no request has arrived for the duration idle. If idle is 0, no
// idle connection answers another request.
func (s *Server) Retire(ctx context.Context, idle time.Duration) error {
	return s.end(ctx, func() { s.loop.leave(exchange.Leaving, idle) })
}

// end stops accepting, runs begin on the loop, and waits until all connections have closed. When ctx ends, it closes
// the remaining connections.
func (s *Server) end(ctx context.Context, begin func()) error {
	s.StopAccepting()
	s.loop.post(begin)
	select {
	case <-s.loop.drained:
		return nil
	case <-ctx.Done():
	}
	s.loop.post(s.loop.closeAll)
	select {
	case <-s.loop.drained:
	case <-time.After(closeWithin):
	}
	return ctx.Err()
}

// closeWithin is how long Shutdown waits for a blocked loop after its ctx has ended.
const closeWithin = time.Second

func (s *Server) Close() error {
	s.StopAccepting()
	s.loop.post(s.loop.closeAll)
	select {
	case <-s.loop.drained:
	case <-s.over: // the loop has failed
	}
	close(s.loop.ended)
	s.loop.timer.Stop()
	s.loop.conns.Events.Stop()
	<-s.over
	s.loop.accepting.CloseReserve()
	s.loop.wake.close()
	return s.loop.conns.Events.Close()
}

func (s *Server) logf(level logfile.Level, format string, args ...any) {
	s.log(level, fmt.Sprintf(format, args...))
}
