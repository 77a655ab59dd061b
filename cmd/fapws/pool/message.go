package pool

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/confine"
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
	// Ask: answer the question Text with Answer, which has the same ID.
	Ask Kind = "ask"
	// Notice: Text is a page that browsers get instead of any other.
	Notice Kind = "notice"
	// Purge: remove the cached responses that match Text. A worker sends it to the supervisor, which sends it to all
	// others.
	Purge Kind = "purge"
	// Events: N events of channels, in Raw, numbered from Seq in Epoch. With More, the next message has more of the same
	// events. Their publisher gets its ID back. All workers receive them in the same order. With N 0, those of ID are queued
	// for the broker, which is away, or lost if Text is Dropped.
	Events Kind = "events"
	// Give: send Text (History) to another worker, through the channel that comes with it.
	Give Kind = "give"
	// Take: receive Text (History, Subscribers) from another worker, through the channel that comes with it; without a
	// channel there is no such worker. History has no events behind the number Seq.
	Take Kind = "take"
	// Piece: from one worker to another, a piece of the subject of Take, in Raw, with the descriptor of a subscriber, or of
	// a WebSocket if Text is WebSocket. The last one has no Raw.
	Piece Kind = "piece"
	// Certificates: the answer to a question of the same Kind: a file (SharedFile), or with Text why there is none.
	// Renewed: another such file.
	Certificates Kind = "certificates"
	Renewed      Kind = "renewed"
	// Recount: send all Counts again.
	Recount Kind = "recount"
	// Replied: Text is a piece of the answer to the question ID of the worker; the last piece has no More.
	Replied Kind = "replied"
)

// Subjects of Give and Take.
const (
	History     = "history"     // past events
	Subscribers = "subscribers" // connections; their giver gets Retire
)

// Dropped is the Text of Events for which there was no room.
const Dropped = "dropped"

// WebSocket is the Text of a Piece.
const WebSocket = "websocket"

// Messages of a worker to the supervisor.
const (
	// Confined: it wants no Certificates any more, and enters its sandbox if there is one.
	Confined Kind = "confined"
	// Loaded: it could serve now. Message.Loaded is set.
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
	// Publish: N events, in Raw, for all workers. With More, the next message has more of them, and the next Seq.
	Publish Kind = "publish"
	// Counts: changed numbers of subscribers of channels. A worker sends its own; the supervisor sends each worker the sum of
	// all others.
	Counts Kind = "counts"
	// Waking: it is Asleep, and loads its application, because a request needs that. Awake: it has loaded. Message.Loaded is set.
	Waking Kind = "waking"
	Awake  Kind = "awake"
	// Closed: it accepts no more, after Retire.
	Closed Kind = "closed"
	// Certificates, of a worker: Text is a piece of the list of certificates that it wants, see Options.Certificates; the last piece has no More. It is sent
	// once, before Confined and Loaded.

	// Answer: Text is a piece of the answer to the question ID; the last piece has no More.
	Answer Kind = "answer"
	// Query: answer the question Text with Replied, which has the same ID.
	Query Kind = "query"
	// Farewell: Text is a piece of what lasts of the worker that is about to end; the last piece has no More.
	Farewell Kind = "farewell"
)

// Message is one datagram of a Channel.
type Message struct {
	Kind      Kind
	ID        uint64        `json:",omitempty"`
	Text      string        `json:",omitempty"`
	More      bool          `json:",omitempty"`
	Hung      bool          `json:",omitempty"`
	Grace     time.Duration `json:",omitempty"`
	Addresses []string      `json:",omitempty"` // as the user wrote them
	Loaded    *Settled      `json:",omitempty"`

	Epoch  string           `json:",omitempty"`
	Seq    uint64           `json:",omitempty"`
	N      int              `json:",omitempty"`
	Counts map[string]int64 `json:",omitempty"`
	Raw    []byte           `json:"-"` // sent behind the object, unchanged
}

// Settled has the settings that the supervisor needs, as they are after the script has run.
type Settled struct {
	Protocol int           // of the worker: see the constant Protocol
	Grace    time.Duration // graceful timeout
	Delay    time.Duration // shutdown delay before it
	Settings json.RawMessage
	Script   string // what a worker that is Asleep has to know of the script, a text of the worker's own
}

// Protocol is the version of the messages, and of the state that a supervisor hands over to its successor. Programs
// with different ones cannot take over from each other.
const Protocol = 5

// Reply is a worker's answer to Ask.
type Reply struct {
	Pid  int
	Text string
}

