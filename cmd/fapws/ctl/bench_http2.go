package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	frameHeader  = 9        // bytes of the header of a frame (RFC 9113 §4.1)
	maxFrame     = 16 << 10 // bytes of a frame's payload that a server may send
	recvWindow   = 1<<31 - 1
	refillAt     = 1 << 29 // bytes after which the window of the connection is opened again
	firstWindow  = 65535
	lastStream   = 1<<31 - 3
	maxUnsent    = 1 << 20 // bytes of acknowledgements that the server does not read
	streamsFirst = 100     // requests at once until the server has said how many it takes
)

var errNotHTTP2 = errors.New("the server does not speak HTTP/2")

// http2Session speaks HTTP/2: several requests at once, each on a stream.
type http2Session struct {
	c        *connection
	framer   *http2.Framer
	frames   bytes.Reader // a whole frame
	rest     []byte       // the beginning of a frame that is not whole
	encoder  *hpack.Encoder
	block    bytes.Buffer // fields of a request, encoded
	decoder  *hpack.Decoder
	status   int // of the fields that the decoder reads
	streams  map[uint32]*stream
	blocked  []*stream // those whose bodies wait for the window
	next     uint32    // number of the next stream
	limit    int       // streams at once
	window   int64     // bytes of bodies that the server takes
	initial  int64     // the same of a new stream
	received int64     // bytes of bodies since the window was opened
	greeted  bool      // the server has begun with its settings, as it must
	leaving  bool      // it takes no more streams
}

// stream is a request and its response.
type stream struct {
	request benchRequest
	id      uint32
	status  int
	bytes   int64
	last    bool   // the response ends with its fields
	body    []byte // of the request, which is still to be sent
	window  int64
}

func newHTTP2(c *connection) *http2Session {
	s := &http2Session{c: c, streams: map[uint32]*stream{}, next: 1, limit: min(c.g.target.streams, streamsFirst), window: firstWindow, initial: firstWindow}
	s.framer = http2.NewFramer(c, &s.frames)
	s.framer.SetReuseFrames()
	s.framer.SetMaxReadFrameSize(maxFrame)
	s.encoder = hpack.NewEncoder(&s.block)
	s.decoder = hpack.NewDecoder(4096, s.field)
	s.decoder.SetMaxStringLength(maxHead)
	_, _ = c.Write([]byte(http2.ClientPreface))
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: recvWindow})
	_ = s.framer.WriteWindowUpdate(0, recvWindow-firstWindow)
	return s
}

func (s *http2Session) room() int {
	if s.closing() {
		return 0
	}
	return s.limit - len(s.streams)
}

func (s *http2Session) closing() bool { return s.leaving || s.next > lastStream }

func (s *http2Session) waiting() (n int, first time.Duration) {
	first = never
	for _, st := range s.streams {
		first = min(first, st.request.sent)
	}
	return len(s.streams), first
}

func (s *http2Session) ended() error {
	if len(s.streams) > 0 {
		return errClosed
	}
	return nil
}

func (s *http2Session) start(r benchRequest) {
	t := s.c.g.target
	st := &stream{request: r, id: s.next, body: t.body, window: s.initial}
	s.next += 2
	s.streams[st.id] = st
	s.block.Reset()
	for _, f := range t.fields {
		_ = s.encoder.WriteField(f)
	}
	for block, first := s.block.Bytes(), true; len(block) > 0 || first; first = false {
		piece := block[:min(len(block), maxFrame)]
		block = block[len(piece):]
		if first {
			_ = s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: st.id, BlockFragment: piece, EndStream: len(st.body) == 0, EndHeaders: len(block) == 0})
		} else {
			_ = s.framer.WriteContinuation(st.id, len(block) == 0, piece)
		}
	}
	if !s.sendBody(st) {
		s.blocked = append(s.blocked, st)
	}
}

// sendBody sends of the body what the windows allow. It returns false if something is left.
func (s *http2Session) sendBody(st *stream) bool {
	for len(st.body) > 0 {
		n := min(int64(len(st.body)), s.window, st.window, maxFrame)
		if n <= 0 {
			return false
		}
		s.window -= n
		st.window -= n
		_ = s.framer.WriteData(st.id, int(n) == len(st.body), st.body[:n])
		st.body = st.body[n:]
	}
	return true
}

// unblock goes on with bodies that have waited for the window.
func (s *http2Session) unblock() {
	left := s.blocked[:0]
	for _, st := range s.blocked {
		if s.streams[st.id] == st && !s.sendBody(st) {
			left = append(left, st)
		}
	}
	clear(s.blocked[len(left):])
	s.blocked = left
}

