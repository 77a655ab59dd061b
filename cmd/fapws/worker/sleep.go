package worker

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
)

// With --idle-stop, a worker with the role pool.Asleep serves the sites of service.go and loads the application when
// the first request needs it. A worker that is awake reports when its application was unused for the time of idle-stop.
// When all are unused, the supervisor replaces the workers.

type lateLoad struct {
	p        *Parent
	needed   chan struct{}
	need     func()
	settled  chan struct{}            // closed when the application serves, or has failed to load
	watches  bool                     // the application wants to know of subscribers
	presence []pybridge.PresenceEvent // for the application; used by the loop
	failed   atomic.Bool              // the application has not loaded, and will not
}

// mostPresence limits the events that wait for an application that is asleep.
const mostPresence = 20000

// remembered returns the settings of a script with PATHS, in JSON, for workers that are asleep (pool.Settled.Script);
// empty without settings.
func (s *service) remembered() string {
	if s.conf.IdleStop == 0 || s.contents == nil || s.contents.Apps[0].Class != "" {
		return ""
	}
	return asJSON(s.contents.Apps[0].Settings)
}

// recall applies the settings of the script from another worker before the sites are built.
func (p *Parent) recall() error {
	s := p.s
	z := &lateLoad{p: p, needed: make(chan struct{}), settled: make(chan struct{})}
	z.failed.Store(p.Role == pool.PageOnly)
	z.need = sync.OnceFunc(func() { close(z.needed) })
	s.lateLoad = z
	var globals pybridge.Settings
	_ = json.Unmarshal([]byte(p.Script), &globals) // a worker of this program has made it
	z.watches = p.Watches
	var err error
	s.conf, err = s.plan.Recall(globals)
	return err
}

// run serves without the application until a request needs it, and with it from then on. It returns the exit code.
func (z *lateLoad) run() (code int, err error) {
	s, p := z.p.s, z.p
	s.signals.serve()
	ended := s.obeyOrders()
	process.LimitOrphan(s.conf.ShutdownDelay + s.conf.GracefulTimeout + endMargin)
	p.joinEarly()
	s.memory.Started()
	p.configured()
	p.loaded()
	if z.failed.Load() {
		select {} // until other workers serve: see obeyOrders
	}
	<-z.needed // or the process ends: see obeyOrders
	limit := s.conf.LoadTimeout
	late := time.AfterFunc(limit, func() { z.fail(fmt.Errorf("the application did not load within %v", limit)) })
	if err = s.load(); err == nil && !z.failed.Load() {
		err = s.start()
	}
	if !late.Stop() {
		select {} // until another worker has taken over
	}
	if err != nil {
		z.fail(err)
		if s.app != nil {
			s.onPython(func() { s.app.Close() })
		}
		select {} // until another worker has taken over
	}
	s.server.Do(z.tellPresence)
	close(z.settled)
	return s.finish(s.serve(ended)), nil
}

// wake starts to load the application and waits until it has loaded. It is safe for concurrent use.
func (z *lateLoad) wake() {
	z.need()
	<-z.settled
}

// fail reports once why the application has not loaded, and requests a replacement of this worker, which serves until
// then. Requests for the application get 503, or with --dev the page of the supervisor.
func (z *lateLoad) fail(err error) (code int) {
	if z.failed.Swap(true) {
		return 0
	}
	s := z.p.s
	code = s.reportError(err)
	close(z.settled)
	z.p.recycle("the application failed to load")
	if s.conf.Dev {
		time.AfterFunc(noticeWithin, s.server.GiveUp)
	} else {
		s.server.GiveUp()
	}
	return code
}

// noticeWithin is how long clients wait for the page about a failure.
const noticeWithin = 2 * time.Second

// keepPresence keeps an event for the application, which that wakes. It must be called on the event loop.
func (z *lateLoad) keepPresence(e pybridge.PresenceEvent) {
	if z.watches && len(z.presence) < mostPresence {
		z.presence = append(z.presence, e)
		z.need()
	}
}

// tellPresence passes the queued presence events to the application. It must be called on the event loop.
func (z *lateLoad) tellPresence() {
	for _, e := range z.presence {
		z.p.s.handler.NotifyPresence(e)
	}
	z.presence = nil
}

// asleep reports whether the application has not been loaded because no request needed it. It is safe for concurrent
// use.
func (s *service) asleep() bool { return s.lateLoad != nil && !s.complete.Load() }

// used records a use of the application other than by a request. It is safe for concurrent use.
func (s *service) used() {
	now := time.Now()
	s.lastUse.Store(&now)
}

func (s *service) unused() bool {
	if s.plan.Conf.IdleStop == 0 || !s.complete.Load() || s.contents == nil {
		return false
	}
	idle := min(time.Since(*s.lastUse.Load()), s.server.Unused())
	if loader := s.loader.Load(); loader != nil {
		idle = min(idle, loader.Unused())
	}
	return idle >= s.plan.Conf.IdleStop
}
