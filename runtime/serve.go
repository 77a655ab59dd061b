package runtime

import (
	"errors"

	"fapws/runtime/exchange"
	"fapws/runtime/listen"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/source/static"
)

// Serve starts to accept connections on the listeners, which it owns from now
// on, and returns at once. Requests go to the site of all that has their host, the first
// one if none has, and there to the first mount whose prefix fits. h answers
// where a mount names nothing else; nil if there is no such mount. Call it once;
// more listeners may follow with Accept, and other sites with Replace. The error, of one line, is about the folders of
// Config.SendfileRoots and AccelRoots, or about names of sites.
func (s *Server) Serve(listeners []*listen.Listener, all []sites.Site, h app.Handler) error {
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
