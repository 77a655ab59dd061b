package route

// Missing contains paths without a file, so that requests for an application need no lookup on the disk.
type Missing struct {
	since map[string]int64 // map from a path to the time of its failed lookup, in nanoseconds
}

const (
	missesMax = 4096
	missesLen = 256 // maximum length of a path in the cache, in bytes
	// half a second: a new file must be served within a second, and the loop's clock may be a tick late
	missesAge = int64(1_000_000_000) / 2
)

func (s *Missing) Has(path []byte, now int64) bool {
	at, ok := s.since[string(path)]
	return ok && now-at < missesAge
}

func (s *Missing) Add(path []byte, now int64) {
	if len(path) > missesLen {
		return
	}
	if s.since == nil || len(s.since) >= missesMax {
		s.since = make(map[string]int64)
	}
	s.since[string(path)] = now
}
