package http1

import (
	"errors"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

// Body is the body of a request that is arriving: decoded from its framing, counted, and stored if it has to be collected.
type Body struct {
	chunked bool
	chunks  http1.ChunkedReader
	missing int64 // bytes, if not chunked
	max     int64 // bytes that it may have; below 0: any number
	size    int64 // bytes that have arrived
	begun   int64 // time of its first byte; later by as long as it was not read
	paused  int64 // time since when it is not read

	data  []byte // the stored bytes, until they are too long for memory
	spool int    // descriptor of the file with all of it, or -1
}

// ErrTooLarge is the error of a body that has more bytes than it may have.
var ErrTooLarge = errors.New("input body too big")

// TooLarge reports whether a body of size bytes has more than max. It may have any number if max is below 0.
func TooLarge(size, max int64) bool { return size > max && max >= 0 }

// Begin makes b the body of a request, which may have up to max bytes (below 0: any number) and begins at the time now.
func (b *Body) Begin(r *http1.Request, max, now int64) {
	*b = Body{chunked: r.Body == http1.Chunked, missing: r.Length, max: max, begun: now, spool: -1}
}

// Chunked reports whether the length of b is not known before its end.
func (b *Body) Chunked() bool { return b.chunked }

// Missing returns how many bytes are missing. It is 0 if b is chunked.
func (b *Body) Missing() int64 { return b.missing }

// Size returns how many bytes have arrived.
func (b *Body) Size() int64 { return b.size }

// Decode takes what belongs to b from the front of data and returns the content, which is part of data: the pieces of a chunked
// body are moved together. rest is what follows when b is whole. The error is ErrTooLarge or a *http1.StatusError.
func (b *Body) Decode(data []byte) (piece, rest []byte, whole bool, err error) {
	if !b.chunked {
		k := min(b.missing, int64(len(data)))
		b.missing -= k
		b.size += k
		return data[:k], data[k:], b.missing == 0, nil
	}
	from, to, at := 0, 0, 0 // the piece is data[from:to], data[:at] has been taken
	for {
		next, n, err := b.chunks.Next(data[at:])
		at += n
		if err != nil && err != http1.ErrNeedMore {
			return nil, nil, false, err
		}
		b.size += int64(len(next))
		// At least, with what the chunk announces.
		if least := b.size + b.chunks.Left(); least < 0 || TooLarge(least, b.max) {
			return nil, nil, false, ErrTooLarge
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

// Store keeps a piece that Decode has returned: in memory or, once more than memory bytes have arrived, in a file without a name in
// the directory dir. The error is of the file system.
func (b *Body) Store(piece []byte, memory int, dir string) (err error) {
	if b.spool < 0 {
		if b.size <= int64(memory) {
			b.data = append(b.data, piece...) // never by what the client announced
			return nil
		}
		if b.spool, err = system.UnnamedFile(dir); err != nil {
			return err
		}
		if err = writeAll(b.spool, b.data); err != nil {
			return err
		}
		b.data = nil
	}
	return writeAll(b.spool, piece)
}

// Stored returns the body, in memory or in a file that belongs to the caller. spool is -1 if there is none.
func (b *Body) Stored() (data []byte, spool int) {
	data, spool = b.data, b.spool
	b.data, b.spool = nil, -1
	return data, spool
}

// Drop gives the stored body up.
func (b *Body) Drop() {
	if _, spool := b.Stored(); spool >= 0 {
		unix.Close(spool)
	}
}

// Pause says that b is not read from the time now on, which is not the fault of its client.
func (b *Body) Pause(now int64) { b.paused = now }

// Resume ends what Pause began.
func (b *Body) Resume(now int64) { b.begun += now - b.paused }

// TooSlow reports whether b, once the timeout has passed, has arrived at less than rate bytes per second.
func (b *Body) TooSlow(now int64, timeout time.Duration, rate int) bool {
	age := now - b.begun
	return age > int64(timeout) && float64(b.size) < float64(rate)*float64(age)/1e9
}

// writeAll writes to a regular file. The event loop calls it: the bytes go to the kernel's page cache, which takes about as long as
// a copy.
func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
