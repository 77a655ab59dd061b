package pool

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
)

// Kind is the kind of a Message.
type Kind string

// Messages of the supervisor to a worker.
const (
	// Listen: accept on the sockets that come with it, which have Message.Addresses.
	Listen Kind = "listen"
	// Retire: other workers serve in its place; end within Grace so that no client notices.
	Retire Kind = "retire"
	// Depart: close or hand over the connections that wait for clients: the workers that take the place of this one serve, and no worker
	// accepts that is to be replaced with it. It follows Retire.
	Depart Kind = "depart"
	// Stop: end within Grace.
	Stop Kind = "stop"
	// Quit: end at once, and abort active requests.
	Quit Kind = "quit"
	// Reopen: reopen the log files. A file that comes with it becomes standard error.
	Reopen Kind = "reopen"
	// Check: report with Checked whether requests can be answered.
	Check Kind = "check"
	// Ask: answer the question Text with Answer, which has the same ID. A worker asks the supervisor, too.
	Ask Kind = "ask"
	// Answer: Raw is the answer to the question ID, of the Kind Ask or Certificates; with Text there is none, for that reason.
	Answer Kind = "answer"
	// Notice: Raw is a page that browsers get instead of any other.
	Notice Kind = "notice"
	// Purge: remove the cached responses that match Text. A worker sends it to the supervisor, which sends it to all
	// others.
	Purge Kind = "purge"
	// Events: N events of channels, in Raw, numbered from Seq in Epoch. Their publisher gets its ID back. All workers
	// receive them in the same order. With N 0 and the Text Dropped, there was no room for those of ID.
	Events Kind = "events"
	// Give: send Text (History) to another worker, through the channel that comes with it.
	Give Kind = "give"
	// Take: receive Text (History, Subscribers) from another worker, through the channel that comes with it; without a
	// channel there is no such worker. History has no events behind the number Seq.
	Take Kind = "take"
	// Piece: from one worker to another, the subject of Take in Raw: all past events; or a subscriber with its descriptor, or a WebSocket
	// or an idle connection, as Text says. Behind the last subscriber there is one without Raw.
	Piece Kind = "piece"
	// Certificates: Raw is what the Answer to a question of the same Kind would be now.
	Certificates Kind = "certificates"
)

// Subjects of Give and Take.
const (
	History     = "history"     // past events
	Subscribers = "subscribers" // connections; their giver gets Retire
)

// Dropped is the Text of Events for which there was no room.
const Dropped = "dropped"

// Texts of a Piece.
const (
	WebSocket = "websocket"
	Idle      = "idle" // an idle connection
)

// Messages of a worker to the supervisor.
const (
	// Configured: Raw is a Settled in JSON, all settings of the worker. It precedes Confined, and the Loaded of a
	// worker without application.
	Configured Kind = "configured"
	// Confined: the worker enters its sandbox, if there is one, and then runs handlers. It sends no settings and asks
	// for no Certificates
	// afterwards.
	Confined Kind = "confined"
	// Started: handlers run from now on. A worker that ends afterwards has not failed to load.
	Started Kind = "started"
	// Loaded: the worker can serve. N is 1 if a subscriber must wake the application (Settled.Watches). Raw is a
	// Settled with the Protocol
	// only. A worker that was Asleep sends it again when it has loaded its application.
	Loaded Kind = "loaded"
	// Failing: the process is about to end because of an error, which Text names in one line, or Raw if it
	// crashes (BeforeReason).
	Failing Kind = "failing"
	// Checked: requests can be answered; with Text they cannot, for that reason.
	Checked Kind = "checked"
	// Unused: Checked, and the application has been unused for the time of idle-stop.
	Unused Kind = "unused"
	// Recycle: it should be replaced, for the reason Text: "max-requests reached". With Hung, its event loop does
	// not run.
	Recycle Kind = "recycle"
	// Join: it wants Events from now on, and the history. Take follows.
	Join Kind = "join"
	// Publish: N events, in Raw, for all workers.
	Publish Kind = "publish"
	// Counts: changed numbers of subscribers of channels. A worker sends its own; the supervisor sends each worker the sum of
	// all others.
	Counts Kind = "counts"
	// Closed: it accepts no more, after Retire.
	Closed Kind = "closed"
	// Certificates, of a worker: Raw is the list of certificates that it wants, see Options.Certificates. It is sent
	// once, before Confined and Loaded.

	// LastWords: Raw is what lasts of the worker that is about to end.
	LastWords Kind = "last words"
)

// Message is what processes send over a Channel. Everything but Raw must be short: see maxObject.
type Message struct {
	Kind      Kind
	ID        uint64        `json:",omitempty"`
	Text      string        `json:",omitempty"`
	Hung      bool          `json:",omitempty"`
	Grace     time.Duration `json:",omitempty"`
	Addresses []string      `json:",omitempty"` // as the user wrote them

	Epoch  string           `json:",omitempty"`
	Seq    uint64           `json:",omitempty"`
	N      int              `json:",omitempty"`
	Counts map[string]int64 `json:",omitempty"`
	Raw    []byte           `json:"-"` // sent behind the object, unchanged
}

// Settled are the settings of a worker, with those of the script.
type Settled struct {
	settings.Config
	Protocol int // of the worker: see the constant Protocol
	BindFrom settings.Source
	Debug    int    // of the loop
	App      string // its name for users: see plan.Plan.Label
	Python   string // version, or "" without an interpreter
	Served   string // the application or site, human-readable
	Open     bool   // to clients without a password: see plan.Plan.IsOpen
	Script   string // settings of the script for a worker that is Asleep: text of the worker's own
	Watches  bool   // a subscriber wakes the application; false until Loaded
}

