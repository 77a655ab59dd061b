package sites

import "slices"

// notFoundCache remembers which paths the files of a mount have nothing for, so that
// not each request for a page of an application looks at the disk.
type notFoundCache struct {
	since map[string]int64 // Sites.now by path
}

const (
	missesMax = 4096                     // paths
	missesLen = 256                      // bytes of a path that is worth it
	missesAge = int64(1_000_000_000) / 2 // with the loop's clock, a tick late at most, new files are seen within a second
)

func (s *notFoundCache) has(path []byte, now int64) bool {
	at, ok := s.since[string(path)]
	return ok && now-at < missesAge
}

func (s *notFoundCache) add(path []byte, now int64) {
	if len(path) > missesLen {
		return
	}
	if s.since == nil || len(s.since) >= missesMax {
		s.since = make(map[string]int64)
	}
	s.since[string(path)] = now
}

// skipsFileMount reports whether the files of its mount are known to have nothing for x.
func (s *Sites) skipsFileMount(x *Exchange) bool {
	q := x.req
	if q.hasBody() || string(q.parsed.Method.In(q.Head)) != "GET" && !q.parsed.Head {
		return true
	}
	return slices.Contains(q.missed, q.mount) || q.mount.missing.has(q.Path[q.Script:], s.now())
}
