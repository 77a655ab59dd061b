package pool

import (
	"encoding/json"
	"time"
)

// Kind says what a Message is about.
type Kind string

// What the supervisor tells a worker.
const (
	// Listen: accept on the sockets that come with it, which have Message.Addresses.
	Listen Kind = "listen"
	// Retire: others serve in its place; end within Grace so that no client
	// notices.
	Retire Kind = "retire"
	// Depart: close or hand over the connections that wait for clients: the workers that take the place of this one serve, and no worker
	// accepts that is to be replaced with it. It follows Retire.
	Depart Kind = "depart"
	// Stop: end within Grace.
	Stop Kind = "stop"
	// Quit: end at once, what is in flight is cut.
	Quit Kind = "quit"
	// Reopen: open the log files anew. What comes with it is standard error from now on.
	Reopen Kind = "reopen"
	// Check: say with Checked whether requests can be answered.
	Check Kind = "check"
	// Ask: answer the question Text with Answer, which has the same ID.
	Ask Kind = "ask"
	// Notice: Text is a page that browsers get instead of any other.
	Notice Kind = "notice"
	// Purge: throw pages out of the cache, Text says which. A worker says it to
	// the supervisor, which says it to all others.
	Purge Kind = "purge"
	// Events: N of channels, in Raw, with the numbers from Seq on of Epoch. More says
	// that the next one has more of the same events. The one
	// who has published them gets its ID back. Channel messages come in one order.
	Events Kind = "events"
	// Give: give what Text says (History) to another worker, through the channel that comes
	// with it.
	Give Kind = "give"
	// Take: take what Text says (History, Subscribers) from another worker, through
	// the channel that comes with it; without one there is none.
	Take Kind = "take"
	// Piece: from one worker to another, a piece of what Take is about, in Raw, with
	// the descriptor of a subscriber, or of a WebSocket if Text says so. The last one has no Raw.
	Piece Kind = "piece"
	// Recount: say all Counts again.
	Recount Kind = "recount"
)

// What Give and Take are about.
const (
	History     = "history"     // what is kept of past events
	Subscribers = "subscribers" // connections; their giver gets Retire
)

// WebSocket is the Text of a Piece.
const WebSocket = "websocket"

// What a worker tells the supervisor.
const (
	// Loaded: it could serve now. Message.Loaded is set.
	Loaded Kind = "loaded"
	// Failing: the process is about to end because of an error, which Text names in one line, or Raw if it
	// crashes (BeforeReason).
	Failing Kind = "failing"
	// Checked: requests can be answered; with Text they cannot, which says why.
	Checked Kind = "checked"
	// Worn: it should be replaced, Text says why: "has served 1000 requests".
	Worn Kind = "worn"
	// Join: it wants Events from now on, and the history before. Take comes.
	Join Kind = "join"
	// Publish: N events, in Raw, for all; More of that follows in the next one, which
	// has the next Seq.
	Publish Kind = "publish"
	// Counts: how many listen to channels, of those that have changed. A worker
	// says it of itself, the supervisor to each worker of all others.
	Counts Kind = "counts"
	// Closed: it accepts no more, after Retire.
	Closed Kind = "closed"
	// Answer: Text is a piece of what was asked with ID; the last has no More.
	Answer Kind = "answer"
)

// Message is one datagram of a Channel.
type Message struct {
	Kind      Kind
	ID        uint64        `json:",omitempty"`
	Text      string        `json:",omitempty"`
	More      bool          `json:",omitempty"`
	Grace     time.Duration `json:",omitempty"`
	Addresses []string      `json:",omitempty"` // as the user gave them
	Loaded    *Settled      `json:",omitempty"`

	Epoch  string           `json:",omitempty"`
	Seq    uint64           `json:",omitempty"`
	N      int              `json:",omitempty"`
	Counts map[string]int64 `json:",omitempty"`
	Raw    []byte           `json:"-"` // goes behind the object as it is
}

// Settled is what the supervisor needs to know of the settings once the script
// has had its say.
type Settled struct {
	Protocol int           // of the worker: see protocol
	Grace    time.Duration // graceful timeout
	Settings json.RawMessage
}

// Protocol is the version of the messages and of what a supervisor hands over
// to its successor. Programs with different ones cannot take over from each
// other.
const Protocol = 3
