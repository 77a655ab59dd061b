package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/settings"
)

type Kind string

const (
	// Listen: accept connections on the attached sockets, which Message.Addresses names.
	Listen Kind = "listen"
	// Retire: other workers have replaced this worker, which must end within Grace without disturbing clients.
	Retire Kind = "retire"
	// Depart: close or hand over idle connections. Depart follows Retire when the new workers serve and no replaced
	// worker accepts connections.
	Depart Kind = "depart"
	Stop   Kind = "stop"
	Quit   Kind = "quit"
	// Reopen: reopen the log files. An attached file becomes standard error.
	Reopen Kind = "reopen"
	Check  Kind = "check"
	// Ask: answer the question in Text with an Answer of the same ID. Workers also send this message to the supervisor.
	Ask Kind = "ask"
	// Answer: in Raw, the answer to the question ID, of the Kind Ask or Certificates. If there is no answer, Text is
	// the reason.
	Answer Kind = "answer"
	// Notice: in Raw, a page that browsers receive instead of all other pages.
	Notice Kind = "notice"
	// Purge: remove the cached responses that match Text. A worker sends it to the supervisor, which forwards it to all
	// other workers.
	Purge Kind = "purge"
	// Events: N events of channels in Raw, numbered from Seq in Epoch. All workers receive the events in the same
	// order. The publisher also receives the ID of its message. With N 0 and the Text Dropped, the events of the
	// message ID were dropped.
	Events Kind = "events"
	// Give: send the subject Text (History) to another worker through the attached channel.
	Give Kind = "give"
	// Take: receive the subject Text (History or Subscribers) from another worker through the attached channel. Without
	// a channel, no other worker has the subject. History contains no events after the number Seq.
	Take Kind = "take"
	// Piece: a message between two workers with a part of the subject of Take in Raw: all past events, or a subscriber
	// with its descriptor. Text marks a WebSocket or an idle connection. A Piece without Raw follows the last
	// subscriber.
	Piece Kind = "piece"
	// Certificates: in Raw, the changed Answer to the worker's question of this Kind.
	Certificates Kind = "certificates"
)

const (
	History     = "history"
	Subscribers = "subscribers" // connections; the worker that gives them receives Retire
)

// Dropped is the Text of Events that were dropped because a queue was full.
const Dropped = "dropped"

const (
	WebSocket = "websocket"
	Idle      = "idle"
)

const (
	// Configured: in Raw, a Settled in JSON with all settings of the worker. The worker sends the settings before
	// Confined. A worker without an application sends the settings before Loaded.
	Configured Kind = "configured"
	// Confined: the worker enters its sandbox, if it has one, and then runs handlers. Afterwards it must not send
	// settings or ask for Certificates.
	Confined Kind = "confined"
	// Started: handlers run from now on. A worker that ends later has not failed to load.
	Started Kind = "started"
	// Loaded: the worker can serve. N is 1 if a subscriber must wake the application (Settled.Watches). Raw is a
	// Settled with only the Protocol. A worker that was Asleep sends Loaded again when its application has loaded.
	Loaded Kind = "loaded"
	// Failing: the process is about to end because of an error. The reason is one line in Text, or in Raw if the
	// process crashes (BeforeReason).
	Failing Kind = "failing"
	// Checked: the worker can serve requests. If Text is not empty, the worker cannot do this, and Text is the reason.
	Checked Kind = "checked"
	// Unused: like Checked, and the application was not used for the time of idle-stop.
	Unused Kind = "unused"
	// Recycle: replace this worker, for the reason in Text, such as "max-requests reached". With Hung, the event loop
	// of the worker is blocked.
	Recycle Kind = "recycle"
	// Join: the worker wants to receive Events and the history. The supervisor sends Take.
	Join Kind = "join"
	// Publish: N events in Raw for all workers.
	Publish Kind = "publish"
	// Counts: changed numbers of subscribers of channels. A worker sends the numbers of its own subscribers. The
	// supervisor sends each worker the sums of all other workers.
	Counts Kind = "counts"
	Closed Kind = "closed"
	// Certificates, from a worker: in Raw, a list of the certificates that the worker wants (see Options.Certificates).
	// The list is sent once, before Confined and Loaded.

	// LastWords: in Raw, the state that outlives the worker, which is about to end.
	LastWords Kind = "last words"
)

// A Message is sent between the supervisor and a worker. All fields except Raw must be short (maxObject).
type Message struct {
	Kind      Kind
	ID        uint64        `json:",omitempty"`
	Text      string        `json:",omitempty"`
	Hung      bool          `json:",omitempty"`
	Grace     time.Duration `json:",omitempty"`
	Addresses []string      `json:",omitempty"`

	Epoch  string           `json:",omitempty"`
	Seq    uint64           `json:",omitempty"`
	N      int              `json:",omitempty"`
	Counts map[string]int64 `json:",omitempty"`
	Raw    []byte           `json:"-"` // sent unchanged after the JSON object
}

type Settled struct {
	settings.Config
	Protocol int // the constant Protocol of the worker's program
	BindFrom settings.Source
	Debug    int
	App      string // name of the application for users: see plan.Plan.Label
	Python   string
	Served   string
	Open     bool // clients need no password (plan.Plan.IsOpen)
	// settings of the script, encoded by the worker, for other workers that are Asleep
	Script  string
	Watches bool // a subscriber wakes the application; false until Loaded
}

// Protocol is the version of the messages and of the Handover. Programs with different versions cannot replace each
// other.
const Protocol = 9

type Reply struct {
	Pid  int
	Text string
}

// Questions holds unanswered questions to the process at the other end of a channel. The zero value is empty. Questions
// is safe for concurrent use.
type Questions struct {
	last atomic.Uint64
	// channels of type chan *Message by the ID of a question. Each channel receives the answer to its question.
	open sync.Map
	// closed when the other process has ended; nil if this process then ends as well
	ended chan struct{}
}

// Ask sends a question by calling send, with a new ID, and waits for its answer. Ask returns nil if ctx or the other
// process ends first.
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
		case answer = <-answered: // The other process has sent the answer as its last message.
		default:
		}
	}
	return answer
}

func (q *Questions) Answered(m *Message) {
	if answered, open := q.open.LoadAndDelete(m.ID); open {
		answered.(chan *Message) <- m
	}
}

type Status struct {
	Since   time.Time
	Reloads int
	Failure string // "" if the last reload succeeded
	Lost    int
	// number of workers that were replaced individually: max-requests, max-rss, blocked
	Recycled int
	Workers  []WorkerStatus
}

type WorkerStatus struct {
	Pid   int
	State State
	Since time.Time
	RSS   int64
}

// Workers may also ask the supervisor questions, for example for a status page with data about all workers.

// A worker asks the supervisor for certificates and their keys, because the worker may not be allowed to read them. The
// worker receives them in a message, never in its environment or arguments, and again after a change.
