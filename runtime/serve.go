package runtime

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/source/static"
	"fapws/runtime/system"
)

// Serve starts to accept connections on the listeners, which it owns from now
// on, and returns at once. Requests go to the site of all that has their host, the first
// one if none has, and there to the first mount whose prefix fits. h answers
// where a mount names nothing else; nil if there is no such mount. Call it once;
// more listeners may follow with Accept, and other sites with Replace. The error, of one line, is about the folders of
// Config.SendfileRoots and AccelRoots, or about names of sites.
func (s *Server) Serve(listeners []*conn.Listener, all []sites.Site, h app.Handler) error {
	if !s.serving.CompareAndSwap(false, true) {
		return errors.New("Serve was called before")
	}
	wait, err := s.use(all, h, nil)
	if err != nil {
		return err
	}
	for _, ln := range listeners { // behind the sites: the loop keeps the order
		s.Accept(ln)
	}
	wait()
	return nil
}

// Replace has other sites, with their handler, answer from now on, also the requests that wait (sites.Mount.Pending). What was
// begun before is finished as it was begun; unused is called, on a goroutine, when nothing of that is left. Call it after Serve,
// when an earlier call has returned, and not on the loop. The error is as of Serve.
func (s *Server) Replace(all []sites.Site, h app.Handler, unused func()) error {
	wait, err := s.use(all, h, unused)
	if err == nil {
		wait()
	}
	return err
}

// use has the sites answer; wait returns when they do.
func (s *Server) use(all []sites.Site, h app.Handler, unused func()) (wait func(), err error) {
	handed := new(static.Handed)
	if err := handed.Open(s.cfg.SendfileRoots, s.cfg.AccelRoots, s.cfg.Private); err != nil {
		return nil, err
	}
	table, err := s.loop.sites.Prepare(all, h, func(m *sites.Mount) (exchange.Source, bool) { return s.source(m, h) })
	if err != nil {
		return nil, err
	}
	return s.order(func() {
		l := s.loop
		s.handed = handed
		l.app.Configure(s.appConfig())
		l.sites.Use(table)
		limited := table.Limited || s.cfg.Timeout > 0
		l.limited.Store(limited || l.limited.Load())
		l.app.Serve(h, table.Handlers, limited)
		l.unused = unused
	}), nil
}

// GiveUp answers the requests that wait (sites.Mount.Pending) with 503, and those that would: what they wait for does not come. It
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

// woken takes the published events and messages, before later subscribers join, and sends the parts that the application
// has finished, before new requests are read and before a tick looks at the time.
func (l *loop) woken() {
	if l.debug >= 2 {
		l.tracef("woken by the application")
	}
	l.takePublished()
	l.app.Wake()
	l.flushBatch()
}

// Ready implements eventloop.Handler: signals for the application have come.
func (w *wake) Ready(eventloop.Readiness) {
	l := w.l
	var b [64]byte
	n, err := system.Receive(w.signals, b[:])
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
	l.app.Wake()
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
