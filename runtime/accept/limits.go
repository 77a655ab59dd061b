package accept

import "time"

// Config says how many connections are accepted.
type Config struct {
	// MaxClients bounds the open connections of clients.
	MaxClients int

	// Refuse answers 503 to connections beyond MaxClients, instead of letting them wait.
	Refuse bool

	// Concurrency is how many requests the application answers at once, if other processes accept on the same listeners; see
	// balance. 0: no other process accepts.
	Concurrency int

	// Moment is for how long connections are left to other processes. 0: 100 ms, long enough for a process that is awake or can
	// be woken, short enough for files.
	Moment time.Duration
}

// defaultMoment is Config.Moment.
const defaultMoment = 100 * time.Millisecond

// rejectedAtOnce is how many connections may be told 503 at the same time because of Config.MaxClients.
const rejectedAtOnce = 64

// ServiceUnavailable is a whole response for a client for which there is no room.
var ServiceUnavailable = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 20\r\n" +
	"Retry-After: 1\r\nConnection: close\r\n\r\nService Unavailable\n")

// Configure replaces the Config.
func (a *Acceptor) Configure(c Config) {
	if c.Moment == 0 {
		c.Moment = defaultMoment
	}
	a.cfg = c
}

// Opened counts an open connection: Take, one of a client; Reject, one that is told that there is no room; Wait, one that does not
// count, because the server made it.
func (a *Acceptor) Opened(v Verdict) {
	switch v {
	case Take:
		a.clients++
	case Reject:
		a.rejected++
	}
}

// Closed is for a connection that Opened has counted. Another one may have its place.
func (a *Acceptor) Closed(v Verdict) {
	switch v {
	case Take:
		a.clients--
	case Reject:
		a.rejected--
	}
	a.Resume()
}

// Full reports whether there are as many clients as there may be.
func (a *Acceptor) Full() bool { return a.clients >= a.cfg.MaxClients }

// admit decides about the next connection.
func (a *Acceptor) admit() Verdict {
	full := a.Full()
	switch {
	case full && (!a.cfg.Refuse || a.rejected >= rejectedAtOnce): // Closed resumes
		return Wait
	case a.leavesToOthers(): // balance resumes
		return Wait
	case full:
		return Reject
	}
	return Take
}
