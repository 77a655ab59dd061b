package pool

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"fapws/cmd/fapws/memory"
	"fapws/runtime/loglevel"
)

// startFailed is the exit code when workers cannot be started at all.
const startFailed = 3

// Pool keeps workers. Its exported methods may be called from any
// goroutine.
type Pool struct {
	o       Options
	events  chan func()
	signals *Signals
	over    chan struct{} // closed when Run has ended
	since   time.Time

	// What follows belongs to the goroutine of Run.
	addresses []Address
	settled   *Settled // of the first worker
	slots     []*slot
	want      int // number of slots
	workers   map[int]*worker
	batch     *generation // that is being loaded
	next      *request    // for another one after it
	adopted   int         // generations that have served
	stopping  bool
	told      time.Time // when a TERM or INT made it stop
	result    error     // of Run; nil is a clean end
	ended     bool
	questions map[uint64]*question
	lastID    uint64
	handing   bool   // another program takes over as soon as nobody reads the channels
	failure   string // why the last generation does not serve, or ""
	page      string // about it; "" also when nobody makes one
	standIn   *worker
	relay     relay
}

// New makes a pool that does nothing before Run.
func New(o Options) *Pool {
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	return &Pool{
		o:         o,
		events:    make(chan func()),
		over:      make(chan struct{}),
		since:     time.Now(),
		want:      o.Workers,
		workers:   make(map[int]*worker),
		questions: make(map[uint64]*question),
		relay:     newRelay(),
	}
}

// Run starts the workers, or goes on with those of handover, and returns when
// the last one has ended: nil after Stop, a *StartError when the first start
// failed. signals are what the process is sent.
func (s *Pool) Run(signals *Signals, handover *Handover) error {
	defer close(s.over)
	s.signals = signals
	if s.o.MaxRSS > 0 {
		defer s.every(memoryEvery, s.lookAtMemory).Stop()
	}
	defer s.every(checkEvery, s.checkWorkers).Stop()
	if handover != nil {
		s.resume(handover)
	} else {
		s.begin(request{why: "start"})
	}
	for !s.ended {
		select {
		case f := <-s.events:
			f()
		case sig := <-s.signals.C:
			s.signal(sig)
		case <-s.signals.ended:
			s.reapOrphans()
		}
	}
	s.closeSockets()
	return s.result
}

// every calls f on the goroutine of Run, again and again.
func (s *Pool) every(d time.Duration, f func()) *time.Ticker {
	ticker := time.NewTicker(d)
	go func() {
		for {
			select {
			case <-ticker.C:
				s.post(f)
			case <-s.over:
				return
			}
		}
	}()
	return ticker
}

// post runs f on the goroutine of Run, or not at all when that has ended.
func (s *Pool) post(f func()) bool {
	select {
	case s.events <- f:
		return true
	case <-s.over:
		return false
	}
}

// signal does what a signal asks for.
func (s *Pool) signal(sig os.Signal) {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT:
		switch {
		case !s.stopping:
			s.told = time.Now()
			s.stop(Stop)
		case time.Since(s.told) >= Echo:
			s.killAll()
		}
	case syscall.SIGQUIT:
		s.stop(Quit)
	case syscall.SIGHUP:
		s.begin(request{why: "HUP"})
	case syscall.SIGUSR1:
		if s.o.Reopen != nil {
			s.o.Reopen()
		}
		s.o.Log(loglevel.Info, "reopening the log files")
		s.reopen()
	case syscall.SIGUSR2:
		s.begin(request{why: "USR2", upgrade: true})
	case syscall.SIGTTIN:
		s.resize(+1)
	case syscall.SIGTTOU:
		s.resize(-1)
	}
}

// reopen makes the workers open their log files anew.
func (s *Pool) reopen() {
	var files []*os.File
	if s.o.PassStderr {
		files = append(files, os.Stderr)
	}
	for _, w := range s.workers {
		w.send(&Message{Kind: Reopen}, files...)
	}
}

// Reopen makes the workers open their log files anew. Any goroutine.
func (s *Pool) Reopen() { s.post(s.reopen) }

// Reload starts new workers, which take the place of the old ones when all of
// them have loaded. why is for the log: "app.py has changed". While a reload
// is under way, one more waits, however many are asked for.
func (s *Pool) Reload(why string) { s.post(func() { s.begin(request{why: why}) }) }

// ReloadChanged is Reload for files that have changed: it does not wait for what
// is being loaded, which may be a loop that its author has just seen.
func (s *Pool) ReloadChanged(why string) {
	s.post(func() { s.begin(request{why: why, newer: true}) })
}

// ReloadAndWait is Reload; it returns when new workers serve, or with the reason
// why they do not.
func (s *Pool) ReloadAndWait(why string) error {
	asked := make(chan error, 1)
	if !s.post(func() { s.begin(request{why: why, asked: []chan<- error{asked}}) }) {
		return errEnding
	}
	select {
	case err := <-asked:
		return err
	case <-s.over:
		return errEnding
	}
}

