package worker

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
		s.parent.purgeElsewhere(p)
	}
}

// purgeRelay sends the patterns that the other workers are to purge. add does not block, and
// a pattern that is added twice before it was sent is sent once.
type purgeRelay struct {
	mu     sync.Mutex
	texts  map[string]struct{} // that were not sent
	filled chan struct{}       // has an element when texts has some
}

// mostTexts bounds them: instead of more, all pages are purged.
const mostTexts = 4096

func newPurgeRelay(c *pool.Channel) *purgeRelay {
	o := &purgeRelay{texts: map[string]struct{}{}, filled: make(chan struct{}, 1)}
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

func (o *purgeRelay) add(text string) {
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

// purgeElsewhere makes the other workers purge, too. It is safe for concurrent use.
func (p *Parent) purgeElsewhere(pattern cache.Pattern) {
	if text, err := json.Marshal(pattern); err == nil {
		p.purges.add(string(text))
	}
}

// purgeNow carries out a pattern in JSON and returns how many pages it removed.
func purgeNow(server *runtime.Server, text string) int {
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
func (a *singleControl) Purge(p ctl.Pattern) (int, error) {
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
