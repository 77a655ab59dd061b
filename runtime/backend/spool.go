package backend

import (
	"os"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/system"
)

// If Write has waited for a slow client for the time spoolAfter, the response is stored in a file.
const spoolAfter = 20 * time.Millisecond

// A spool stores output for a slow client in an unnamed file. A goroutine passes the output from the file to the event
// loop.
type spool struct {
	file *os.File

	// The fields below are guarded by Pool.mu. size is the number of bytes in the file, and passed is how many of these
	// bytes were passed to the event loop.
	size, passed int64
	most         int64 // largest value of size so far; Pool.spooled is the sum of these values
	passing      bool
	failed       bool
}

// Spools makes the ResponseWriter store output in a file if the client is slow. The file is in the directory for
// request bodies. The program or upstream that produces the output can then end before the client has read the
// response. Spools must be called before Start.
func (w *ResponseWriter) Spools() { w.spool = &spool{} }

// store appends a piece of the response to the file if the client of r is slow. At a limit, store waits for the client
// instead.
func (s *spool) store(r *Request, piece []byte) (stored bool, err error) {
	p := r.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.isBehind(r) || r.gone {
		return false, goneError(r)
	}
	if !s.passing {
		s.size, s.passed = 0, 0
	}
	end := s.size + int64(len(piece))
	more := max(0, end-s.most)
	if end > MaxSpool || !p.Space.Take(more) || !s.write(p, piece, more) {
		for (s.passing || r.unacked > unackedMax) && !r.gone {
			r.changed.Wait()
		}
		return false, goneError(r)
	}
	s.most += more
	if s.size = end; !s.passing {
		s.passing = true
		go s.pass(r)
	}
	return true, nil
}

func (s *spool) isBehind(r *Request) bool {
	late := false
	if !s.passing && r.unacked > unackedMax && !r.gone {
		timer := time.AfterFunc(spoolAfter, func() {
			r.pool.mu.Lock()
			defer r.pool.mu.Unlock()
			late = true
			r.changed.Broadcast()
		})
		defer timer.Stop()
		for !late && r.unacked > unackedMax && !r.gone {
			r.changed.Wait()
		}
	}
	return s.passing || late
}

func goneError(r *Request) error {
	if r.gone {
		return ErrGone
	}
	return nil
}

// write appends piece to the file and reports whether it succeeded; otherwise it returns the space that was taken. write
// unlocks p.mu while it writes.
func (s *spool) write(p *Pool, piece []byte, taken int64) bool {
	at := s.size
	p.mu.Unlock()
	defer p.mu.Lock()
	err := error(nil)
	if s.file == nil {
		var fd int
		if fd, err = system.UnnamedFile(p.Space.Dir()); err == nil {
			s.file = os.NewFile(uintptr(fd), "response")
		}
	}
	if err == nil {
		_, err = s.file.WriteAt(piece, at)
	}
	if err != nil {
		p.Space.Give(taken)
		p.Space.Failed(err)
	}
	return err == nil
}

func (s *spool) pass(r *Request) {
	p := r.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for r.unacked > unackedMax && !r.gone {
			r.changed.Wait()
		}
		if r.gone || s.passed == s.size {
			s.passing = false
			r.changed.Broadcast()
			return
		}
		piece := make([]byte, min(chunkSize, s.size-s.passed))
		n := s.read(r, piece, s.passed)
		if s.passed += int64(n); n < len(piece) {
			s.failed, s.passed = true, s.size
		}
	}
}

// read reads a piece from the file, sends it, and returns the number of bytes. read unlocks Pool.mu meanwhile.
func (s *spool) read(r *Request, piece []byte, offset int64) int {
	p := r.pool
	p.mu.Unlock()
	defer p.mu.Lock()
	n, err := s.file.ReadAt(piece, offset)
	if n == len(piece) {
		_ = r.put(&part{Part: exchange.Part{Body: piece}})
	} else {
		p.log("cannot read a response that was stored for a slow client: " + err.Error())
	}
	return n
}

// finish waits until all output was passed to the loop, and closes the file. finish returns false if reading the file
// failed.
func (s *spool) finish(r *Request) bool {
	p := r.pool
	p.mu.Lock()
	for s.passing {
		r.changed.Wait()
	}
	p.mu.Unlock()
	p.Space.Give(s.most)
	if s.file != nil {
		s.file.Close()
	}
	return !s.failed
}