// Stop ends all workers within the graceful timeout, and then Run.
func (s *Pool) Stop() { s.post(func() { s.stop(Stop) }) }

// stop ends all workers (Stop or Quit). The sockets are closed first, so that
// clients are refused rather than left waiting.
func (s *Pool) stop(kind Kind) {
	if !s.stopping {
		s.stopping = true
		s.event(Stopping, "")
		text := "stopping at once"
		if kind == Stop {
			text = fmt.Sprintf("stopping: up to %v for what is in flight, another signal stops at once", s.grace())
		}
		s.o.Log(loglevel.Info, text)
		s.closeSockets()
		s.giveUp()
		for _, slot := range s.slots {
			slot.cancel()
		}
	}
	for _, w := range s.workers {
		if w.state == Ending && kind == Quit {
			w.within(endMargin, "does not end")
			w.send(&Message{Kind: Quit})
		}
		w.end(kind)
	}
	s.maybeEnd()
}

// killAll is for who says it twice.
func (s *Pool) killAll() {
	s.o.Log(loglevel.Warning, "told twice to stop: leaving at once")
	s.result = &StartError{Code: 1}
	for _, w := range s.workers {
		w.process.Kill()
	}
	s.maybeEnd()
}

// fail ends a supervisor that could not start.
func (s *Pool) fail(err error) {
	s.result = err
	s.stopping = true
	s.giveUp()
	for _, w := range s.workers {
		w.end(Quit)
	}
	s.maybeEnd()
}

func (s *Pool) maybeEnd() { s.ended = s.stopping && len(s.workers) == 0 }

// heard is called with a message of w.
func (s *Pool) heard(w *worker, m *Message) {
	switch m.Kind {
	case Loaded:
		if m.Loaded != nil && w.state == Starting {
			s.loaded(w, m.Loaded)
		}
	case Failing:
		w.reason = cmp.Or(m.Text, string(m.Raw))
	case Checked:
		w.checked(m.Text)
	case Worn:
		s.worn(w, m.Text)
	case Closed:
		s.closed(w)
	case Answer:
		s.answered(w, m)
	case Join:
		s.join(w)
	case Publish:
		s.publish(w, m)
	case Counts:
		s.relay.count(s, w, m.Counts)
	case Purge:
		for _, other := range s.workers {
			if other != w && other.state >= Ready && other.state < Dead {
				other.send(&Message{Kind: Purge, Text: m.Text})
			}
		}
	}
}

// loaded is called when w could serve.
func (s *Pool) loaded(w *worker, settled *Settled) {
	w.settled = settled
	w.setState(Ready)
	w.limit.Stop()
	switch {
	case w == s.standIn:
		s.stand(w)
	case w.batch != nil && w.batch == s.batch:
		s.progress()
	case w.slot != nil && w.slot.next == w:
		s.succeed(w)
	}
}

// died is called when the process of w has ended; how says how. killed: with SIGKILL.
func (s *Pool) died(w *worker, how string, code int, killed bool) {
	switch {
	case w.why != "":
		how = w.why + " and was killed"
	case killed && w.reason == "":
		w.reason = memory.Exceeded(s.o.Root, w.kills)
	}
	was := w.state
	w.setState(Dead)
	if w.limit != nil {
		w.limit.Stop()
	}
	w.out.close()
	w.channel.Close()
	delete(s.workers, w.pid)
	s.relay.forget(s, w)
	if s.signals.ended != nil {
		s.reapOrphans()
	}
	s.forgetQuestions(w)
	s.closed(w)
	if w == s.standIn {
		s.standInDied(w, how)
		w.slot = nil
	}
	switch {
	case s.stopping:
		if w.why != "" {
			s.o.Log(loglevel.Warning, fmt.Sprintf("worker %d %s", w.pid, how))
		}
		s.maybeEnd()
	case w.batch != nil && w.batch == s.batch:
		s.batchFailed(w, how, code, w.why == "" && code >= 1 && code <= startFailed)
	case w.slot != nil:
		s.lost(w, was, how)
	case w.why != "":
		s.o.Log(loglevel.Warning, fmt.Sprintf("worker %d %s", w.pid, how))
	default:
		s.o.Log(loglevel.Debug, fmt.Sprintf("worker %d %s", w.pid, how))
	}
	s.maybeHandOver()
	s.maybeBegin()
}

// grace is the graceful timeout, as far as it is known.
func (s *Pool) grace() time.Duration {
	if s.settled == nil {
		return 0
	}
	return s.settled.Grace
}

// Ping returns when the supervisor has answered, or ctx's error.
func (s *Pool) Ping(ctx context.Context) error {
	answered := make(chan struct{})
	go s.post(func() { close(answered) })
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Pool) event(kind EventKind, text string) { s.tellEvent(Event{Kind: kind, Text: text}) }

func (s *Pool) tellEvent(e Event) {
	if s.o.Event != nil {
		s.o.Event(e)
	}
}

// closeSockets closes the listening sockets here. Those of workers live on.
func (s *Pool) closeSockets() {
	for _, a := range s.addresses {
		a.Socket.Close()
	}
	s.addresses = nil
}
