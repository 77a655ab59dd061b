package runtime

import (
	"fmt"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// makeRoom is for a connection that has gone, which the acceptor has counted as v.
func (l *loop) makeRoom(v conn.Verdict) {
	if l.live.Load() == 1 { // ticks go on for handlers that are late
		l.owed.Store(int64(l.app.Owed()))
	}
	live := l.live.Add(-1)
	l.accepting.Closed(v)
	if live > 0 {
		return
	}
	l.sites.Trim()
	l.secure.Trim()
	l.sockets.Trim()
	select {
	case l.emptied <- struct{}{}:
	default:
	}
	if l.http.Leaving() {
		l.allGone()
	}
}

// drain begins the end: idle connections close, the others after their
// response.
func (l *loop) drain() {
	if l.http.Draining() {
		return
	}
	l.http.Drain()
	l.sockets.Drain(false)
	l.conns.Drain(false)
	l.subscribers.Drain()
	if l.live.Load() == 0 {
		l.allGone()
	}
}

// retire begins a quiet end, when no connection comes any more: each one stays
// until its next request is answered, or until it was idle for so long. A
// client that sends a request just now must not find the connection closed.
func (l *loop) retire(idle time.Duration) {
	if l.http.Leaving() {
		return
	}
	l.http.Retire(idle)
	l.sockets.Drain(true)
	l.conns.Drain(true)
	l.subscribers.Retire()
	if l.live.Load() == 0 {
		l.allGone()
	}
}

// closeAll closes what drain left.
func (l *loop) closeAll() {
	l.shut = true
	l.conns.CloseAll("the server has shut down")
	l.subscribers.Close()
}

// allGone is for the end of the last connection. The server has ended when the application knows of it, at the end of the batch.
func (l *loop) allGone() { l.gone = true }

// tellEnd tells Shutdown that all connections have gone.
func (l *loop) tellEnd() {
	select {
	case <-l.drained:
	default:
		close(l.drained)
	}
}

// warnEvery is the least time between two lines about clients that do not read, in nanoseconds.
const warnEvery = int64(1e9)

// boundUnsent ends responses if more than Config.MaxUnsent waits for clients.
func (l *loop) boundUnsent() {
	client, unsent, ended := l.conns.Unsent.Bound(l.now())
	if ended == 0 {
		return
	}
	if l.cut += ended; l.warned != 0 && l.now()-l.warned < warnEvery {
		return
	}
	others := ""
	if l.cut > 1 {
		others = fmt.Sprintf(", and %d more since the last such line", l.cut-1)
	}
	l.warned, l.cut = max(l.now(), 1), 0
	l.s.logClient(logfile.Warning, client, fmt.Sprintf("response ended with %.1f MiB unread%s: more than %d MiB wait for slow clients; see --max-unsent",
		float64(unsent)/(1<<20), others, l.cfg.MaxUnsent>>20))
}
