package runtime

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/http1"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/static"
)

// Config says how a Server behaves. The zero value works: every field that is
// zero has the default that its comment gives.
type Config struct {
	// Limits bounds the head of a request (414 and 431 beyond).
	Limits http1.Limits

	// MaxBodySize bounds the body of a request in bytes; beyond it the client
	// gets 413 and the connection closes. 0: 10 MiB. Below zero: no bound.
	MaxBodySize int64

	// MaxClients bounds the open connections; the rest wait in the kernel's
	// listen queue. 0: three quarters of the descriptors that the process may
	// have open, because files that are sent and upstreams of tunnels have descriptors, too.
	MaxClients int

	// Concurrency is how many requests the application answers at once, if other processes accept on the same
	// listeners: while so many run here, or are about to, new connections are left to the others for a moment.
	// See conn.Acceptor. 0: no other process accepts.
	Concurrency int

	// Refuse answers 503 to connections beyond MaxClients, instead of letting
	// them wait.
	Refuse bool

	// HeadTimeout is how long a client may take to send a head, from its
	// first byte or from the start of the connection. 0: 10 s.
	HeadTimeout time.Duration

	// Private are the files that a handler cannot have sent, either. nil: none.
	Private *static.Private

	// TLS is what connections of listeners with Secure are made with: certificates, versions, protocols (ALPN), tickets. It must not
	// be changed; Server.SetTLS replaces it, and GetConfigForClient may return another one for each connection. nil: their
	// handshakes fail.
	TLS *tls.Config

	// TLSTimeout is how long a client may take for the handshake of TLS. 0: 10 s.
	TLSTimeout time.Duration

	// TLSHandshakes bounds the handshakes of TLS that are under way. Other clients wait in the queue of their listener. 0: 1024.
	TLSHandshakes int

	// BodyTimeout is how long a client may pause while it sends a body. 0: 20 s.
	BodyTimeout time.Duration

	// BodyRate is the least rate, in bytes per second, at which a body must
	// arrive on average once BodyTimeout has passed. 0: 500. Below zero: none.
	BodyRate int

	// KeepAlive is how long a connection may wait for its next request. 0: 75 s.
	KeepAlive time.Duration

	// WriteTimeout is how long a client may take nothing of a response. 0: 60 s.
	WriteTimeout time.Duration

	// MaxUnsent is how many bytes of responses, without the largest, may wait for clients. Beyond it, responses end
	// whose clients read least: see Ledger of package conn. 0: 64 MiB.
	MaxUnsent int64

	// StartWait bounds how long a request waits for what answers it (sites.Mount.Pending). 0: it does not wait.
	StartWait time.Duration

	// Timeout bounds the time from Submit to the first part of a response, and
	// from each part that was sent to the next one. Beyond it the client gets
	// 504, or is cut off when its response has begun, and the Handler is told
	// (Overdue). 0: no bound.
	Timeout time.Duration

	// Proxies are the networks whose Forwarded and X-Forwarded-* fields are
	// believed; ProxyUnix stands for unix sockets. None by default.
	Proxies   []netip.Prefix
	ProxyUnix bool

	// ProxyProtocol expects connections from Proxies to begin with a header of
	// the PROXY protocol, version 1 or 2.
	ProxyProtocol bool

	// RefuseUnknownHosts answers requests for a host that no site names with 421
	// (RFC 9110 §15.5.20) instead of by the first site. Requests without a host
	// (HTTP/1.0) are the first site's.
	RefuseUnknownHosts bool

	// RootPath is put before SCRIPT_NAME: "" or "/a/b". It is taken off a path
	// that begins with it.
	RootPath string

	// SendfileRoots are the folders from which a handler may have files sent
	// (exchange.Head.SendFile); AccelRoots those for exchange.Head.Accel.
	SendfileRoots []string
	AccelRoots    []static.AccelRoot

	// Programs returns the Handler, and what it calls the mount, that runs the
	// programs which other handlers name (exchange.Head.Program). It is called on the
	// loop, once, when that first happens. nil: such requests are answered 500.
	Programs func() (app.Handler, int)

	// Needed is called on the loop when a request waits at a mount that is Pending, for each of them. It must not block. nil: it is not
	// called.
	Needed func()

	// MaxRequests is after how many requests OnMaxRequests is called, once, on a
	// separate goroutine. 0: never.
	MaxRequests   int
	OnMaxRequests func()

	// WebSocketMaxSize bounds a message of a WebSocket, in bytes, also when it is
	// compressed (close code 1009 beyond). 0: 1 MiB.
	WebSocketMaxSize int

	// WebSocketPing is after how long silence of its client a WebSocket is sent a ping, and
	// WebSocketPingTimeout how long the client may then take to show that it is there.
	// 0: 20 s. Below zero: none is sent; the client is waited for without end.
	WebSocketPing, WebSocketPingTimeout time.Duration

	// NoWebSocketDeflate agrees to no compression of messages (permessage-deflate).
	NoWebSocketDeflate bool

	// H2C has connections without TLS speak HTTP/2 if their clients begin with it.
	H2C bool

	// HTTP2Streams is how many requests of a connection of HTTP/2 may be active. 0: 128.
	HTTP2Streams int

	// HTTP2Resets is how many requests a client of HTTP/2 may cancel in a row. Other frames that bring nothing on count, too. 0: 1000.
	HTTP2Resets int

	// HTTP2Window is how many bytes a client of HTTP/2 may send ahead of a handler that takes the body as it arrives; from 64 KiB on. 0: 256 KiB.
	HTTP2Window int

	// HTTP2ConnectionWindow is that of all requests of a connection together, and how many bytes of their bodies are kept in memory; from 64 KiB on.
	// 0: 8 MiB.
	HTTP2ConnectionWindow int

	// MaxUnread is how many bytes of bodies clients of HTTP/2 may have sent ahead, over all connections, above 64 KiB on each. One client
	// gets up to a third. 0: twelve times HTTP2ConnectionWindow.
	MaxUnread int64

	// SpoolSize is the number of bytes of a body that are kept in memory; a
	// longer one goes to an unlinked file in SpoolDir. 0: 256 KiB.
	SpoolSize int

	// SpoolDir is where these files are made. Empty: os.TempDir.
	SpoolDir string

	// MaxSpools bounds the number of these files. One client gets up to a third of them; its further bodies wait for one, and are not read
	// meanwhile. 0: an eighth of the descriptors that the process may have open.
	MaxSpools int

	// ReadBuffer is the number of bytes read at once, one buffer in all. 0: 64 KiB.
	ReadBuffer int

	// CacheSize bounds the memory, in bytes, in which answers are kept where a
	// Mount says so. 0: none are kept.
	CacheSize int64

	// Purged is called on the loop when a request has made pages of the cache
	// out of date, for other processes that have them, too. It must not block.
	// nil: there are none.
	Purged func(cache.Pattern)

	// Channels configures channels. Its HandOver also lets WebSockets of mounts with a Group stay when the server retires, for ExportSockets,
	// and its Counted reports groups, too.
	Channels live.StreamConfig

	// Debug writes, at logfile.Debug: 1 connections and requests with their
	// timings, 2 also events of the loop and hand-offs, 3 also bytes. 0: nothing.
	Debug int

	// Answered is called on the loop for each request that has been answered,
	// but not with an override page, for a log that is read while it is written. nil: it
	// is not called.
	Answered func(*sites.RequestSummary)

	// Trace gives each request a field traceparent, which continues the trace of the client or begins one (W3C Trace Context).
	Trace bool

	// AccessLog gets a line per request. nil: none, which costs nothing.
	AccessLog *logfile.AccessLog

	// OnIdle is called, on a goroutine of the server, when no client has been
	// the last connection has closed.
	OnIdle func()

	// Log gets the lines that an operator should see, from any goroutine, one
	// line at a time without its end. nil: standard error, from logfile.Info on.
	Log func(logfile.Level, string)

	// LogClient gets those that are about a client, "192.0.2.7:4711". nil: Log does,
	// with the client before the line.
	LogClient func(level logfile.Level, client, line string)
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	if c.MaxBodySize == 0 {
		c.MaxBodySize = 10 << 20
	}
	if c.MaxClients <= 0 {
		c.MaxClients = max(1, maxOpenFiles()/4*3)
	}
	setDefault(&c.HeadTimeout, 10*time.Second)
	setDefault(&c.BodyTimeout, 20*time.Second)
	setDefault(&c.BodyRate, 500)
	setDefault(&c.KeepAlive, 75*time.Second)
	setDefault(&c.WriteTimeout, 60*time.Second)
	setDefault(&c.WebSocketMaxSize, 1<<20)
	setDefault(&c.WebSocketPing, 20*time.Second)
	setDefault(&c.WebSocketPingTimeout, 20*time.Second)
	setDefault(&c.MaxUnsent, 64<<20)
	setDefault(&c.SpoolSize, 256<<10)
	setDefault(&c.MaxSpools, maxOpenFiles()/8)
	setDefault(&c.ReadBuffer, 64<<10)
	c.Channels = c.Channels.WithDefaults()
	if c.SpoolDir == "" {
		c.SpoolDir = os.TempDir()
	}
	if c.Log == nil {
		c.Log = logToStderr
	}
	if c.LogClient == nil {
		log := c.Log
		c.LogClient = func(level logfile.Level, client, line string) { log(level, "client "+client+": "+line) }
	}
	return c
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// maxOpenFiles returns how many descriptors the process may have open.
func maxOpenFiles() int {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 1024
	}
	return int(min(lim.Cur, 1<<20))
}

