package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/memory"
	"fapws/cmd/fapws/pool"
	"fapws/pybridge"
	"fapws/runtime/loglevel"
	"fapws/runtime/metrics"
	"fapws/runtime/remote"
)

// sleeper is Python in another process, which ends when nothing needs it (--idle-stop): see package remote. It implements
// interpreter. What the application is to be told of channels is kept here for the next process. mu is never held during a call of
// the Handler, which calls greet with its own.
type sleeper struct {
	*remote.Handler
	s *service

	mu       sync.Mutex
	owed     int64                    // cost of events of the present process for which it has not been told that there is room
	counts   [2]map[string]int64      // by name: subscribers here and elsewhere
	presence []pybridge.PresenceEvent // for the next process
	watches  bool                     // the application wants to know of subscribers
	measures bool                     // requests are counted
	ended    []metrics.Family         // what processes have counted that have ended
}

// mostPresence limits the messages that wait for a process that is being started.
const mostPresence = 20000

// startSleeper starts the process of the application, which loads it.
func (s *service) startSleeper() error {
	root := os.DirFS("/")
	before := memory.Kills(root)
	z := &sleeper{s: s, counts: [2]map[string]int64{{}, {}}}
	h, loaded, err := remote.Open(remote.Options{
		Command: s.applicationCommand,
		Hear:    z.hear,
		Greet:   z.greet,
		Log:     func(line string) { s.log.Log(loglevel.Error, line) },
		Killed:  func() string { return memory.Exceeded(root, before) },
		Lost: func(how string, requests int) {
			s.log.Log(loglevel.Error, fmt.Sprintf("%s and lost %s; the next one starts it again", how, pool.Count(requests, "request")))
		},
		Asleep: func() {
			s.log.Log(loglevel.Info, fmt.Sprintf("no request for %v: the application sleeps until there is one", s.conf.IdleStop))
			s.memory.Quiet()
		},
		Changed: s.applicationChanged,
	})
	if err != nil {
		return notLoaded(err)
	}
	z.Handler = h
	s.asleep.Store(z)
	s.contents = &pybridge.Contents{}
	if err := json.Unmarshal(loaded, s.contents); err != nil {
		return exit.NotStarted("cannot read what the application is: %v", err)
	}
	return nil
}

// notLoaded is the error of a process that has not loaded, or not started, its application.
func notLoaded(err error) error {
	var failed *remote.LoadError
	if errors.As(err, &failed) && failed.Code >= 0 {
		return exit.Silently(failed.Code) // it has reported the reason
	}
	return exit.NotStarted("%v", err)
}

// applicationChanged is called when a process has loaded another table than the sites were made of. This process serves until another one
// takes its place, where there is a supervisor.
func (s *service) applicationChanged() {
	if replace := s.host.replacement(); replace != nil {
		replace("the application has changed while it slept")
		return
	}
	s.log.Log(loglevel.Error, "the application has changed while it slept: restarting the server")
	s.signals.end(shutdownRequest{how: gracefully, code: exit.Failed}, exit.Failed)
}

