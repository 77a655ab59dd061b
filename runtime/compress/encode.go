package compress

import (
	"bytes"
	"io"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

// Turns is a semaphore with a queue. It limits how many goroutines compress at the same time.
type Turns struct {
	taken   chan struct{}
	waiting atomic.Int32 // number of goroutines in the queue
}

// processors is the number of turns: half of the processors, so that the others can serve requests.
var processors = max(1, runtime.GOMAXPROCS(0)/2)

// Processors limits all compression in this process.
var Processors = NewTurns()

// NewTurns returns as many turns as Processors has.
func NewTurns() *Turns { return &Turns{taken: make(chan struct{}, processors)} }

// Take waits for a turn, and returns false if no turn is free within the time patience.
func (t *Turns) Take(patience time.Duration) bool {
	select {
	case t.taken <- struct{}{}:
		return true
	default:
	}
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	select {
	case t.taken <- struct{}{}:
		return true
	case <-time.After(patience):
		return false
	}
}

func (t *Turns) Wait() { t.Take(math.MaxInt64) }

func (t *Turns) Leave() { <-t.taken }

// A level says how much time compression may take.
type level uint8

const (
	best level = iota // the coding's default
	fastest
	levels
)

// level returns the level for a body whose compression begins: fastest while goroutines wait for a turn.
func (t *Turns) level() level {
	if t.waiting.Load() > 0 {
		return fastest
	}
	return best
}

var zstds = [levels]func() *zstd.Encoder{
	best:    sync.OnceValue(func() *zstd.Encoder { return newZstd(processors, zstdWindow, zstd.SpeedDefault) }),
	fastest: sync.OnceValue(func() *zstd.Encoder { return newZstd(processors, zstdWindow, zstd.SpeedFastest) }),
}

func newZstd(concurrency, window int, level zstd.EncoderLevel) *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(concurrency), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(window), zstd.WithEncoderLevel(level))
	if err != nil {
		panic(err)
	}
	return w
}

// Compress compresses body with a coding. Compress returns false if the result is not smaller by at least an eighth, or
// if Made does not contain the coding. Equal bodies always have equal results. The caller must have a turn of
// Processors, and must not be on the event loop.
func Compress(coding Coding, body []byte) ([]byte, bool) { return compress(coding, body, best) }

func compress(coding Coding, body []byte, level level) ([]byte, bool) {
	if !Made[coding] {
		return nil, false
	}
	var out []byte
	if coding == Zstd {
		out = bytes.Clone(zstds[level]().EncodeAll(body, make([]byte, 0, len(body)/3)))
	} else {
		e := newEncoder(coding, level)
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
	pool  *sync.Pool
	coded bytes.Buffer
	io.WriteCloser
	flush func() error
	reset func(io.Writer)
}

var streams = [Codings][levels]*sync.Pool{
	Gzip: {best: gzips(gzip.DefaultCompression), fastest: gzips(gzip.BestSpeed)},
	// Other levels need twice the memory, but make small pieces hardly smaller.
	Zstd: {best: fastZstds, fastest: fastZstds},
}

func gzips(level int) *sync.Pool {
	return &sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(nil, level)
		if err != nil {
			panic(err)
		}
		return &encoder{WriteCloser: w, flush: w.Flush, reset: w.Reset}
	}}
}

var fastZstds = &sync.Pool{New: func() any {
	w := newZstd(1, streamWindow, zstd.SpeedFastest)
	return &encoder{WriteCloser: w, flush: w.Flush, reset: w.Reset}
}}

// newEncoder returns an encoder, which occupies about 1 MiB until free.
func newEncoder(c Coding, l level) *encoder {
	pool := streams[c][l]
	e := pool.Get().(*encoder)
	e.pool = pool
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
	e.pool.Put(e)
}
