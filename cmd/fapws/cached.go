package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/cache"
)

// purge is pybridge.RunConfig.Purge: here at once, in the other workers soon.
func (s *service) purge(text string) {
	p, err := cache.ParsePattern(text)
	if err != nil {
		s.log.Log(runtime.LevelError, fmt.Sprintf("fapws.cache.purge: %v", err))
		return
	}
	s.server.Purge(p)
	if s.parent != nil {
		s.parent.tellOthers(p)
	}
}

// others is where a worker says what its fellows are to purge. Nobody waits for
// that, and what is said twice before it was sent is sent once.
type others struct {
	mu     sync.Mutex
	texts  map[string]struct{} // that were not sent
	filled chan struct{}       // there are some
}

// mostTexts bounds them: instead of more, all pages go.
const mostTexts = 4096

func newOthers(c *pool.Channel) *others {
	o := &others{texts: map[string]struct{}{}, filled: make(chan struct{}, 1)}
	go func() {
		for range o.filled {
			o.mu.Lock()
			texts := o.texts
			o.texts = map[string]struct{}{}
			o.mu.Unlock()
			for text := range texts {
				_ = c.Send(&pool.Message{Kind: pool.Purge, Text: text}) // listen sees the end of the channel
			}
		}
	}()
	return o
}

func (o *others) add(text string) {
	o.mu.Lock()
	if len(o.texts) >= mostTexts {
		clear(o.texts)
		text = `{"path":"*"}`
	}
	o.texts[text] = struct{}{}
	o.mu.Unlock()
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// tellOthers makes the other workers purge, too. Any goroutine.
func (p *parent) tellOthers(pattern cache.Pattern) {
	if text, err := json.Marshal(pattern); err == nil {
		p.others.add(string(text))
	}
}

// purged carries out a pattern in JSON and returns how many pages went.
func purged(server *runtime.Server, text string) int {
	p, err := cache.ParsePattern(text)
	if err != nil {
		return 0
	}
	return server.PurgeNow(p)
}

// cacheOf is what a report says of the cache of this process.
func cacheOf(server *runtime.Server) *ctl.Cache {
	st, ok := server.CacheStats()
	if !ok {
		return nil
	}
	return &ctl.Cache{
		Entries: st.Entries, Bytes: st.Bytes, Limit: st.Most,
		Hits: st.Hits + st.Waited, Stale: st.Stale, Misses: st.Misses, Revalidated: st.Revalidated, Bypassed: st.Bypassed,
	}
}

// Purge implements ctl.Server.
func (a *alone) Purge(p ctl.Pattern) (int, error) {
	pattern := cache.Pattern{Host: p.Host, Path: p.Path, Tag: p.Tag}
	if err := pattern.Check(); err != nil {
		return 0, err
	}
	n := a.s.server.PurgeNow(pattern)
	if n < 0 {
		return 0, errors.New("a handler holds the server up; the pages go when it has ended")
	}
	return n, nil
}

// purgeSoon carries out a pattern in JSON, from another worker, which has checked it.
func purgeSoon(s *service, text string) {
	if p, err := cache.ParsePattern(text); err == nil {
		s.server.Purge(p)
	}
}
