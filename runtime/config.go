package runtime

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/http2"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/static"
	"fapws/runtime/system"
)

// Config says how a Server behaves: it has the Config of each package that the server consists of.
type Config struct {
	HTTP2      http2.Config
	Sites      exchange.Config
	Accept     conn.AcceptConfig
	WebSockets live.SocketConfig

	// Channels configures channels. Its HandOver also lets WebSockets of mounts with a Group stay when the server retires, for Sockets.Export,
	// and its Counted reports groups, too.
	Channels live.StreamConfig

	// Private are the files that a handler cannot have sent, either. nil: none.
	Private *static.Private

	// TLS is what connections of listeners with Secure are made with: certificates, versions, protocols (ALPN), tickets. It must not
	// be changed; GetConfigForClient may return another one for each connection. nil: their
	// handshakes fail.
	TLS *tls.Config

	// TLSTimeout is how long a client may take for the handshake of TLS. 0: 10 s.
	TLSTimeout time.Duration

	// TLSHandshakes bounds the handshakes of TLS that are under way. Other clients wait in the queue of their listener. 0: 1024.
	TLSHandshakes int

	// WriteTimeout is how long a client may take nothing of a response.
	WriteTimeout time.Duration

	// MaxUnsent is how many bytes of responses, without the largest, may wait for clients. Beyond it, responses end
	// whose clients read least: see Ledger of package conn. 0: 64 MiB.
	MaxUnsent int64

	// Timeout bounds the time from Submit to the first part of a response, and
	// from each part that was sent to the next one. Beyond it the client gets
	// 504, or is cut off when its response has begun, and the Handler is told
	// (Overdue). 0: no bound.
	Timeout time.Duration

	// SendfileRoots are the folders from which a handler may have files sent
	// (exchange.Head.SendFile); AccelRoots those for exchange.Head.Accel.
	SendfileRoots []string
	AccelRoots    []static.AccelRoot

	// Programs returns the Handler that runs the
	// programs which other handlers name (exchange.Program). It is called on the
	// loop, once, when that first happens. nil: such requests are answered 500.
	Programs func() exchange.Handler

	// ReadBuffer is the number of bytes read at once, one buffer in all. 0: 64 KiB.
	ReadBuffer int

	// CacheSize bounds the memory, in bytes, in which answers are kept where a
	// Mount says so. 0: none are kept.
	CacheSize int64

	// Purged is called on the loop when a request has made pages of the cache
	// out of date, for other processes that have them, too. It must not block.
	// nil: there are none.
	Purged func(cache.Pattern)

	// Debug writes, at logfile.Debug: 1 connections and requests with their
	// timings, 2 also events of the loop and hand-offs, 3 also bytes. 0: nothing.
	Debug int

	// OnIdle is called, on a goroutine of the server, when no client has been
	// the last connection has closed.
	OnIdle func()

	// Log gets the lines that an operator should see, from any goroutine, one
	// line at a time without its end. nil: standard error, from logfile.Info on. Those about a client are for Sites.LogClient; if that is nil,
	// Log gets them, with the client before the line.
	Log func(logfile.Level, string)
}

func (c Config) withDefaults() Config {
	files := cmp.Or(int(min(system.OpenFiles(), 1<<20)), 1024)
	if c.Accept.MaxClients <= 0 {
		c.Accept.MaxClients = max(1, files/4*3)
	}
	c.MaxUnsent = cmp.Or(c.MaxUnsent, 64<<20)
	c.Sites.Limits = cmp.Or(c.Sites.Limits, http1.DefaultLimits)
	c.Sites.SpoolSize = cmp.Or(c.Sites.SpoolSize, 256<<10)
	c.Sites.SpoolDir = cmp.Or(c.Sites.SpoolDir, os.TempDir())
	c.Sites.MaxDescriptors = cmp.Or(c.Sites.MaxDescriptors, max(c.Accept.MaxClients, files/4*3))
	c.Sites.MaxSpools = cmp.Or(c.Sites.MaxSpools, files/8)
	c.ReadBuffer = cmp.Or(c.ReadBuffer, 64<<10)
	if c.Log == nil {
		c.Log = func(level logfile.Level, line string) {
			if level > logfile.Debug {
				fmt.Fprintf(os.Stderr, "%s: %s\n", level, line)
			}
		}
	}
	if c.Sites.LogClient == nil {
		log := c.Log
		c.Sites.LogClient = func(level logfile.Level, client, line string) { log(level, "client "+client+": "+line) }
	}
	return c
}

const (
	// tickLength is how often the loop looks at deadlines, in nanoseconds.
	tickLength = eventloop.Tick

	// quietAfter is how long the server must have had no connection until it
	// counts as idle: clients that come one by one do not end its work.
	quietAfter = 100 * time.Millisecond
)

// watch makes the loop look at the time, as long as there are connections: an idle server does nothing at all. It is called by loop.timer, at a tick
// and when there has been no connection for quietAfter.
func (l *loop) watch() {
	select {
	case <-l.ended:
		return
	default:
	}
	if l.live.Load() == 0 && l.owed.Load() == 0 {
		if l.s.onIdle != nil {
			l.s.onIdle()
		}
		return
	}
	if l.ticking.CompareAndSwap(false, true) { // one is enough while the loop is held up
		l.post(l.ticked)
	}
	l.app.Stalled()
	l.timer.Reset(time.Duration(tickLength))
}

// now returns the loop's time: nanoseconds since it was made, at most tickLength late.
func (l *loop) now() int64 { return l.conns.Now }

// clock sets the loop's time.
func (l *loop) clock(t time.Time) {
	l.conns.SetTime(t)
	l.sites.Heads.SetTime(l.conns.Unix())
}

// ticked looks at the connections whose time may have come.
func (l *loop) ticked() {
	l.ticking.Store(false)
	before := l.now()
	l.clock(time.Now())
	switch late := l.now() - before - tickLength; {
	case late > tickLength:
		// A handler that runs inline has kept the loop from seeing clients: stamps since then are as old as the tick before it.
		l.conns.Restamp(before, l.now())
		l.app.ExcludeBlockedTime(l.now() - before)
	case late > tickLength/8:
		// Stamps since the last tick were made by its time: they are older than the tick that deadlines allow for.
		l.conns.Restamp(before, l.now()-tickLength)
	}
	l.sites.Tick()
	l.app.Tick()
	l.dismiss()
	l.owed.Store(int64(l.app.Owed()))
	if l.pages != nil {
		l.pages.Tick()
	}
	l.subscribers.Tick()
	l.sockets.Expire()
	l.conns.Tick()
	l.accepting.Resume() // a handshake may be old enough to be cut off for another client
}
