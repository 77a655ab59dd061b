package coding

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// streamWindow limits the memory that a Stream and the client's decoder need.
const streamWindow = 128 << 10

// Stream compresses a body in pieces, on one goroutine at a time.
type Stream struct {
	coding Coding
	coded  bytes.Buffer
	io.WriteCloser
	flush func() error
	reset func(io.Writer)
}

var streams = [Codings]*sync.Pool{
	Gzip: {New: func() any {
		w := gzip.NewWriter(nil)
		return &Stream{coding: Gzip, WriteCloser: w, flush: w.Flush, reset: w.Reset}
	}},
	Zstd: {New: func() any {
		// Other levels need twice the memory, but make small pieces hardly smaller.
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(streamWindow), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic(err)
		}
		return &Stream{coding: Zstd, WriteCloser: w, flush: w.Flush, reset: w.Reset}
	}},
}

// NewStream returns a Stream, which occupies about 1 MiB until Free.
func NewStream(c Coding) *Stream {
	s := streams[c].Get().(*Stream)
	s.coded.Reset()
	s.reset(&s.coded)
	return s
}

// Encode compresses pieces of the body. The client can decode the result without later pieces. The caller owns the
// result.
func (s *Stream) Encode(pieces [][]byte, last bool) []byte {
	for _, piece := range pieces {
		_, _ = s.Write(piece) // a Buffer does not return errors
	}
	if last {
		_ = s.Close()
	} else {
		_ = s.flush()
	}
	out := bytes.Clone(s.coded.Bytes())
	s.coded.Reset()
	return out
}

// Free makes the memory of s available to a later NewStream.
func (s *Stream) Free() {
	s.reset(nil)
	streams[s.coding].Put(s)
}
