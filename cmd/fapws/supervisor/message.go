package supervisor

import (
	"encoding/json"
	"time"
)

// Kind says what a Message is about.
type Kind string

// What the supervisor tells a worker.
const (
	// Listen: accept on Message.Sockets and on no others. The descriptors of
	// those that are new come with it.
	Listen Kind = "listen"
	// Retire: others serve in its place; end within Grace so that no client
	// notices.
	Retire Kind = "retire"
	// Stop: end within Grace.
	Stop Kind = "stop"
	// Quit: end at once, what is in flight is cut.
	Quit Kind = "quit"
	// Reopen: open the log files anew.
	Reopen Kind = "reopen"
	// Ask: answer the question Text with Answer, which has the same ID.
	Ask Kind = "ask"
	// Notice: Text is a page that browsers get instead of any other.
	Notice Kind = "notice"
	// Purge: throw pages out of the cache, Text says which. A worker says it to
	// the supervisor, which says it to all others.
	Purge Kind = "purge"
)

// What a worker tells the supervisor.
const (
	// Loaded: it could serve now. Message.Loaded is set.
	Loaded Kind = "loaded"
	// Worn: it should be replaced, Text says why: "has served 1000 requests".
	Worn Kind = "worn"
	// Closed: it accepts no more, after Retire.
	Closed Kind = "closed"
	// Answer: Text is a piece of what was asked with ID; the last has no More.
	Answer Kind = "answer"
)

// Message is one datagram of a Channel.
type Message struct {
	Kind    Kind
	ID      uint64        `json:",omitempty"`
	Text    string        `json:",omitempty"`
	More    bool          `json:",omitempty"`
	Grace   time.Duration `json:",omitempty"`
	Sockets []Socket      `json:",omitempty"`
	Loaded  *Settled      `json:",omitempty"`
}

// Socket is a listening socket that the supervisor owns.
type Socket struct {
	ID      int    // the same for all workers
	Address string // as the user gave it
	New     bool   `json:",omitempty"` // its descriptor comes with the message
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
const Protocol = 1
