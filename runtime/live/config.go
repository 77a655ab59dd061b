package live

import (
	"time"

	"fapws/runtime/logfile"
)

// StreamConfig says how channels and their subscribers behave. The zero value works: every field that is zero has the default that its
// comment gives.
type StreamConfig struct {
	// Subscribers limits the subscribers of one channel, PerAddress those of one client's
	// address, of IPv6 its /64. Clients beyond the limits get 503. 0: 100,000 and 256. Of all
	// connections, Limits.Clients, a sixteenth is left to others.
	Subscribers int
	PerAddress  int

	// Buffer limits the bytes of events that wait until a subscriber takes them;
	// a subscriber that exceeds it is dropped. The kernel keeps about as much again. 0: 64 KiB.
	Buffer int

	// History is the number of events that each channel keeps for clients that come
	// back, of 256 KiB at most, and 16 MiB of all channels. 0: 100. Below zero: none.
	History int

	// Heartbeat is how often a subscriber gets a comment. A client that acknowledges
	// nothing for two heartbeats has disconnected. 0: 45 s.
	Heartbeat time.Duration

	// Retry is how long clients are told to wait before they come back. 0: 3 s.
	Retry time.Duration

	// MaxEvent is the size of the largest event, as it is written. 0: 64 KiB.
	MaxEvent int

	// Epoch tells this server's events from those before it was started: it is in their
	// ids. Processes that have the same subscribers one after the other, or side by side, have
	// the same. Empty: of the time.
	Epoch string

	// HandOver lets subscribers stay when the server retires, for Subscribers.Export.
	HandOver bool

	// Joined and Left report a subscriber, once for each of its channels; Counted reports the
	// number of subscribers of a channel whenever that changes. They are called on the loop, and must
	// not block. They may be nil.
	Joined, Left func(name string, client *StreamClient)
	Counted      func(name string, subscribers int)
}

// StreamClient is a subscriber as applications see it. It does not change.
type StreamClient struct {
	Address     string // as REMOTE_ADDR: "" of a unix socket
	Port        string // as REMOTE_PORT: "" if it is not known
	User        string // the authenticated user, or ""
	LastEventID string // the id of the last event that the client has seen, as it says, or ""
	Number      uint64 // of the subscriber, unique on this machine, also after a hand-over; below 2^53
}

// StreamLimits are those of the whole server.
type StreamLimits struct {
	Clients      int           // open connections of clients
	WriteTimeout time.Duration // how long a client may take nothing of what it was sent
}

// StreamHost is the server that the subscribers are a part of. Its methods are called on the loop, except for Do.
type StreamHost interface {
	// Now returns the time of the loop: nanoseconds since its start, up to a tick late.
	Now() int64

	// Do runs f on the loop, and returns when it has ended. It must not be called on the loop.
	Do(f func())

	// Full reports whether there are as many clients as Limits.Clients allows.
	Full() bool

	// Opened notes one more client, whose descriptor did not come from a connection of the server. Closed notes that a client has gone.
	Opened()
	Closed()

	// Account writes the line of a subscriber that has ended to the access log. sent is the number of bytes of the body, framed
	// of the rest of the response.
	Account(r *logfile.Record, sent, framed int64)

	// Resume returns the record for the line of a request that another process handed over, or nil if there is no line.
	Resume(s *logfile.State) *logfile.Record

	// Log writes a line about a client, or about none (""), to the error log.
	Log(level logfile.Level, client, line string)

	// Tracef writes a line for debugging.
	Tracef(format string, args ...any)
}

// WithDefaults returns c with defaults in place of zeros.
func (c StreamConfig) WithDefaults() StreamConfig {
	setDefault(&c.Subscribers, 100000)
	setDefault(&c.PerAddress, 256)
	setDefault(&c.Buffer, 64<<10)
	setDefault(&c.History, 100)
	setDefault(&c.Heartbeat, 45*time.Second)
	setDefault(&c.Retry, 3*time.Second)
	setDefault(&c.MaxEvent, 64<<10)
	return c
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}