func (s *http2Session) input(b []byte) error {
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	for len(b) >= frameHeader {
		if !s.greeted && http2.FrameType(b[3]) != http2.FrameSettings {
			return errNotHTTP2
		}
		s.greeted = true
		n := frameHeader + int(b[0])<<16 + int(b[1])<<8 + int(b[2])
		if n > frameHeader+maxFrame {
			return fmt.Errorf("a frame has %d bytes", n-frameHeader)
		}
		if n > len(b) {
			break
		}
		s.frames.Reset(b[:n])
		f, err := s.framer.ReadFrame()
		if err == nil {
			err = s.frame(f)
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	s.rest = append(s.rest[:0], b...)
	return nil
}

// frame takes a frame.
func (s *http2Session) frame(f http2.Frame) error {
	st := s.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.HeadersFrame:
		return s.headers(st, f.HeaderBlockFragment(), f.HeadersEnded(), f.StreamEnded(), f.Length)
	case *http2.ContinuationFrame:
		return s.headers(st, f.HeaderBlockFragment(), f.HeadersEnded(), false, f.Length)
	case *http2.DataFrame:
		s.data(st, f)
	case *http2.RSTStreamFrame:
		if st != nil {
			s.forget(st)
			s.c.g.failed(1, "reset: "+f.ErrCode.String())
		}
	case *http2.SettingsFrame:
		return s.settings(f)
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			s.window += int64(f.Increment)
		} else if st != nil {
			st.window += int64(f.Increment)
		}
		s.unblock()
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return s.acknowledge(func() error { return s.framer.WritePing(true, f.Data) })
	case *http2.GoAwayFrame:
		return s.goAway(f)
	}
	return nil
}

// field takes a field of a response from the decoder.
func (s *http2Session) field(f hpack.HeaderField) {
	if f.Name == ":status" {
		s.status, _ = strconv.Atoi(f.Value)
	}
}

func (s *http2Session) headers(st *stream, block []byte, whole, last bool, length uint32) error {
	if _, err := s.decoder.Write(block); err != nil {
		return errors.New("the header fields cannot be decoded")
	}
	if st != nil {
		st.bytes += int64(length) + frameHeader
		st.last = st.last || last
	}
	if !whole {
		return nil
	}
	if err := s.decoder.Close(); err != nil {
		return errors.New("the header fields cannot be decoded")
	}
	status := s.status
	s.status = 0
	if st == nil {
		return nil
	}
	if status >= 200 {
		st.status = min(status, 999)
	}
	if st.last {
		s.finish(st)
	}
	return nil
}

func (s *http2Session) data(st *stream, f *http2.DataFrame) {
	if s.received += int64(f.Length); s.received >= refillAt {
		_ = s.framer.WriteWindowUpdate(0, uint32(s.received))
		s.received = 0
	}
	if st == nil {
		return
	}
	st.bytes += int64(f.Length) + frameHeader
	if f.StreamEnded() {
		s.finish(st)
	}
}

// finish counts the response of a stream.
func (s *http2Session) finish(st *stream) {
	if len(st.body) > 0 { // the server does not want the rest of it
		_ = s.framer.WriteRSTStream(st.id, http2.ErrCodeCancel)
	}
	s.forget(st)
	if st.status == 0 {
		s.c.g.failed(1, "a response has no status")
		return
	}
	s.c.g.finished(st.request, st.status, st.bytes)
}

func (s *http2Session) forget(st *stream) { delete(s.streams, st.id) }

func (s *http2Session) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	s.limit = s.c.g.target.streams
	err := f.ForeachSetting(func(v http2.Setting) error {
		switch v.ID {
		case http2.SettingMaxConcurrentStreams:
			s.limit = int(min(uint32(s.limit), v.Val))
		case http2.SettingInitialWindowSize:
			for _, st := range s.streams {
				st.window += int64(v.Val) - s.initial
			}
			s.initial = int64(v.Val)
		case http2.SettingHeaderTableSize:
			s.encoder.SetMaxDynamicTableSizeLimit(v.Val)
		}
		return nil
	})
	s.unblock()
	if err != nil {
		return err
	}
	return s.acknowledge(s.framer.WriteSettingsAck)
}

// acknowledge writes an acknowledgement, unless the server asks for more and more of them, and does not read them.
func (s *http2Session) acknowledge(write func() error) error {
	if s.c.unsent() > maxUnsent+s.limit*len(s.c.g.target.body) {
		return errors.New("the server does not read")
	}
	return write()
}

// goAway lets the streams end that the server still answers. It has not looked at the others (RFC 9113 §6.8).
func (s *http2Session) goAway(f *http2.GoAwayFrame) error {
	s.leaving = true
	if f.ErrCode != http2.ErrCodeNo {
		return errors.New("the server has ended the connection: " + f.ErrCode.String())
	}
	for id, st := range s.streams {
		if id > f.LastStreamID {
			s.forget(st)
			s.c.g.again(st.request)
		}
	}
	return nil
}