// Protocol is the version of the messages, and of the state that a supervisor hands over to its successor. Programs
// with different ones cannot take over from each other.
const Protocol = 9

// Reply is a worker's answer to Ask.
type Reply struct {
	Pid  int
	Text string
}

// Questions are those to the process at the other end of a channel that wait for their answers. The zero value has none. It is safe for
// concurrent use.
type Questions struct {
	last  atomic.Uint64
	open  sync.Map      // chan *Message by ID: each gets the answer
	ended chan struct{} // closed when the other process has ended; nil: then this one ends, too
}

// Ask has send send a question, which gets an ID, and returns the answer that Answered gets; nil if the other process or ctx ends before.
func (q *Questions) Ask(ctx context.Context, m Message, send func(*Message)) (answer *Message) {
	answered := make(chan *Message, 1)
	m.ID = q.last.Add(1)
	q.open.Store(m.ID, answered)
	defer q.open.Delete(m.ID)
	send(&m)
	select {
	case answer = <-answered:
	case <-ctx.Done():
	case <-q.ended:
		select {
		case answer = <-answered: // it was its last message
		default:
		}
	}
	return answer
}

// Answered takes an answer.
func (q *Questions) Answered(m *Message) {
	if answered, open := q.open.LoadAndDelete(m.ID); open {
		answered.(chan *Message) <- m
	}
}

// Ask sends a question to every loaded worker and returns the answers, sorted by process number. When ctx ends, it
// returns the answers so far. It is safe for concurrent use.
func (p *Pool) Ask(ctx context.Context, what string) (replies []Reply) {
	var asked sync.WaitGroup
	var mu sync.Mutex
	p.do(func() {
		for _, w := range p.workers {
			if w.state < Ready {
				continue
			}
			asked.Go(func() {
				answer := w.questions.Ask(ctx, Message{Kind: Ask, Text: what}, func(m *Message) { w.send(m) })
				if answer != nil {
					mu.Lock()
					defer mu.Unlock()
					replies = append(replies, Reply{w.pid, string(answer.Raw)})
				}
			})
		}
	})
	asked.Wait()
	slices.SortFunc(replies, func(a, b Reply) int { return a.Pid - b.Pid })
	return replies
}

// Status describes a Pool.
type Status struct {
	Since    time.Time
	Reloads  int    // that succeeded
	Failure  string // why the last reload did not succeed, or ""
	Lost     int    // workers that have died although they should serve
	Recycled int    // workers that were replaced one by one: max-requests, max-rss, stuck
	Workers  []WorkerStatus
}

// WorkerStatus describes a worker.
type WorkerStatus struct {
	Pid   int
	State State
	Since time.Time
	RSS   int64 // bytes
}

// Status returns the current state, or the zero Status when Run has ended. It is safe for concurrent use.
func (p *Pool) Status() (st Status) {
	p.do(func() {
		st = Status{Since: p.since, Reloads: max(0, p.adopted-1), Failure: p.failure, Lost: p.deaths, Recycled: p.recycled}
		for _, w := range p.workers {
			st.Workers = append(st.Workers, WorkerStatus{Pid: w.pid, State: w.state, Since: w.started, RSS: confine.ResidentMemory(w.pid)})
		}
		slices.SortFunc(st.Workers, func(a, b WorkerStatus) int { return a.Pid - b.Pid })
	})
	return st
}

// A worker may ask the supervisor, too: what its status page shows is about all workers.

// query answers a worker, on a goroutine of its own: the answer may take questions to all workers.
func (p *Pool) query(w *worker, m *Message) {
	if w.querying == maxQueries {
		w.send(&Message{Kind: Answer, ID: m.ID})
		return
	}
	w.querying++
	go func() {
		text := p.o.Query(w.pid, m.Text)
		p.post(func() {
			w.querying--
			w.send(&Message{Kind: Answer, ID: m.ID, Raw: []byte(text)})
		})
	}()
}

// A worker asks the supervisor for certificates with their keys, which it may not be allowed to read itself. It gets a
// message with them, never text in its environment or arguments, and another one when they have changed.

// wanted answers the question of w. A worker asks once: later questions could be for the keys of others.
func (p *Pool) wanted(w *worker, m *Message) {
	if w.wants != "" {
		w.distrust("asked for certificates twice")
		return
	}
	if !w.believes("a question", m, maxWant) {
		return
	}
	w.wants = string(m.Raw)
	answer := &Message{Kind: Answer, ID: m.ID}
	var err error
	if answer.Raw, err = p.o.Certificates(w.wants, false); err != nil {
		answer.Text = err.Error()
	}
	w.certificates = answer.Raw
	w.send(answer)
}

// RenewCertificates lets workers have certificates that have changed. It is safe for concurrent use.
func (p *Pool) RenewCertificates() { p.post(p.renewCertificates) }

func (p *Pool) renewCertificates() {
	for _, w := range p.workers {
		if w.wants == "" || w.state == Dead {
			continue
		}
		text, err := p.o.Certificates(w.wants, true)
		switch {
		case err != nil:
			p.o.Log(logfile.Error, fmt.Sprintf("certificates are not renewed: %v", err))
		case !bytes.Equal(text, w.certificates):
			w.certificates = text
			w.send(&Message{Kind: Certificates, Raw: text})
		}
	}
}
