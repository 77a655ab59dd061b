package worker

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

// A worker with the role pool.Asleep (--idle-stop) serves the sites from service.buildEarly, and loads the application
// when the first request needs it. With the role pool.Fresh (--dev), it loads the application at once.

type lateLoad struct {
	p      *Parent
	needed chan struct{}
	need   func()
	// presence events that wait for the application
	presence []pybridge.PresenceEvent
}

// mostPresence limits the number of presence events that are queued while the application is asleep.
const mostPresence = 20000

func newLateLoad(p *Parent) *lateLoad {
	z := &lateLoad{p: p, needed: make(chan struct{})}
	z.need = sync.OnceFunc(func() { close(z.needed) })
	if p.Role == pool.PageOnly {
		p.s.python.become(appFailed)
	} else {
		p.s.python.become(appAsleep)
	}
	if p.Role == pool.Fresh {
		z.need()
	}
	return z
}

func remembered(conf *settings.Config, contents *pybridge.Contents) string {
	switch {
	case conf.IdleStop == 0 && !conf.Dev || contents == nil:
		return ""
	case contents.Apps[0].Class != "":
		return "null"
	}
	return string(asJSON(contents.Apps[0].Settings))
}

// settings returns all settings, including the settings from the script, which another worker has read.
func (z *lateLoad) settings() (settings.Config, error) {
	if z.p.Script == "" {
		return z.p.s.conf, nil // a worker for PageOnly, because no application has loaded
	}
	var globals pybridge.Globals
	_ = json.Unmarshal([]byte(z.p.Script), &globals) // cannot fail, because a worker of the same program wrote the JSON
	return z.p.s.plan.Recall(globals)
}

// run serves without the application until a request needs the application. Then run loads the application, continues
// to serve, and returns the exit code.
func (z *lateLoad) run() (code int, err error) {
	s, p := z.p.s, z.p
	s.signals.serve()
	ended := s.obeyOrders()
	process.LimitOrphan(s.conf.ShutdownDelay + s.conf.GracefulTimeout + endMargin)
	p.joinEarly()
	s.memory.Started()
	p.configured()
	p.loaded()
	if s.python.is(appFailed) {
		select {} // obeyOrders ends the process when other workers serve
	}
	<-z.needed // obeyOrders may end the process during this wait
	loaded, limit := make(chan struct{}), sync.WaitGroup{}
	limit.Go(func() { z.limit(loaded) })
	err = s.load(z.fail)
	close(loaded)
	limit.Wait()
	if s.python.is(appFailed) {
		select {} // serve until another worker has replaced this worker
	}
	if err == nil {
		err = s.start()
	}
	if err != nil {
		z.fail(err)
		if app := s.python.app; app != nil {
			s.python.do(func() { app.Close() })
		}
		select {}
	}
	s.server.Do(z.tellPresence)
	return s.finish(s.serve(ended)), nil
}

// limit calls fail if this process waits too long while it loads the application.
func (z *lateLoad) limit(loaded <-chan struct{}) {
	clock, most := pool.LoadClock{Pid: os.Getpid()}, z.p.s.conf.LoadTimeout
	for clock.Tick() < most {
		select {
		case <-loaded:
			return
		case <-time.After(pool.ClockTick):
		}
	}
	z.fail(errors.New("the application " + pool.TooSlow(most)))
}

// fail reports once why the application has failed to load, and asks the supervisor to replace this worker. Until the
// replacement, requests for the application get status 503, or with --dev the failure page.
func (z *lateLoad) fail(err error) (code int) {
	s := z.p.s
	if !s.python.become(appFailed) {
		return 0
	}
	code = s.reportError(err)
	z.p.recycle("the application failed to load")
	if s.conf.Dev {
		time.AfterFunc(noticeWithin, s.server.GiveUp)
	} else {
		s.server.GiveUp()
	}
	return code
}

const noticeWithin = 2 * time.Second

// keepPresence queues a presence event and wakes the application, and must be called on the event loop.
func (z *lateLoad) keepPresence(e pybridge.PresenceEvent) {
	if z.p.Watches && len(z.presence) < mostPresence {
		z.presence = append(z.presence, e)
		z.need()
	}
}

// tellPresence passes the queued presence events to the application, and must be called on the event loop.
func (z *lateLoad) tellPresence() {
	for _, e := range z.presence {
		z.p.s.python.handler.NotifyPresence(e)
	}
	z.presence = nil
}