func logToStderr(level logfile.Level, line string) {
	if level > logfile.Debug {
		fmt.Fprintf(os.Stderr, "%s: %s\n", level, line)
	}
}

const (
	// tickLength is how often the loop looks at deadlines, in nanoseconds.
	tickLength = eventloop.Tick

	// quietAfter is how long the server must have had no connection until it
	// counts as idle: clients that come one by one do not end its work.
	quietAfter = 100 * time.Millisecond
)

// tick makes the loop look at the time, as long as there are connections: an
// idle server does nothing at all.
func (s *Server) tick() {
	l := s.loop
	ticker := time.NewTicker(time.Duration(tickLength))
	defer ticker.Stop()
	for {
		ticker.Stop()
		select {
		case <-l.idle:
		case <-l.ended:
			return
		}
		looks := 1 // a handler that runs inline is looked at twice a tick: the first look notices that it runs
		if l.limited.Load() {
			looks = 2
		}
		ticker.Reset(time.Duration(tickLength) / time.Duration(looks))
		for look := 1; l.live.Load() > 0 || l.owed.Load() > 0; look++ {
			select {
			case <-ticker.C:
			case <-l.emptied:
				if !l.sleep(quietAfter) {
					return
				}
				continue
			case <-l.ended:
				return
			}
			if l.live.Load() == 0 && l.owed.Load() == 0 {
				break
			}
			if look%looks == 0 && l.ticking.CompareAndSwap(false, true) { // one is enough while the loop is held up
				l.post(l.ticked)
			}
			l.app.Stalled()
		}
		if s.onIdle != nil {
			s.onIdle()
		}
	}
}

