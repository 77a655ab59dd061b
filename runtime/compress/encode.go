package compress

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// least is the minimum size of bodies that are compressed, in bytes. A smaller body fits into one packet with the
	// head even without compression.
	least = 1 << 10

	// most is the maximum size of bodies that are compressed as a whole, in bytes. It limits the memory and the time for
	// compression.
	most = 8 << 20

	// zstdWindow limits the memory that a client needs for decompression (RFC 9659 permits 8 MiB).
	zstdWindow = 1 << 20
)

// Worth reports whether a body should be compressed: it is likely to become smaller, and is not too large. The argument
// mediaType may contain a charset or similar; size is in bytes. Worth is safe for concurrent use, and does not allocate
// memory if the type is in lower case.
func Worth(mediaType string, size int64) bool {
	return size >= least && size <= most && Compressible(mediaType)
}

// Compressible reports whether compression usually makes bodies of a media type smaller.
func Compressible(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, ";")
	switch kind = strings.ToLower(strings.TrimRight(kind, " \t")); kind {
	case "text/event-stream": // Server-sent events must not be delayed.
		return false
	case "application/postscript", "application/rtf", "application/wasm", "application/vnd.apple.mpegurl",
		"application/vnd.ms-fontobject", "audio/x-mpegurl", "font/otf", "font/ttf", "font/collection", "image/bmp",
		"image/x-icon", "model/gltf-binary":
		return true
	}
	return Textual(kind)
}

// Turns is a semaphore: its capacity limits how many goroutines work at the same time.
type Turns chan struct{}

// Processors permits compression on half of the processors, so that the others can serve requests.
var Processors = make(Turns, max(1, runtime.GOMAXPROCS(0)/2))

// Take waits for a turn, and returns false if there is no free turn within a second.
func (t Turns) Take() bool {
	select {
	case t <- struct{}{}:
		return true
	case <-time.After(time.Second):
		return false
	}
}

// Try takes a turn without waiting, or returns false if no turn is free.
func (t Turns) Try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t Turns) Wait() { t <- struct{}{} }

func (t Turns) Leave() { <-t }

var zstds = sync.OnceValue(func() *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(cap(Processors)), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(zstdWindow))
	if err != nil {
		panic(err)
	}
	return w
})

// Compress compresses body with a coding. Compress returns false if the result is not smaller by at least an eighth, or
// if Made does not contain the coding. Equal bodies always have equal results. The caller must have a turn of
// Processors, and must not be on the event loop.
func Compress(coding Coding, body []byte) ([]byte, bool) {
	if !Made[coding] {
		return nil, false
	}
	var out []byte
	if coding == Zstd {
		out = bytes.Clone(zstds().EncodeAll(body, make([]byte, 0, len(body)/3)))
	} else {
		e := newEncoder(coding)
		out = e.encode([][]byte{body}, true)
		e.free()
	}
	if len(out) > len(body)-len(body)/8 {
		return nil, false
	}
	return out, true
}

// Textual reports whether a media type consists of characters, so that it may have a charset parameter: text,
// JavaScript, JSON and XML.
func Textual(kind string) bool {
	kind = strings.ToLower(kind)
	if strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "+json") {
		return true
	}
	switch kind {
	case "application/javascript", "application/x-javascript", "application/json", "application/json5",
		"application/jsonl", "application/toml", "application/x-ndjson", "application/x-subrip", "application/xml",
		"application/xml-dtd", "application/yaml":
		return true
	}
	return false
}

// streamWindow limits the memory that an encoder and the client's decoder need.
const streamWindow = 128 << 10

// An encoder compresses a body in pieces, on one goroutine at a time.
type encoder struct {
	coding Coding
	coded  bytes.Buffer
	io.WriteCloser
	flush func() error
	reset func(io.Writer)
}

var streams = [Codings]*sync.Pool{
	Gzip: {New: func() any {
		w := gzip.NewWriter(nil)
		return &encoder{coding: Gzip, WriteCloser: w, flush: w.Flush, reset: w.Reset}
	}},
	Zstd: {New: func() any {
		// Other levels need twice the memory, but make small pieces hardly smaller.
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(streamWindow), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic(err)
		}
		return &encoder{coding: Zstd, WriteCloser: w, flush: w.Flush, reset: w.Reset}
	}},
}

// newEncoder returns an encoder, which occupies about 1 MiB until free.
func newEncoder(c Coding) *encoder {
	e := streams[c].Get().(*encoder)
	e.reset(&e.coded)
	return e
}

// encode compresses pieces of the body. The client can decode the result without later pieces. The caller owns the
// result.
func (e *encoder) encode(pieces [][]byte, last bool) []byte {
	for _, piece := range pieces {
		_, _ = e.Write(piece) // a Buffer does not return errors
	}
	if last {
		_ = e.Close()
	} else {
		_ = e.flush()
	}
	out := bytes.Clone(e.coded.Bytes())
	e.coded.Reset()
	return out
}

// free makes the memory of e available to a later newEncoder.
func (e *encoder) free() {
	e.reset(nil)
	e.coded = bytes.Buffer{}
	streams[e.coding].Put(e)
}
