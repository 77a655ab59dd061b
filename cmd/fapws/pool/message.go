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
	// Retire: new workers have replaced this worker. The worker must finish the requests of clients, and end within the
	// time in Message.Grace.
	Retire Kind = "retire"
	// Depart: close or hand over idle connections. The supervisor sends Depart after Retire, when the new workers serve
	// and no replaced worker accepts connections.
	Depart Kind = "depart"
	Stop   Kind = "stop"
	Quit   Kind = "quit"
	// Reopen: reopen the log files; an attached file becomes standard error.
	Reopen Kind = "reopen"
	Check  Kind = "check"
	// Ask: a request with its name in Text.
	Ask Kind = "ask"
	// Answer: Raw is the reply to the message Ask or Certificates with the same ID. If the request failed, Text is the
	// reason.
	Answer Kind = "answer"
	// Notice: code has failed to load. Browsers then receive the page in Raw in place of all other pages. Other clients
	// receive the Text in place of the application's responses.
	Notice Kind = "notice"
	// Purge: remove the cached responses that match Text; the supervisor forwards the message to all other workers.
	Purge Kind = "purge"
	// Events: Raw contains N events, numbered from Seq in Epoch. In the copy for the publisher, ID is the ID of the
	// Publish message. If N is 0 and Text is the constant Dropped, the events of that Publish message were dropped.
	Events Kind = "events"
	// Give: send the history of events to another worker through the attached channel; Text is the constant History.
	Give Kind = "give"
	// Take: receive the data that Text names (the constant History or Subscribers) from another worker through the
	// attached channel. If no channel is attached, no other worker has the data. A history contains no event with a
	// number above Seq.
	Take Kind = "take"
	// Piece: a message from one worker to another after Give or Take. Raw contains either all past events, or one
	// subscriber, whose descriptor is attached. If Text is the constant Idle, Raw contains an idle connection in
	// place of a subscriber. A Piece without Raw follows the last subscriber.
	Piece Kind = "piece"
	// Certificates, from the supervisor: Raw contains the renewed certificates that the worker requested.
	Certificates Kind = "certificates"
)

const (
	History     = "history"
	Subscribers = "subscribers" // the worker that sends its subscribers gets Retire, not Give
)

const Dropped = "dropped"

const Idle = "idle"

const (
	// Configured: Raw is a Settled in JSON with all settings of the worker. A worker sends Configured before Confined,
	// or before Loaded if it has no application.
	Configured Kind = "configured"
	// Confined: the worker is about to enter its sandbox, if any, and then to run handlers. After Confined, the worker
	// must send neither Configured nor Certificates.
	Confined Kind = "confined"
	// Started: handlers run from now on, so an end of the worker is no longer a failure to load.
	Started Kind = "started"
	// Loaded: the worker can serve. N is 1 if a new subscriber must wake an application that is asleep. Raw is a
	// Settled in which only the field Protocol is set. A worker with the role Asleep sends Loaded a second time when
	// its application has loaded.
	Loaded Kind = "loaded"
	// Failing: the process is about to end because of an error. Text is the reason in one line. If the process crashes,
	// the reason is in Raw (see BeforeReason).
	Failing Kind = "failing"
	// Checked: the reply to Check. Text is empty, or is the reason why the worker cannot serve requests.
	Checked Kind = "checked"
	// Unused: the reply to Check if the worker can serve requests and its application was unused for the time in the
	// setting idle-stop.
	Unused Kind = "unused"
	// Recycle: replace the worker that sends this message, for the reason in Text, such as "max-requests reached". If
	// Hung is true, the event loop of the worker is blocked.
	Recycle Kind = "recycle"
	// Join: send Events to the worker from now on. The supervisor also sends Take, so that the worker receives the
	// history.
	Join Kind = "join"
	// Publish: Raw contains N events, which the supervisor sends to all workers.
	Publish Kind = "publish"
	// Counts: for each channel whose number of subscribers has changed, the new number. A worker sends the numbers of
	// its own subscribers, and gets the sums over all other workers.
	Counts Kind = "counts"
	Closed Kind = "closed"
	// Certificates, from a worker: Raw lists the certificates that the worker requests (see Options.Certificates). A
	// worker sends Certificates at most once, before Confined and Loaded.

	// LastWords: the worker is about to end. Raw contains its counters and the last lines of its log, which the
	// supervisor keeps.
	LastWords Kind = "last words"
)

// All fields except Raw together must not exceed maxObject bytes.
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
	Protocol int // value of the constant Protocol in the worker's program
	BindFrom settings.Source
	Debug    int
	App      string // name of the application for users: see plan.Plan.Label
	Python   string
	Served   string
	Open     bool // clients need no password (plan.Plan.IsOpen)
	// the settings from the script, encoded by the worker; used by workers with the role Asleep
	Script  string
	Watches bool // whether a new subscriber wakes the application; always false before Loaded
}

// Protocol is the version of the message format and of the Handover, and must be the same in a program and its
// replacement.
const Protocol = 12

type Reply struct {
	Pid  int
	Text string
}

// Questions holds the requests (Ask) to which the process at the other end of a channel has not replied yet. The zero
// value is ready for use, and safe for concurrent use.
type Questions struct {
	last atomic.Uint64
	// map from the ID of a request to the channel, of type chan *Message, that receives the reply
	open sync.Map
	// closed when the other process has ended; nil if the end of the other process also ends this process
	ended chan struct{}
}

// Ask gives m a new ID, passes m to the function send, and waits for the reply. Ask returns nil if ctx or the process
// at the other end ends first.
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
		case answer = <-answered: // the process replied before it ended
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
	// number of workers that were replaced one at a time, because of max-requests, max-rss, or a blocked event loop
	Recycled int
	Workers  []WorkerStatus
}

type WorkerStatus struct {
	Pid   int
	State State
	Since time.Time
	RSS   int64
	CPU   float64
}

// A worker may lack the permission to read certificates and their keys, so the worker requests certificates and keys
// from the supervisor. The supervisor sends both in a message, never in the environment or the arguments, and sends
// them again after a change.
