package runtime

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/http2"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/static"
	"fapws/runtime/system"
)

type Config struct {
	HTTP2      http2.Config
	Sites      exchange.Config
	Accept     conn.AcceptConfig
	WebSockets live.SocketConfig

	// Channels configures the channels for server-sent events. Channels.Counted is called for channels and for groups
	// of WebSockets.
	Channels live.StreamConfig

	Private *static.Private

	// TLS is the configuration for listeners with Secure: certificates, versions, protocols (ALPN), tickets. The
	// tls.Config must not be changed, but its GetConfigForClient may return a different configuration for each
	// connection. If TLS is nil, handshakes fail.
	TLS *tls.Config

	// TLSTimeout is the timeout of TLS handshakes. 0 means 10 s.
	TLSTimeout time.Duration

	// TLSHandshakes limits the TLS handshakes in progress; additional clients wait in the listen queue. 0 means 1024.
	TLSHandshakes int

	// WriteTimeout is how long the server waits for a client that reads nothing of its response. After this time, the
	// server disconnects the client.
	WriteTimeout time.Duration

	// MaxUnsent limits the bytes of all responses that wait for clients, without the largest response. Above this
	// limit, the server aborts the responses of the slowest clients (conn.Ledger). 0 means 64 MiB.
	MaxUnsent int64

	// Timeout limits the time from Submit to the first part of a response, and from each sent part to the next part.
	// After a timeout the Handler is cancelled. The client gets 504 or, if the response has begun, the response is
	// aborted. 0 means no limit.
	Timeout time.Duration

	// SendfileRoots are the directories from which a handler may send files with X-Sendfile. AccelRoots are the
	// directories for X-Accel-Redirect.
	SendfileRoots []string
	AccelRoots    []static.AccelRoot

	Inline bool // the application's handlers run on the event loop

	// Programs returns the Handler that runs a program which the response of another handler names, to complete that
	// response. Programs is called once, on the loop, when the first program is needed. If it is nil, a request that
	// needs a program gets 500.
	Programs func() exchange.Handler

	// ReadBuffer is the size of the buffer for input, in bytes. 0 means 64 KiB.
	ReadBuffer int

	// CacheSize limits the memory of cached responses, in bytes. 0 disables the cache.
	CacheSize int64

	// Purged is called on the loop when a request has invalidated pages of the cache, so that other processes can purge
	// the same pages. Purged must not block. Purged may be nil.
	Purged func(cache.Pattern)

	// Debug is the debug level of the log. Level 1 logs connections and requests with their timings. Level 2 also logs
	// events of the loop and when a request goes to the application. Level 3 also logs the received and sent bytes. 0
	// means no debug lines.
	Debug int

	// OnIdle is called a moment after the last connection has closed, on a goroutine other than the loop's.
	OnIdle func()

	// OnTick is called about twice a second while there are connections, and once more before OnIdle. It runs on a
	// goroutine other than the loop's, even while a handler blocks the loop, and must not block. OnTick may be nil.
	OnTick func()

	// Log receives lines for the operator, one line in each call, without the line end. Any goroutine may call Log. nil
	// means standard error, without debug lines. Lines about a client go to Sites.LogClient or, if Sites.LogClient is
	// nil, to Log with the client as prefix.
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
		c.Sites.LogClient = func(level logfile.Level, client, line string) {
			log(level, "client "+logfile.AboutOf(client).Client+": "+line)
		}
	}
	return c
}
