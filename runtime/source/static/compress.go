package static

import (
	"bytes"
	"cmp"
	"runtime"
	"strings"
	"sync"
	"time"

	"fapws/runtime/http1"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Coding is a content coding.
type Coding uint8

// The codings, of equals the one that is preferred last.
const (
	Identity Coding = iota
	Gzip
	Zstd
	Brotli
	Codings // their number
)

var names = [Codings]string{"", "gzip", "zstd", "br"}

// String returns what Content-Encoding calls the coding; "" for Identity.
func (c Coding) String() string { return names[c] }

// CodingSet says which codings there are of something. Identity is always there.
type CodingSet [Codings]bool

// Made are the codings that Compress knows.
var Made = CodingSet{Gzip: true, Zstd: true}

// AcceptedCodings gathers the weights in the Accept-Encoding fields of a client. The zero value is that of a client without such a
// field: no coding. A field that comes several times is one list.
type AcceptedCodings struct {
	weights [Codings]int16 // thousandths and one; 0: the client does not name the coding
	others  int16          // of "*"
}

// Add reads the value of one field.
func (a *AcceptedCodings) Add(value []byte) {
	for item := range bytes.SplitSeq(value, []byte{','}) {
		name, weight := Weighted(item)
		weight++
		switch {
		case http1.EqualFold(name, "br"):
			a.weights[Brotli] = weight
		case http1.EqualFold(name, "zstd"):
			a.weights[Zstd] = weight
		case http1.EqualFold(name, "gzip"), http1.EqualFold(name, "x-gzip"): // RFC 9110 §8.4.1.3
			a.weights[Gzip] = weight
		case http1.EqualFold(name, "identity"):
			a.weights[Identity] = weight
		case string(name) == "*":
			a.others = weight
		}
	}
}

// Choose returns the coding with the highest weight among those there are; of equals brotli, then zstd, then gzip.
// Identity is chosen when nothing else is acceptable, and also when the client refuses even that (RFC 9110 §12.5.3
// leaves it to the server, and a 406 would help no client).
func (a *AcceptedCodings) Choose(has *CodingSet) Coding {
	best, bestWeight := Identity, a.weights[Identity] // not named: acceptable, and the last choice
	for c := Gzip; c < Codings; c++ {
		weight := cmp.Or(a.weights[c], a.others)
		if has[c] && weight > 1 && weight >= bestWeight {
			best, bestWeight = c, weight
		}
	}
	return best
}

// Weighted splits "name;q=0.5" into its name and its weight in
// thousandths (RFC 9110 §12.4.2). A weight that is not one refuses: what we
// cannot read we do not send.
func Weighted(item []byte) (name []byte, weight int16) {
	name, params, found := bytes.Cut(item, []byte{';'})
	name = bytes.Trim(name, " \t")
	weight = 1000
	for found {
		var param []byte
		param, params, found = bytes.Cut(params, []byte{';'})
		param = bytes.Trim(param, " \t")
		if len(param) >= 2 && param[0]|0x20 == 'q' && param[1] == '=' {
			weight = parseWeight(param[2:])
		}
	}
	return name, weight
}

// parseWeight reads a qvalue: 0 to 1 with up to three decimals.
func parseWeight(s []byte) int16 {
	if len(s) == 0 || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0
	}
	weight, scale := int16(s[0]-'0')*1000, int16(100)
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		weight += int16(s[i]-'0') * scale
		scale /= 10
	}
	return min(weight, 1000)
}

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
// It may be called anywhere, and allocates nothing for a type in small letters.
func WorthCompressing(mediaType string, size int64) bool {
	return size >= least && size <= most && Compressible(mediaType)
}

// Compressible reports whether compression usually makes bodies of a media type smaller: text, formats made of text,
// and a few plain binary formats.
func Compressible(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, ";")
	switch kind = strings.ToLower(strings.TrimRight(kind, " \t")); kind {
	case "text/event-stream": // its pieces must not wait for each other
		return false
	case "application/postscript", "application/rtf", "application/wasm", "application/vnd.apple.mpegurl", "application/vnd.ms-fontobject",
		"audio/x-mpegurl", "font/otf", "font/ttf", "font/collection", "image/bmp", "image/x-icon", "model/gltf-binary":
		return true
	}
	return textual(kind)
}

// turns bounds how many bodies are compressed at the same time: half of the
// processors, for there are requests to answer meanwhile.
var turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))

// takeTurn takes one of the turns, and reports whether there was one soon.
func takeTurn(turns chan struct{}) bool {
	select {
	case turns <- struct{}{}:
		return true
	case <-time.After(time.Second):
		return false
	}
}

var (
	gzips = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
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
	turns <- struct{}{}
	defer func() { <-turns }()
	return compress(coding, body)
}

// compress is Compress for a caller whose turn it is.
func compress(coding Coding, body []byte) ([]byte, bool) {
	if !Made[coding] {
		return nil, false
	}
	var out []byte
	if coding == Zstd {
		out = zstds().EncodeAll(body, make([]byte, 0, len(body)/3))
	} else {
		var buf bytes.Buffer
		buf.Grow(len(body) / 3)
		w := gzips.Get().(*gzip.Writer)
		w.Reset(&buf)
		_, _ = w.Write(body) // a Buffer does not fail
		_ = w.Close()
		w.Reset(nil)
		gzips.Put(w)
		out = buf.Bytes()
	}
	if len(out) > len(body)-len(body)/8 {
		return nil, false
	}
	return bytes.Clone(out), true // without the room that was not needed
}
