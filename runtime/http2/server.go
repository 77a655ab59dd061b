package http2

import (
	"bytes"
	"cmp"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// Config contains the limits of connections. The zero value is ready for use.
type Config struct {
	MaxStreams int // exchanges of a connection; 0 means 128
	// maximum window of a streamed body in bytes, at least 64 KiB; 0 means 4 MiB
	MaxWindow int

	// ConnectionWindow limits, for each connection, the sum of its window and of its request bodies in memory. The
	// minimum is 64 KiB. 0 means twice MaxWindow, but at least 8 MiB.
	ConnectionWindow int

	// MaxUnread limits the windows of all connections plus their request bodies in memory, but not above twelve times
	// ConnectionWindow, which is also the meaning of 0. The first 64 KiB of each connection do not count. A single client
	// gets at most a third of MaxUnread (see conn.Shares). Request heads larger than 4 KiB have their own limit of the
	// same size.
	MaxUnread int64
}

type Server struct {
	*exchange.Server
	cfg    Config
	memory conn.Shares // shares of Config.MaxUnread for bodies
	heads  conn.Shares // shares of Config.MaxUnread for large heads

	maxList int
	// maximum size of a header block, in bytes. A larger block ends the connection. A smaller block whose head is too
	// large gets 431
	maxBlock int

	input   bytes.Reader
	written appender
	framer  *http2.Framer

	head       []byte
	text       []byte
	piece      [maxFrame]byte
	block      []byte
	encoder    *hpack.Encoder // writes HPACK code to the field coded
	coded      bytes.Buffer
	known      [256]knownLine
	other      knownLine
	spare      *headerBlock
	ended      []*stream
	parts      []*exchange.Part
	spareInput []byte
	gathered   []byte // pieces of the body of Conn.gather
}

// Init initializes s with the exchange.Server that HTTP/1 connections also use.
func (s *Server) Init(server *exchange.Server) {
	s.Server = server
	s.framer = http2.NewFramer(&s.written, &s.input)
	s.framer.SetReuseFrames()
	s.framer.SetMaxReadFrameSize(maxFrame)
	// The framer must not check the order of frames, because all connections share the framer.
	s.framer.AllowIllegalReads = true
	s.makeEncoder()
}

func (s *Server) Configure(cfg Config) {
	cfg.MaxStreams, cfg.MaxWindow = cmp.Or(cfg.MaxStreams, 128), cmp.Or(cfg.MaxWindow, 4<<20)
	cfg.ConnectionWindow = cmp.Or(cfg.ConnectionWindow, max(8<<20, 2*cfg.MaxWindow))
	s.cfg = cfg
	most := 12 * int64(cfg.ConnectionWindow)
	s.memory.Max = min(cmp.Or(cfg.MaxUnread, most), most)
	s.heads.Max = s.memory.Max
	l := &s.Config.Limits
	s.maxList, s.maxBlock = l.Head+32*l.Fields, 4*l.Head
}

// Begin makes HTTP/2 the protocol of the client's connection. The caller must have consumed the HTTP/2 preface.
func (s *Server) Begin(client *exchange.Client) {
	on := &client.Conn
	c := &Conn{s: s, client: client, conn: on}
	c.streams = make(map[uint32]*stream)
	c.decoder = hpack.NewDecoder(tableSize, nil)
	c.decoder.SetMaxStringLength(s.maxBlock)
	c.credit, c.initial, c.frame = http2InitialWindow, http2InitialWindow, maxFrame
	c.inflow = inflow{window: http2InitialWindow, opened: http2InitialWindow, client: client.Account()}
	c.budget.begin(maxResets, s.Set.Now)
	on.SetProtocol(c)
	on.Stamp = s.Set.Now
	c.frames().WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(s.cfg.MaxStreams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: initialWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(s.maxList)},
		http2.Setting{ID: settingNoPriorities, Val: 1},
		http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1},
	)
	on.Schedule()
	if s.End >= exchange.Leaving {
		c.Drain(s.End == exchange.Leaving)
	}
	c.Input(nil)
}

// settingNoPriorities announces that the server ignores the priorities of RFC 7540 (RFC 9218 §2.1).
const settingNoPriorities http2.SettingID = 9

type appender struct{ to *[]byte }

func (a *appender) Write(b []byte) (int, error) {
	*a.to = append(*a.to, b...)
	return len(b), nil
}
