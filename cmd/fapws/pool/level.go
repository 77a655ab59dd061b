package pool

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second

	// a worker that lives at least this long has started successfully
	steady = 5 * time.Second
)

// pace delays the replacement of workers that die soon after their start.
type pace struct {
	pause *time.Timer // timer of the pause before the next start; nil if no pause is active
	// length of the last pause; 0 if a worker has lived for the time steady since the last pause
	last time.Duration
}

// wait starts a pause before the next worker is started. The pause is twice as long as the last pause; during a pause,
// wait does nothing.
func (a *pace) wait(p *Pool) {
	if a.pause == nil {
		a.last = min(max(2*a.last, minBackoff), maxBackoff)
		a.pause = p.after(a.last, func() {
			a.pause = nil
			p.level()
		})
	}
}

func (a *pace) reset() {
	if a.pause != nil {
		a.pause.Stop()
	}
	a.pause, a.last = nil, 0
}

func (p *Pool) level() {
	if g := p.batch; g != nil && len(g.workers) == 0 && p.pace.pause == nil {
		g.startNext()
	}
	if p.first() || p.stopping || p.showsFailure() {
		return
	}
	var staying, leaving, loading []*worker
	for _, w := range p.workers {
		switch {
		case w.replaces():
			loading = append(loading, w)
		case !w.serves():
		case w.Exit == replaced:
			leaving = append(leaving, w)
		default:
			staying = append(staying, w)
		}
	}
	for n := len(staying) + len(loading); n < p.want && p.pace.pause == nil; n++ {
		p.startOne()
	}
	// new workers must get the sockets before old workers stop accepting
	p.share()
	if surplus := len(staying) + len(loading) - p.want; surplus > 0 {
		quit := min(surplus, len(loading))
		for _, w := range loading[:quit] {
			w.end(Quit)
		}
		leaving, staying = append(leaving, staying[:surplus-quit]...), staying[surplus-quit:]
	}
	var successor *worker
	if len(staying) > 0 {
		successor = staying[0]
	}
	for _, w := range leaving[:max(0, len(staying)+len(leaving)-p.want)] {
		w.retire(successor)
		w.depart()
	}
}

func (p *Pool) startOne() {
	role := Eager
	if p.asleep {
		role = Asleep
	}
	if _, err := p.start(false, role); err != nil {
		p.pace.wait(p)
		p.o.Log(logfile.Error, fmt.Sprintf("cannot start a worker: %v; the next try is in %v", err, p.pace.last))
	}
}

