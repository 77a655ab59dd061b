package http1

import (
	"fapws/runtime/http1"
	"fapws/runtime/protocol/http"
)

// Body is the body of a request that is arriving, decoded from its framing.
type Body struct {
	http.Body
	chunked bool
	chunks  http1.ChunkedReader
	missing int64 // bytes, if not chunked
}

// Begin makes b the body of a request, which may have up to max bytes (below 0: any number) and begins at the time now.
func (b *Body) Begin(r *http1.Request, max, now int64) {
	*b = Body{chunked: r.Body == http1.Chunked, missing: r.Length}
	b.Body.Begin(max, now)
}

// Chunked reports whether the length of b is not known before its end.
func (b *Body) Chunked() bool { return b.chunked }

// Missing returns how many bytes are missing. It is 0 if b is chunked.
func (b *Body) Missing() int64 { return b.missing }

// Decode takes what belongs to b from the front of data and returns the content, which is part of data: the pieces of a chunked
// body are moved together. rest is what follows when b is whole. The error is http.ErrTooLarge or a *http1.StatusError.
func (b *Body) Decode(data []byte) (piece, rest []byte, whole bool, err error) {
	if !b.chunked {
		k := min(b.missing, int64(len(data)))
		b.missing -= k
		return data[:k], data[k:], b.missing == 0, b.Count(int(k), 0)
	}
	from, to, at := 0, 0, 0 // the piece is data[from:to], data[:at] has been taken
	for {
		next, n, err := b.chunks.Next(data[at:])
		at += n
		if err != nil && err != http1.ErrNeedMore {
			return nil, nil, false, err
		}
		if err := b.Count(len(next), b.chunks.Left()); err != nil {
			return nil, nil, false, err
		}
		if from == to {
			from, to = at-len(next), at
		} else {
			to += copy(data[to:], next)
		}
		if err != nil || b.chunks.Done() {
			return data[from:to], data[at:], err == nil, nil
		}
	}
}
