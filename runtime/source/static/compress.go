package static

import (
	"bytes"
	"runtime"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// least is the size, in bytes, below which a body is not worth it: with the
	// head it fits into one packet anyway.
	least = 1 << 10

	// most bounds the memory and the time that one body takes.
	most = 8 << 20

	// zstdWindow bounds the memory that a client needs to unpack (RFC 9659 allows 8 MiB).
	zstdWindow = 1 << 20
)

// WorthCompressing reports whether a body of a media type (with or without parameters)
// and of a size in bytes is likely to become smaller, and is not too large.
// It does not allocate and may be called anywhere.
func WorthCompressing(mediaType string, size int64) bool {
	return size >= least && size <= most && Compressible(mediaType)
}

// Compressible reports whether compression usually makes bodies of a media type smaller: text, formats made of text,
// and a few plain binary formats.
func Compressible(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, ";")
	kind = strings.TrimRight(kind, " \t")
	if len(kind) > 5 && strings.EqualFold(kind[:5], "text/") {
		return !strings.EqualFold(kind, "text/event-stream") // its pieces must not wait for each other
	}
	if i := strings.LastIndexByte(kind, '+'); i >= 0 {
		suffix := kind[i:]
		if strings.EqualFold(suffix, "+json") || strings.EqualFold(suffix, "+xml") {
			return true
		}
	}
	for _, known := range [...]string{
		"application/javascript", "application/json", "application/json5", "application/jsonl", "application/postscript", "application/rtf",
		"application/toml", "application/wasm", "application/x-javascript", "application/x-ndjson", "application/x-subrip",
		"application/xml", "application/xml-dtd", "application/yaml", "application/vnd.apple.mpegurl", "application/vnd.ms-fontobject",
		"audio/x-mpegurl", "font/otf", "font/ttf", "font/collection", "image/bmp", "image/x-icon", "model/gltf-binary",
	} {
		if strings.EqualFold(kind, known) {
			return true
		}
	}
	return false
}

// turns bounds how many bodies are compressed at the same time: half of the
// processors, for there are requests to answer meanwhile.
var turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))

var (
	gzips = sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(nil, gzip.DefaultCompression)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}}
	zstds = sync.OnceValue(func() *zstd.Encoder {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(cap(turns)), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(zstdWindow))
		if err != nil {
			panic(err) // the options are constants
		}
		return w
	})
)

// Compress returns body in a coding of Made. It returns false when that is not
// smaller by an eighth at least, or the coding is another. It takes about 10 ms
// for a mebibyte, and waits for its turn: any goroutine but the loop may call
// it. The same body gives the same bytes.
func Compress(coding Coding, body []byte) ([]byte, bool) {
	if !Made[coding] {
		return nil, false
	}
	turns <- struct{}{}
	defer func() { <-turns }()
	var out []byte
	if coding == Zstd {
		out = zstds().EncodeAll(body, make([]byte, 0, len(body)/3))
	} else {
		var buf bytes.Buffer
		buf.Grow(len(body) / 3)
		w := gzips.Get().(*gzip.Writer)
		w.Reset(&buf)
		_, err := w.Write(body)
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
		w.Reset(nil)
		gzips.Put(w)
		if err != nil {
			return nil, false // a Buffer does not fail
		}
		out = buf.Bytes()
	}
	if len(out) > len(body)-len(body)/8 {
		return nil, false
	}
	return bytes.Clone(out), true // without the room that was not needed
}
