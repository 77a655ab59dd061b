package conn

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// AcceptConfig says how many connections are accepted.
type AcceptConfig struct {
	// MaxClients bounds the open connections of clients; the rest wait in the kernel's listen queue. 0: three quarters of the descriptors that
	// the process may have open, because files that are sent and upstreams of tunnels have descriptors, too.
	MaxClients int

	// Refuse answers 503 to connections beyond MaxClients, instead of letting them wait.
	Refuse bool

	// Concurrency is how many requests the application answers at once, if other processes accept on the same listeners: while so many run
	// here, or are about to, new connections are left to the others for a moment. See balance. 0: no other process accepts.
	Concurrency int

	// Moment is for how long connections are left to other processes. 0: 100 ms, long enough for a process that is awake or can
	// be woken, short enough for files.
	Moment time.Duration
}

// defaultMoment is the default of AcceptConfig.Moment.
const defaultMoment = 100 * time.Millisecond

// rejectedAtOnce is how many connections may be told 503 at the same time because of AcceptConfig.MaxClients.
const rejectedAtOnce = 64

// ServiceUnavailable is a whole response for a client for which there is no room.
var ServiceUnavailable = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 20\r\n" +
	"Retry-After: 1\r\nConnection: close\r\n\r\nService Unavailable\n")

// Configure replaces the Config.
func (a *Acceptor) Configure(c AcceptConfig) {
	if c.Moment == 0 {
		c.Moment = defaultMoment
	}
	a.cfg = c
}

// Opened counts an open connection: Take, one of a client; Reject, one that is told that there is no room; Wait, one that does not
// count, because the server made it.
func (a *Acceptor) Opened(v Verdict) { a.open[v]++ }

// Closed is for a connection that Opened has counted. Another one may have its place.
func (a *Acceptor) Closed(v Verdict) {
	a.open[v]--
	a.Resume()
}

// Full reports whether there are as many clients as there may be.
func (a *Acceptor) Full() bool { return a.open[Take] >= a.cfg.MaxClients }

// admit decides about the next connection.
func (a *Acceptor) admit() Verdict {
	full := a.Full()
	switch {
	case full && (!a.cfg.Refuse || a.open[Reject] >= rejectedAtOnce): // Closed resumes
		return Wait
	case a.leavesToOthers(): // balance resumes
		return Wait
	case full:
		return Reject
	}
	return Take
}

// openFilesIntact returns an error, of one line, if no client can connect because the application has lowered the limit
// of open files. It is safe for concurrent use.
func (a *Acceptor) openFilesIntact() error {
	if now := system.OpenFiles(); a.short.Load() && now < a.openFiles {
		return fmt.Errorf("the application lowered the limit of open files (RLIMIT_NOFILE) from %d to %d, so no client can connect", a.openFiles, now)
	}
	return nil
}

// hint returns the end of a line about an error of accept: the limit that was reached, and how to raise it.
func hint(err error) string {
	if err != unix.EMFILE {
		return ""
	}
	return fmt.Sprintf(" (ulimit -n %d); raise LimitNOFILE of systemd or ulimit -n, or lower --max-clients", system.OpenFiles())
}

// warnFull logs that clients at ln do not get in because of AcceptConfig.MaxClients, whose default follows from the limit of open files.
func (a *Acceptor) warnFull(ln *Listener) {
	if !a.Full() || !ln.Queued() || !a.fullWarnings.Once(warnsEvery) {
		return
	}
	fate := "wait"
	if a.cfg.Refuse {
		fate = "get 503"
	}
	a.Log(logfile.Warning, "max-clients reached: %d connections are open, further clients %s; raise --max-clients, or the limit of open files "+
		"that its default follows from (ulimit -n %d, LimitNOFILE of systemd)", a.open[Take], fate, system.OpenFiles())
}