// start starts a worker process with a role. If newest is true, start runs the file that is now at the program's path,
// which can be a newer version.
func (p *Pool) start(newest bool, role Role) (*worker, error) {
	channel, theirs, err := Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := process.Again(newest, process.Arguments()...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	pass := func(f *os.File) (fd int) {
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		return len(cmd.ExtraFiles) + 2 // ExtraFiles follow standard input, output and error
	}
	start := Start{FD: pass(theirs), Stderr: -1, Role: role, Epoch: p.relay.epoch, Load: p.adopted,
		Script: p.settled.Script, Watches: p.settled.Watches}
	if p.batch != nil {
		start.Load++
		start.First = len(p.batch.workers)+p.batch.left == 0
	}
	if p.rates != nil {
		start.Rates = pass(p.rates)
	}
	if p.o.Doors != nil {
		start.Doors = map[string]int{}
		for name, door := range p.o.Doors() {
			start.Doors[name] = pass(door)
		}
	}
	var captured *stderrCapture
	if p.o.FailureNotice != nil && role != PageOnly {
		captured = new(stderrCapture)
		cmd.Stderr, cmd.WaitDelay = captured, stderrWithin
		start.Stderr = pass(os.Stderr)
	}
	cmd.Dir, cmd.SysProcAttr = p.o.Dir, p.o.Attributes()
	text, _ := json.Marshal(start)
	cmd.Env = append(cmd.Env, Variable+"="+string(text), settings.KeptVariable+"="+p.o.Kept)
	if process.OnMain(func() { err = cmd.Start() }); err != nil {
		channel.Close()
		if _, gone := os.Stat(cmd.Dir); gone != nil && cmd.Dir != "" { // err blames the program instead
			err = fmt.Errorf("its working directory %s: %w", cmd.Dir, system.Cause(gone))
		}
		return nil, err
	}
	w := newWorker(p, cmd, channel)
	w.stderrCapture, w.Role = captured, role
	p.o.Log(logfile.Debug, fmt.Sprintf("worker %d: started", w.Pid))
	w.watch()
	return w, nil
}

func (p *Pool) promote(w *worker) {
	w.serve()
	w.sendNotice()
	if p.handing {
		w.channel.interrupt() // beginHandOver has interrupted the channels of all other workers
	}
	p.level()
}

func (p *Pool) lost(w *worker, served bool, ending string) {
	p.deaths++
	after := "starting a new one"
	if time.Since(w.Started) < steady || !served {
		p.pace.wait(p)
		after = fmt.Sprintf("starting a new one in %v", p.pace.last)
	} else {
		p.pace.reset()
	}
	if served {
		p.o.Log(logfile.Warning, w.ended(ending, after))
	} else {
		p.o.Log(logfile.Error, w.ended(ending+" before it could serve", after))
	}
	p.level()
}

// recycle replaces w by a new worker when the new worker has loaded.
func (p *Pool) recycle(w *worker, reason string) {
	if w.Role == Fresh && w.reason != "" {
		w.Role = PageOnly
		p.whenSaid(w, time.Now().Add(saidWithin), func() { p.notFresh(w, "failed to load") })
		return
	}
	if w.State > Serving || w.Exit != stays {
		return
	}
	// Pause first, because otherwise workers that request their own replacement could be started in an endless loop.
	if time.Since(w.Started) < steady {
		p.pace.wait(p)
	} else if p.pace.pause == nil {
		p.pace.last = 0
	}
	if w.sleeps() && w.reason != "" {
		p.notAwake(w)
		return
	}
	p.recycled++
	p.o.Log(logfile.Info, fmt.Sprintf("replacing worker %d: %s", w.Pid, reason))
	w.setExit(replaced)
	if w.servesEarly() {
		p.batch.leave(w)
		w.setState(Serving)
		p.progress()
	}
	p.level()
}

func (p *Pool) resize(change int) {
	if p.stopping {
		return
	}
	p.want = max(1, p.want+change)
	p.o.Log(logfile.Info, Count(p.want, "worker"))
	if p.batch == nil {
		p.level()
	}
}

func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// share sends the listening sockets to all serving workers that do not have them yet, except to workers that show a
// failure while changed code loads (see hidePage). If no worker serves, share sends the sockets to a loading worker.
func (p *Pool) share() {
	serves := false
	var early, loads *worker
	for _, w := range p.workers {
		switch {
		case w.serves():
			serves = serves || !w.hung
			if !w.Listens && (w.Role != PageOnly || p.batch == nil) {
				w.listen(p.addresses)
			}
		case !w.replaces():
		case w.Listens:
			early = w
		default:
			loads = w
		}
	}
	switch {
	case serves && early != nil:
		early.unlisten()
	case !serves && early == nil && loads != nil:
		loads.listenEarly(p.addresses)
	}
}

// maybeSleep replaces all workers by workers with the role Asleep if the application was unused for the time in the
// setting idle-stop. After a failed reload, maybeSleep does nothing, because the application might not load again.
func (p *Pool) maybeSleep() {
	if p.settled.IdleStop == 0 || p.batch != nil || p.next != nil || p.first() || p.stopping || p.handing ||
		p.failure != "" {
		return
	}
	awake := false
	for _, w := range p.workers {
		// Wait for retiring workers, because their WebSockets can only move to a worker that is awake.
		if !w.sleeps() && !(w.State == Serving && w.unused) {
			return
		}
		awake = awake || w.State == Serving
	}
	if awake {
		p.begin(request{why: fmt.Sprintf("no request for %v: the application sleeps until there is one",
			p.settled.IdleStop), sleep: true})
	}
}

func (p *Pool) awake(w *worker) {
	w.Role, w.unused = Plain, false
	w.setState(Ready)
	if w.batch != nil {
		return
	}
	w.serve()
	p.settled, p.asleep = w.settled, false
	for _, other := range p.workers {
		p.asleep = p.asleep || other.serves() && other.Role == Asleep
	}
	if p.notice == nil { // do not hide the notice about a failed reload
		p.failure = ""
	}
	if p.fresh != nil {
		p.freshened()
		return
	}
	p.o.Log(logfile.Info, fmt.Sprintf("worker %d: the application is awake", w.Pid))
}

// notAwake replaces w, a worker with the role Asleep that could not load its application, by a new worker with the role
// Asleep.
func (p *Pool) notAwake(w *worker) {
	p.failure = fmt.Sprintf("worker %d failed to load: %s", w.Pid, w.reason)
	p.o.Log(logfile.Error, fmt.Sprintf("worker %d failed to load the application; the next request tries again", w.Pid))
	if p.o.FailureNotice != nil {
		w.send(p.o.FailureNotice(p.failure, w.stderrCapture.tail()))
	}
	w.setExit(replaced)
	p.level()
}

func (p *Pool) anyStaying() *worker {
	for _, w := range p.workers {
		if w.serves() && w.Exit == stays {
			return w
		}
	}
	return nil
}
