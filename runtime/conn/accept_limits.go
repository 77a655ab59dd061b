package conn

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

type AcceptConfig struct {
	// MaxClients limits the open connections of clients; further clients wait in the kernel's listen queue. 0 means
	// three quarters of the limit of open files, because files and upstreams also need descriptors.
	MaxClients int

	// MaxPerAddress limits the open connections from one IPv4 address or one IPv6 /64 network. Further connections get
	// 503. Trusted proxies have no limit. 0 means no limit.
	MaxPerAddress int

	// If Refuse is true, connections beyond MaxClients get 503 and do not wait in the queue.
	Refuse bool

	// Concurrency is how many requests the application runs at once. The process is busy if this number of requests is
	// running or expected from new connections. A busy process first leaves new connections to the other processes that
	// accept on the same listeners. 0 means that no other process accepts on these listeners.
	Concurrency int
}

// moment is how long a busy process leaves new connections to other processes. It is enough to wake a sleeping process.
const moment = 100 * time.Millisecond

// rejectedAtOnce limits the open connections that the server accepted only to send 503.
const rejectedAtOnce = 64

// ServiceUnavailable is the response to a client for which the server has no room. AddressCrowded is the response to a
// client beyond AcceptConfig.MaxPerAddress. Both are sent without reading a request.
var (
	ServiceUnavailable = unavailable("Too many clients are connected to this server. Please try again in a moment.\n",
		"Retry-After: 1\r\n")
	AddressCrowded = unavailable("Too many connections are open from your address. Please try again in a moment.\n",
		"Retry-After: 1\r\n")
)

func unavailable(text, fields string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Length: %d\r\n%sConnection: close\r\n\r\n%s", len(text), fields, text)
}

func (a *Acceptor) Configure(c AcceptConfig) { a.cfg = c }

// Opened counts an open connection by its action: Take for a client, and Reject for a client that receives 503. A
// connection that the server itself made has the action Wait; no limit includes such connections.
func (a *Acceptor) Opened(action AcceptAction) { a.open[action]++ }

// Closed must be called when a connection that Opened counted has closed.
func (a *Acceptor) Closed(action AcceptAction) {
	a.open[action]--
	a.Resume()
}

func (a *Acceptor) Rejects() bool { return a.open[Reject] < rejectedAtOnce }

func (a *Acceptor) Full() bool { return a.open[Take] >= a.cfg.MaxClients }

func (a *Acceptor) admit() AcceptAction {
	full := a.Full()
	switch {
	case full && (!a.cfg.Refuse || !a.Rejects()): // when a connection closes, Closed calls Resume
		return Wait
	case a.leavesToOthers(): // after a moment, the method left calls Resume
		return Wait
	case full:
		return Reject
	}
	return Take
}

// openFilesIntact returns a one-line error if no client can connect because the application lowered the limit of open
// files. Any goroutine may call it.
func (a *Acceptor) openFilesIntact() error {
	if now := system.OpenFiles(); a.short.Load() && now < a.openFiles {
		return fmt.Errorf("the application lowered the limit of open files (RLIMIT_NOFILE) from %d to %d, so no "+
			"client can connect", a.openFiles, now)
	}
	return nil
}

// hint returns the end of a log line about an error of accept: the limit that was reached, and how to raise it.
func hint(err error) string {
	if err != unix.EMFILE {
		return ""
	}
	return fmt.Sprintf(" (ulimit -n %d); raise LimitNOFILE of systemd or ulimit -n, or lower --max-clients",
		system.OpenFiles())
}

func (a *Acceptor) warnFull(ln *Listener) {
	if !a.Full() || !ln.Queued() || !a.fullWarnings.Once(warnsEvery) {
		return
	}
	fate := "wait"
	if a.cfg.Refuse {
		fate = "get 503"
	}
	a.Log(logfile.Warning, "max-clients reached: %d connections are open, further clients %s; raise --max-clients, "+
		"or the limit of open files "+
		"that its default follows from (ulimit -n %d, LimitNOFILE of systemd)", a.open[Take], fate, system.OpenFiles())
}
