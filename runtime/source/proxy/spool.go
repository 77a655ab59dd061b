package proxy

import (
	"os"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/system"
)

// spoolAfter is how long the upstream waits for a slow client before a file stores the rest of the response.
const spoolAfter = 20 * time.Millisecond

// spoolPiece is the size of the pieces in which a file is read, in bytes.
const spoolPiece = 32 << 10

// A spool stores the rest of a response for a slow client in an unnamed file, so that the upstream can end before the
// client has read the response. Goroutines write and read the file, one at a time.
type spool struct {
	q            *request
	p            *Proxy
	file         *os.File
	size, passed int64 // bytes in the file, and how many of them were delivered
	waiting      []byte
	whole        bool // the response is complete
	trailers     *exchange.Trailers
	busy         bool // a goroutine uses the file
	broken       bool // the file cannot be written
	stopped      bool // the client has disconnected
	closed       bool
}

// spill begins to store the response of q, if the client is still slow and the file system has room.
func (q *request) spill() {
	if q.slow = nil; q.over || q.c == nil || !q.c.Paused() || q.unacked <= unackedMax {
		return
	}
	q.spool = &spool{q: q, p: q.p}
	q.c.Continue()
}

// take stores a piece of the response. The upstream waits meanwhile.
func (s *spool) take(b []byte, last bool) {
	s.waiting, s.whole = append(s.waiting, b...), last
	s.q.over = last
	if c := s.q.c; c != nil && !c.Paused() {
		c.Pause(conn.PauseForHandover)
	}
	s.next()
}

// next writes the waiting bytes or, if the client has read enough, reads the next ones.
func (s *spool) next() {
	if s.busy || s.closed || s.stopped {
		return
	}
	if s.passed == s.size && s.size > 0 {
		s.p.room.Give(s.size)
		s.size, s.passed = 0, 0
	}
	wants, n := s.q.unacked <= unackedMax/2, int64(len(s.waiting))
	switch {
	case n > 0 && s.size == 0 && wants:
		body := s.waiting
		s.waiting = nil
		s.deliver(body)
		s.next()
	case n > 0 && !s.broken && s.size+n <= backend.MaxSpool && s.p.room.Take(n):
		s.write()
	case s.size > 0 && wants:
		s.read()
	case s.size == 0 && n == 0 && s.whole:
		s.stopped = true
		s.q.put(&exchange.Part{End: exchange.Complete, Trailers: s.trailers}, nil)
	case n == 0:
		s.q.release()
	}
}

func (s *spool) write() {
	piece, err := s.waiting, error(nil)
	s.waiting = nil
	s.work(func() {
		if s.file == nil {
			var fd int
			if fd, err = system.UnnamedFile(s.p.room.Dir()); err != nil {
				return
			}
			s.file = os.NewFile(uintptr(fd), "response")
		}
		_, err = s.file.WriteAt(piece, s.size)
	}, func() {
		if err != nil {
			s.p.room.Give(int64(len(piece)))
			s.p.room.Failed(err)
			s.waiting, s.broken = append(piece, s.waiting...), true
			return
		}
		s.size += int64(len(piece))
	})
}

func (s *spool) read() {
	piece, err := make([]byte, min(spoolPiece, s.size-s.passed)), error(nil)
	s.work(func() { _, err = s.file.ReadAt(piece, s.passed) }, func() {
		if err != nil {
			s.p.room.Failed(err)
			s.fail()
			return
		}
		s.passed += int64(len(piece))
		s.deliver(piece)
	})
}

// work runs use on a goroutine, and then done and next.
func (s *spool) work(use, done func()) {
	s.busy = true
	s.p.conns.Offload(nil, use, func(bug bool) {
		s.busy = false
		switch {
		case s.closed:
			s.close()
		case s.stopped:
		case bug:
			s.fail()
		default:
			done()
			s.next()
		}
	})
}

func (s *spool) deliver(body []byte) {
	s.q.put(&exchange.Part{Body: body}, nil)
}

func (s *spool) fail() {
	s.q.p.counts.Failed.Add(1)
	s.q.abandon()
}

func (s *spool) stop() { s.stopped = true }

// close returns the space of the file, as soon as no goroutine uses it.
func (s *spool) close() {
	if s.closed = true; s.busy {
		return
	}
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	s.p.room.Give(s.size)
}
