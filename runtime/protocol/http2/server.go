package http2

import (
	"bytes"
	"cmp"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http"
)

// Preface is what a client that speaks HTTP/2 sends first (RFC 9113 §3.4).
const Preface = http2.ClientPreface

// The limits of connections unless Config says otherwise.
const (
	DefaultMaxStreams       = 128
	DefaultMaxResets        = 1000
	DefaultMaxWindow        = 256 << 10
	DefaultConnectionWindow = DefaultMaxStreams * initialWindow
)

// Config says what is different for HTTP/2.
type Config struct {
	MaxStreams int // streams of a connection, and requests of it that are worked on
	MaxResets  int // streams of a connection that its client may give up in a row: see budget
	MaxWindow  int // bytes of a body that is streamed, which its client may send ahead; at least 64 KiB

	// ConnectionWindow is how many bytes of bodies a client may send ahead on all streams together, and how many are kept in memory; at least 64 KiB.
	ConnectionWindow int

	// MaxUnread is how many bytes clients may have sent ahead on all connections together, above 64 KiB on each: see http.Shares. A client gets up
	// to a third.
	MaxUnread int64
}

// Server is what connections of HTTP/2 share. It belongs to the event loop.
type Server struct {
	*http.Server
	cfg    Config
	memory http.Shares // Config.MaxUnread

	input  bytes.Reader // the frame that is being read
	framer *http2.Framer

	head       []byte       // memory of a request's head
	text       []byte       // memory of a response's head
	block      bytes.Buffer // memory of a header block
	known      [256]knownField
	other      knownField   // one that is too long to be kept
	spare      *headerBlock // memory of the header block that is arriving
	ended      []*stream    // memory of streams
	spareInput []byte       // memory of byteStream.in
	emit       func(hpack.HeaderField)
	target     *headerBlock // of emit
}

// tick is how exact deadlines are, in nanoseconds.
const tick = eventloop.Tick

// Init makes s ready. of has what it shares with connections of HTTP/1.
func (s *Server) Init(of *http.Server) {
	s.Server = of
	s.Configure(Config{})
	s.framer = http2.NewFramer(nil, &s.input)
	s.framer.SetReuseFrames()
	s.framer.SetMaxReadFrameSize(maxFrame)
	s.framer.AllowIllegalReads = true // its order of frames is that of one connection, and this one reads for all
	s.emit = func(f hpack.HeaderField) { s.target.add(f) }
}

// Configure sets how connections behave from now on.
func (s *Server) Configure(cfg Config) {
	s.cfg = Config{
		MaxStreams:       cmp.Or(cfg.MaxStreams, DefaultMaxStreams),
		MaxResets:        cmp.Or(cfg.MaxResets, DefaultMaxResets),
		MaxWindow:        cmp.Or(cfg.MaxWindow, DefaultMaxWindow),
		ConnectionWindow: cmp.Or(cfg.ConnectionWindow, DefaultConnectionWindow),
	}
	s.memory.Max = cmp.Or(cfg.MaxUnread, 12*int64(s.cfg.ConnectionWindow))
}

func (s *Server) tracef(format string, args ...any) { s.Set.Log(logfile.Debug, format, args...) }