// sleep waits; false: the loop has ended. Not on the loop.
func (l *loop) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.ended:
		return false
	}
}

// now returns the loop's time: nanoseconds since it was made, at most tickLength late.
func (l *loop) now() int64 { return l.conns.Now() }

// clock sets the loop's time.
func (l *loop) clock(t time.Time) {
	l.conns.SetTime(t)
	l.http.Heads.SetTime(l.conns.Unix())
}

// ticked looks at the connections whose time may have come.
func (l *loop) ticked() {
	l.ticking.Store(false)
	before := l.now()
	l.clock(time.Now())
	switch late := l.now() - before - tickLength; {
	case late > tickLength:
		l.heldUp(before)
	case late > tickLength/8:
		l.restamp(before)
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

// restamp corrects the stamps since the last tick, which were made by its time: where this tick is late, they are older
// than the tick that deadlines allow for.
func (l *loop) restamp(last int64) { l.conns.Restamp(last, l.now()-tickLength) }

// heldUp forgives what a handler that runs inline has kept the loop from
// seeing: stamps since then are as old as the tick before it.
func (l *loop) heldUp(since int64) {
	l.conns.Restamp(since, l.now())
	l.app.ExcludeBlockedTime(l.now() - since)
	l.subscribers.ExcludeBlockedTime()
}