// serve has the process serve, with the settings that are known now.
func (z *sleeper) serve() (interpreter, error) {
	s := z.s
	settings := applicationSettings{Served: servedDirectories()}
	for n := 1; ; n++ {
		path := s.logs.Path(n)
		if path == "" {
			break
		}
		settings.ErrorLogs = append(settings.ErrorLogs, path)
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	err = z.Serve(remote.Serving{
		Text:      text,
		Queue:     s.conf.MaxQueue,
		StartWait: s.conf.StartWait,
		IdleStop:  s.conf.IdleStop,
		Grace:     s.conf.GracefulTimeout,
		EndWithin: s.conf.GracefulTimeout + applicationEnds,
	})
	if err != nil {
		return nil, notLoaded(err)
	}
	return z, nil
}

// applicationCommand starts this executable with the same arguments in the same directory.
func (s *service) applicationCommand() *exec.Cmd { return s.sameCommand(applicationVariable) }

// countSubscribers is service.countSubscribers.
func (z *sleeper) countSubscribers(name string, elsewhere bool, n int64) {
	z.mu.Lock()
	where := z.counts[index(elsewhere)]
	if n == 0 {
		delete(where, name)
	} else {
		where[name] = n
	}
	z.mu.Unlock()
	z.Tell(tellCount, countText(name, elsewhere, n)) // without the mutex, which greet takes
}

func index(is bool) int {
	if is {
		return 1
	}
	return 0
}

// greet is remote.Options.Greet.
func (z *sleeper) greet() (all [][]byte) {
	z.mu.Lock()
	defer z.mu.Unlock()
	tell := func(m remote.Message, data []byte) { all = append(all, append([]byte{byte(m)}, data...)) }
	z.owed = 0
	for i, where := range z.counts {
		for name, n := range where {
			tell(tellCount, countText(name, i == 1, n))
		}
	}
	if z.measures {
		tell(tellMeasure, nil)
	}
	for _, e := range z.presence {
		tell(tellPresence, []byte(asJSON(e)))
	}
	z.presence = nil
	return all
}

// hear is remote.Options.Hear.
func (z *sleeper) hear(m remote.Message, data []byte) (later func()) {
	s := z.s
	switch m {
	case tellEvents:
		z.publish(data)
	case tellPurge:
		return func() { s.purge(string(data)) }
	case tellWarning:
		s.warn(string(data))
	case tellJoin, tellLeave:
		ticket, group := readMember(data)
		if m == tellJoin {
			return func() { s.server.JoinGroup(ticket, group) }
		}
		return func() { s.server.LeaveGroup(ticket, group) }
	case tellWatches:
		z.mu.Lock()
		z.watches = true
		z.mu.Unlock()
	case tellStuck:
		s.log.Log(loglevel.Error, "replacing the process of the application: "+string(data))
		z.Renew()
	case tellExit:
		code := int(data[0])
		s.signals.end(shutdownRequest{how: gracefully, grace: min(scriptGrace, s.conf.GracefulTimeout), code: code}, code)
	case tellCounted:
		var families []metrics.Family
		if json.Unmarshal(data, &families) == nil {
			z.mu.Lock()
			z.ended = metrics.Merge(z.ended, families)
			z.mu.Unlock()
		}
	}
	return nil
}

// publish publishes events of the application, and returns when they have their place in the order of all processes: responses that
// were sent behind them come later. An application whose events have subscribers stays awake: a page shows what its timer publishes.
func (z *sleeper) publish(raw []byte) {
	var events []pybridge.Event
	var cost int64
	for len(raw) > 0 {
		e, rest, err := cutEvent(raw)
		if err != nil {
			z.s.log.Log(loglevel.Error, err.Error())
			return
		}
		events, raw = append(events, e), rest
		cost += e.Cost()
	}
	subscribed := func(e pybridge.Event) bool { return z.counts[0][e.Name] > 0 || z.counts[1][e.Name] > 0 }
	z.mu.Lock()
	z.owed += cost
	needed := slices.ContainsFunc(events, subscribed)
	z.mu.Unlock()
	if needed {
		z.Stay()
	}
	z.s.relay.publishInOrder(events)
}

// Dealt implements interpreter. Events of the server's own are among those that it counts.
func (z *sleeper) Dealt(cost int64) {
	z.mu.Lock()
	cost = min(cost, z.owed)
	z.owed -= cost
	z.mu.Unlock()
	if cost > 0 {
		z.Tell(tellDealt, numberText(cost))
	}
}

// Order, Numbered and Published implement interpreter: publish keeps the order.
func (z *sleeper) Order()          {}
func (z *sleeper) Numbered(int64)  {}
func (z *sleeper) Published(int64) {}

// TakeMessage implements interpreter. A process that sleeps has nothing to tell it to.
func (z *sleeper) TakeMessage(e *pybridge.Event) { z.Tell(tellForPython, appendEvent(nil, e)) }

// NotifyPresence implements interpreter. It wakes an application that wants to know.
func (z *sleeper) NotifyPresence(e pybridge.PresenceEvent) bool {
	z.mu.Lock()
	watches, full := z.watches, len(z.presence) >= mostPresence
	if watches && !full {
		z.presence = append(z.presence, e)
	}
	z.mu.Unlock()
	if watches && !full {
		z.Wake()
		z.tellPresence()
	}
	return !full
}

// tellPresence sends the waiting messages to a process that serves. One that is being started gets them with greet.
func (z *sleeper) tellPresence() {
	if z.Pid() == 0 {
		return
	}
	z.mu.Lock()
	list := z.presence
	z.presence = nil
	z.mu.Unlock()
	for _, e := range list {
		z.Tell(tellPresence, []byte(asJSON(e)))
	}
}

// Notified implements interpreter.
func (z *sleeper) Notified(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit+time.Second)
	defer cancel()
	_, _ = z.ask(ctx, question{What: askNotified, For: limit})
}

// Measure implements interpreter.
func (z *sleeper) Measure() {
	z.mu.Lock()
	z.measures = true
	z.mu.Unlock()
	z.Tell(tellMeasure, nil)
}

// metricsWithin is how long the application has for its metrics, which need no GIL.
const metricsWithin = time.Second

// Metrics implements interpreter.
func (z *sleeper) Metrics() []metrics.Family {
	ctx, cancel := context.WithTimeout(context.Background(), metricsWithin)
	defer cancel()
	var now []metrics.Family
	if text, err := z.ask(ctx, question{What: askMetrics}); err == nil {
		_ = json.Unmarshal(text, &now)
	}
	awake := 1.
	if z.Asleep() {
		awake = 0
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	return append(metrics.Merge(now, z.ended), metrics.One("fapws_application_awake", metrics.Gauge, "", "Processes that have the application in memory, with idle-stop.", awake))
}

// Active implements interpreter.
func (z *sleeper) Active(wait time.Duration) (list []pybridge.ActiveRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
	defer cancel()
	if text, err := z.ask(ctx, question{What: askActive, For: wait}); err == nil {
		_ = json.Unmarshal(text, &list)
	}
	return list
}

// Stack implements interpreter.
func (z *sleeper) Stack(w io.Writer, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
	defer cancel()
	text, err := z.ask(ctx, question{What: askStack, For: wait})
	if err != nil {
		text = []byte(err.Error() + "\n")
	}
	_, _ = w.Write(text)
	return err
}

// Profile implements interpreter.
func (z *sleeper) Profile(ctx context.Context, d time.Duration) (stacks []pybridge.ProfileStack, err error) {
	text, err := z.ask(ctx, question{What: askProfile, For: d})
	if err != nil {
		return nil, err
	}
	var p profiled
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	if p.Why != "" {
		return nil, errors.New(p.Why)
	}
	return p.Stacks, nil
}

func (z *sleeper) ask(ctx context.Context, q question) ([]byte, error) {
	return z.Ask(ctx, []byte(asJSON(q)))
}

// followStderr gives the application the descriptor 2 that this process has now.
func (z *sleeper) followStderr() {
	if fd, err := duplicateStderr(); err == nil {
		z.Tell(tellStderr, nil, fd)
	}
}