// pendingQuery is an Ask that waits for replies.
type pendingQuery struct {
	open    map[*worker]*strings.Builder
	replies []Reply
	done    chan []Reply
}

// Ask sends a question to every loaded worker and returns the answers, sorted by process number. When ctx ends, it
// returns the answers so far. It is safe for concurrent use.
func (p *Pool) Ask(ctx context.Context, what string) []Reply {
	q := &pendingQuery{open: make(map[*worker]*strings.Builder), done: make(chan []Reply, 1)}
	var id uint64
	asked := p.post(func() {
		p.lastID++
		id = p.lastID
		p.queries[id] = q
		for _, w := range p.workers {
			if w.state >= Ready && w.state < Dead {
				q.open[w] = new(strings.Builder)
				w.send(&Message{Kind: Ask, ID: id, Text: what})
			}
		}
		p.close(id, q)
	})
	if !asked {
		return nil
	}
	select {
	case <-ctx.Done():
		p.post(func() {
			clear(q.open)
			p.close(id, q)
		})
	case replies := <-q.done:
		return replies
	case <-p.over:
	}
	select {
	case replies := <-q.done:
		return replies
	case <-p.over:
		return nil
	}
}

// close returns the replies to Ask when no worker must answer any more.
func (p *Pool) close(id uint64, q *pendingQuery) {
	if len(q.open) > 0 || p.queries[id] == nil {
		return
	}
	delete(p.queries, id)
	slices.SortFunc(q.replies, func(a, b Reply) int { return a.Pid - b.Pid })
	q.done <- q.replies
}

// answered adds a piece of an answer.
func (p *Pool) answered(w *worker, m *Message) {
	q := p.queries[m.ID]
	if q == nil || q.open[w] == nil {
		return
	}
	if !w.believes("an answer", q.open[w].String(), m.Text, maxText) {
		return
	}
	q.open[w].WriteString(m.Text)
	if !m.More {
		q.replies = append(q.replies, Reply{w.pid, q.open[w].String()})
		delete(q.open, w)
		p.close(m.ID, q)
	}
}

// dropQueries expects no answers of w, which has died.
func (p *Pool) dropQueries(w *worker) {
	for id, q := range p.queries {
		delete(q.open, w)
		p.close(id, q)
	}
}

// Status describes a Pool.
type Status struct {
	Pid       int
	Since     time.Time
	Want      int    // number of workers
	Reloads   int    // that succeeded
	Reloading string // why, or ""
	Failure   string // why the last reload did not succeed, or ""
	Lost      int    // workers that have died although they should serve
	Recycled  int    // workers that were replaced one by one: max-requests, max-rss, stuck
	Workers   []WorkerStatus
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
	done := make(chan struct{})
	asked := p.post(func() {
		defer close(done)
		st = Status{Pid: os.Getpid(), Since: p.since, Want: p.want, Reloads: max(0, p.adopted-1), Failure: p.failure, Lost: p.deaths, Recycled: p.recycled}
		if p.batch != nil {
			st.Reloading = p.batch.why
		}
		for _, w := range p.workers {
			st.Workers = append(st.Workers, WorkerStatus{Pid: w.pid, State: w.state, Since: w.started, RSS: confine.ResidentMemory(w.pid)})
		}
		slices.SortFunc(st.Workers, func(a, b WorkerStatus) int { return a.Pid - b.Pid })
	})
	if asked {
		<-done
	}
	return st
}

// A worker may ask the supervisor, too: what its status page shows is about all workers.

// query answers a worker, on a goroutine of its own: the answer may take questions to all workers.
func (p *Pool) query(w *worker, m *Message) {
	if p.o.Query == nil || w.querying == maxQueries {
		w.sendReply(m.ID, "")
		return
	}
	w.querying++
	go func() {
		text := p.o.Query(m.Text)
		p.post(func() {
			w.querying--
			w.sendReply(m.ID, text)
		})
	}()
}

// sendReply sends an answer in as many pieces as it takes.
func (w *worker) sendReply(id uint64, text string) {
	for len(text) > maxPiece {
		w.send(&Message{Kind: Replied, ID: id, Text: text[:maxPiece], More: true})
		text = text[maxPiece:]
	}
	w.send(&Message{Kind: Replied, ID: id, Text: text})
}

// farewell takes a piece of what w has to tell before it ends.
func (p *Pool) farewell(w *worker, m *Message) {
	if !w.believes("last words", w.farewell, m.Text, maxText) {
		return
	}
	w.farewell += m.Text
	if m.More {
		return
	}
	if p.o.Farewell != nil {
		p.o.Farewell(w.pid, w.farewell)
	}
	w.farewell = ""
}
