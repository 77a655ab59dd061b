package conn

import (
	"io"

	"golang.org/x/sys/unix"
)

// flow is one direction of a tunnel.
type flow struct {
	from, to *end
	pending  []byte // what to had no room for; nothing is read meanwhile
	buf      []byte // what pending is part of
	received int64  // bytes that were read
	sent     int64  // bytes that to has taken
	blocked  bool   // it waits for room
	ended    bool   // from has sent its last byte, or to is broken
	over     bool   // and to was shut down for writing
}

const (
	readSize  = 64 << 10 // how much is read at once
	turnReads = 8        // how often, until others have their turn
)

// TunnelBuffers is the memory that the tunnels of a loop share. Its zero value is ready.
type TunnelBuffers struct {
	read  []byte // that sockets are read into
	spare []byte // for bytes that wait
}

// move passes bytes on, as far as some have come and there is room. An error is that of broken.
func (f *flow) move(b *TunnelBuffers) (broken *end, err error) {
	for turn := 0; !f.over; turn++ {
		if err := f.flush(b); err != nil {
			return f.to, err
		}
		switch {
		case f.blocked:
			return nil, nil
		case f.ended:
			return f.to, f.finish()
		case !f.from.readable:
			return nil, nil
		case turn == turnReads:
			f.from.watch.Again()
			return nil, nil
		}
		if err := f.pass(b); err != nil {
			return f.from, err
		}
	}
	return nil, nil
}

// pass reads once. Bytes that the other end does not take are pending then.
func (f *flow) pass(b *TunnelBuffers) error {
	if b.read == nil {
		b.read = make([]byte, readSize)
	}
	n, err := f.from.Read(b.read)
	switch {
	case err == unix.EAGAIN:
		f.from.readable, f.from.untilEmpty = false, false
		return nil
	case err == io.EOF:
		f.ended = true
		return nil
	case err != nil:
		return err
	}
	f.from.readable = n == len(b.read) || f.from.untilEmpty
	f.received += int64(n)
	taken, _ := f.to.Write(b.read[:n]) // flush meets the same error
	f.sent += int64(taken)
	f.keep(b, b.read[taken:n])
	return nil
}

// flush writes the pending bytes. If it cannot write all of them, the flow is blocked.
func (f *flow) flush(b *TunnelBuffers) error {
	f.blocked = false
	for len(f.pending) > 0 {
		n, err := f.to.Write(f.pending)
		if err != nil {
			return f.waits(err)
		}
		f.sent += int64(n)
		f.pending = f.pending[n:]
	}
	f.drop(b)
	return f.waits(f.to.Flush())
}

// finish shuts the other end down, and may have to be called again when there is room.
func (f *flow) finish() error {
	if err := f.to.CloseWrite(); err != nil {
		return err
	}
	err := f.waits(f.to.Flush())
	f.over = err == nil && !f.blocked
	return err
}

// waits makes the flow blocked if err says that there is no room. It returns other errors.
func (f *flow) waits(err error) error {
	if err == unix.EAGAIN {
		f.blocked = true
		return nil
	}
	return err
}

// keep copies bytes that the other end has not taken; nothing else is pending.
func (f *flow) keep(b *TunnelBuffers, data []byte) {
	if len(data) == 0 {
		return
	}
	if cap(b.spare) >= len(data) {
		f.buf, b.spare = b.spare, nil
	}
	f.buf = append(f.buf[:0], data...)
	f.pending = f.buf
}

// drop gives the memory of pending back. A single buffer is kept: it saves an allocation for each read of a fast stream to a
// slow reader, and a slow reader that has read everything needs none.
func (f *flow) drop(b *TunnelBuffers) {
	if cap(f.buf) > cap(b.spare) {
		b.spare = f.buf
	}
	f.buf, f.pending = nil, nil
}

// stop ends a flow whose other end takes nothing any more.
func (f *flow) stop(b *TunnelBuffers) {
	f.drop(b)
	f.blocked, f.ended, f.over = false, true, true
}
