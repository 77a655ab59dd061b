package pool

import (
	"encoding/json"
	"time"
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
