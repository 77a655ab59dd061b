package runtime

import (
	"time"

	"fapws/runtime/source/cache"
)

// Purge throws pages out of the cache, before another request is answered from
// it. Any goroutine; it does not wait.
func (s *Server) Purge(p cache.Pattern) {
	if store := s.store.Load(); store != nil {
		store.Purge(p)
	}
}

// PurgeNow is Purge and returns how many pages went, or -1 if the loop does not
// say so soon: a handler may be holding it up. Not on the loop.
func (s *Server) PurgeNow(p cache.Pattern) int {
	store := s.store.Load()
	if store == nil {
		return 0
	}
	said := make(chan int, 1)
	s.loop.post(func() { said <- store.PurgeNow(p) })
	select {
	case n := <-said:
		return n
	case <-time.After(purgedWithin):
		return -1
	}
}

const purgedWithin = 2 * time.Second

// CacheStats says what the cache is like, and false if there is none or the loop
// does not say so at once. Not on the loop.
func (s *Server) CacheStats() (st cache.Stats, ok bool) {
	store := s.store.Load()
	if store == nil {
		return st, false
	}
	said := make(chan cache.Stats, 1)
	s.loop.post(func() { said <- store.Stats() })
	select {
	case st = <-said:
		return st, true
	case <-time.After(countedWithin):
		return st, false
	}
}
