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

type Coding uint8

// Codings in ascending order of preference if weights are equal.
const (
	Identity Coding = iota
	Gzip
	Zstd
	Brotli
	Codings
)

var names = [Codings]string{"", "gzip", "zstd", "br"}

func (c Coding) String() string { return names[c] }

// CodingSet always contains Identity.
type CodingSet [Codings]bool

var Made = CodingSet{Gzip: true, Zstd: true}

// AcceptedCodings holds the weights from the Accept-Encoding fields of a request. Several fields form one list. The
// zero value is for a request without the field: it accepts no coding.
type AcceptedCodings struct {
	// in thousandths plus one; 0 if the client does not name the coding
	weights [Codings]int16
	others  int16 // of "*"
}

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

// Choose returns the coding in has with the highest weight; if weights are equal, it prefers brotli, then zstd, then
// gzip. It returns Identity if nothing else is acceptable, even if the client excludes Identity: RFC 9110 §12.5.3
// leaves this to the server, and a 406 would not help the client.
func (a *AcceptedCodings) Choose(has *CodingSet) Coding {
	// Identity is acceptable unless the client names it, and is the last choice.
	best, bestWeight := Identity, a.weights[Identity]
	for c := Gzip; c < Codings; c++ {
		weight := cmp.Or(a.weights[c], a.others)
		if has[c] && weight > 1 && weight >= bestWeight {
			best, bestWeight = c, weight
		}
	}
	return best
}

// Weighted splits "name;q=0.5" into the name and the weight in thousandths (RFC 9110 §12.4.2). An invalid weight
// counts as 0.
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
	// least is the minimum size of bodies that are compressed, in bytes. A smaller body fits into one packet with its
	// head.
	least = 1 << 10

	// most limits the size of bodies that are compressed, in bytes, and so the memory and the time.
	most = 8 << 20

	// zstdWindow limits the memory that a client needs for decompression (RFC 9659 permits 8 MiB).
	zstdWindow = 1 << 20
)

// WorthCompressing reports whether a body of a media type, with or without parameters, and a size in bytes is likely
// to become smaller, and is not too large. It is safe for concurrent use, and does not allocate if the type is in
// lower case.
func WorthCompressing(mediaType string, size int64) bool {
	return size >= least && size <= most && Compressible(mediaType)
}

// Compressible reports whether bodies of a media type usually become smaller: text, formats based on text, and some
// simple binary formats.
func Compressible(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, ";")
	switch kind = strings.ToLower(strings.TrimRight(kind, " \t")); kind {
	case "text/event-stream": // its events must not be delayed
		return false
	case "application/postscript", "application/rtf", "application/wasm", "application/vnd.apple.mpegurl",
		"application/vnd.ms-fontobject",
		"audio/x-mpegurl", "font/otf", "font/ttf", "font/collection", "image/bmp", "image/x-icon", "model/gltf-binary":
		return true
	}
	return textual(kind)
}

// turns limits the number of simultaneous compressions to half of the processors; the others handle requests.
var turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))

// takeTurn returns false after a second without a turn.
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
			panic(err)
		}
		return w
	})
)

// Compress returns body in a coding of Made. It returns false if the result is not smaller by at least an eighth, or
// if the coding is not supported. It waits for a turn, and must not be called on the event loop. Equal bodies give
// equal results.
func Compress(coding Coding, body []byte) ([]byte, bool) {
	turns <- struct{}{}
	defer func() { <-turns }()
	return compress(coding, body)
}

// compress is Compress for a caller that has a turn.
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
		_, _ = w.Write(body) // a Buffer does not return errors
		_ = w.Close()
		w.Reset(nil)
		gzips.Put(w)
		out = buf.Bytes()
	}
	if len(out) > len(body)-len(body)/8 {
		return nil, false
	}
	return bytes.Clone(out), true
}
