package backend

import (
	"cmp"
	"os"
	"sync"
	"time"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// These constants limit the files that store responses for slow clients, in bytes. At a limit, or if the files contain
// more than a quarter of the free space (system.SpoolSpace), the program or upstream waits for the client.
const (
	MaxSpool    = 256 << 20
	maxSpoolAll = 1 << 30
	spoolLook   = 1 << 20 // growth of all responses between two measurements of the free space
)

// Space counts the bytes of responses that are stored in unnamed files for slow clients. It is safe for concurrent use.
type Space struct {
	Log func(line string)

	warnings logfile.Seldom

	mu   sync.Mutex
	used int64
	// most is the limit of used, and measured was the value of used when it was determined
	most, measured int64
}

// Dir returns the directory for the files, or one that does not accept any.
func (s *Space) Dir() string {
	dir, _ := system.SpoolDir()
	return cmp.Or(dir, os.TempDir())
}

// Take reserves n more bytes, or returns false without room.
func (s *Space) Take(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.used + n
	if all > s.measured+spoolLook || all > s.most {
		s.measured = all
		s.most = min(maxSpoolAll, system.SpoolSpace(s.Dir(), s.used)/4)
	}
	if all > s.most {
		return false
	}
	s.used = all
	return true
}

// Give returns n bytes.
func (s *Space) Give(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	s.most = 0 // measure again
}

// Failed logs, at most once a minute, that a file cannot be written.
func (s *Space) Failed(err error) {
	if s.warnings.Once(time.Minute) {
		s.Log("cannot store a response for a slow client in " + s.Dir() + ": " + err.Error())
	}
}
