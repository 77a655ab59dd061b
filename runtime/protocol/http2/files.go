package http2

import (
	"io"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/system"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
)

const (
	// loadMost is how much of a file a goroutine reads at once.
	loadMost = 256 << 10

	// warmMost is for how much of a file the loop asks at once whether it is in memory.
	warmMost = 2 << 20

	// maxLoads is how many goroutines read files for a connection.
	maxLoads = 4
)

// appendFile appends up to limit bytes of the file of st to dst, if they are in memory. n is 0, without an error, if they are not.
func (st *stream) appendFile(dst []byte, limit int) (_ []byte, n int, err error) {
	most := int(min(int64(limit), st.count))
	dst = slices.Grow(dst, most)
	into := dst[len(dst) : len(dst)+most]
	if st.isWarm() {
		n, err = system.ReadCached(st.part.File, into, st.offset)
	} else {
		err = unix.EAGAIN
	}
	switch {
	case err == unix.EAGAIN:
		return dst, 0, nil
	case err == nil && n == 0:
		err = conn.ErrShortFile
	}
	return dst[:len(dst)+max(n, 0)], n, err
}

// isWarm reports whether the next bytes of the file of st should be in memory.
func (st *stream) isWarm() bool {
	if st.part.Warm || st.warm > st.offset {
		return true
	}
	if end := st.offset + min(st.count, warmMost); st.c.s.Set.Cached(st.part.File, end-1) {
		st.warm = end
	}
	return st.warm > st.offset
}

// load has a goroutine read the next bytes of the file of st.
func (st *stream) load() {
	c := st.c
	c.dequeue(st)
	if c.loading >= maxLoads {
		st.cold = true
		c.cold = append(c.cold, st)
		return
	}
	c.loading++
	st.loading = true
	fd, offset := st.part.File, st.offset
	piece := make([]byte, min(st.count, max(st.credit, int64(c.frame)), loadMost))
	var n int
	var err error
	c.s.Set.Beside(func() {
		n, err = unix.Pread(fd, piece, offset)
		for err == unix.EINTR {
			n, err = unix.Pread(fd, piece, offset)
		}
		if n == 0 && err == nil {
			err = conn.ErrShortFile
		}
	}, func(bug bool) {
		if bug {
			err = io.ErrUnexpectedEOF
		}
		st.loaded(piece[:max(n, 0)], err)
	})
}

// loaded goes on with st, of whose file a piece was read.
func (st *stream) loaded(piece []byte, err error) {
	c := st.c
	st.loading = false
	c.loading--
	c.loadNext()
	switch {
	case !st.writing: // it was abandoned
		part, x := st.part, st.orphan
		st.endPart()
		st.orphan = nil
		x.Release(&part)
		return
	case err != nil:
		st.fileFailed(err)
	default:
		st.data = piece
		st.offset += int64(len(piece))
		st.count -= int64(len(piece))
		st.stamp = c.s.Now()
		c.enqueue(st)
	}
	c.pump()
	c.settle()
}

// loadNext has the next stream that waits for a goroutine go on.
func (c *Conn) loadNext() {
	for len(c.cold) > 0 && c.loading < maxLoads {
		st := c.cold[0]
		c.cold = c.cold[1:]
		if st.cold = false; st.sends() && c.streams[st.id] == st {
			st.load()
		}
	}
}

// fileFailed ends st, whose file has not all that the response was promised.
func (st *stream) fileFailed(err error) {
	st.x.LogShort(err)
	st.c.resetStream(st, http2.ErrCodeInternal)
}
