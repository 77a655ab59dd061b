package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/cache"
)

// purge is pybridge.RunConfig.Purge: here at once, in the other workers soon.
func (s *service) purge(text string) {
	var p cache.Pattern
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.Check()
	}
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

// What a supervisor asks its workers about their caches.
const (
	askPurge = "purge" // with a pattern in JSON; how many went is the answer
	askCache = "cache" // ctl.Cache in JSON is the answer
)

// purged carries out a pattern in JSON and returns how many pages went.
func purged(server *runtime.Server, text string) int {
	var p cache.Pattern
	if json.Unmarshal([]byte(text), &p) != nil || p.Check() != nil {
		return 0
	}
	return server.PurgeNow(p)
}

// patternOf is what "fapws ctl purge" asks for.
func patternOf(p ctl.Pattern) (cache.Pattern, error) {
	pattern := cache.Pattern{Host: p.Host, Path: p.Path, Tag: p.Tag}
	return pattern, pattern.Check()
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
	pattern, err := patternOf(p)
	if err != nil {
		return 0, err
	}
	n := a.s.server.PurgeNow(pattern)
	if n < 0 {
		return 0, errors.New("a handler holds the server up; the pages go when it has ended")
	}
	return n, nil
}

// Purge implements ctl.Server: in all workers.
func (t together) Purge(p ctl.Pattern) (n int, err error) {
	pattern, err := patternOf(p)
	if err != nil {
		return 0, err
	}
	text, err := json.Marshal(pattern)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	asked := t.v.sup.Status().Workers
	replies := t.v.sup.Ask(ctx, askPurge+" "+string(text))
	for _, reply := range replies {
		var one int
		if json.Unmarshal([]byte(reply.Text), &one) != nil || one < 0 {
			return 0, fmt.Errorf("a handler holds worker %d up; its pages go when it has ended", reply.Pid)
		}
		n += one
	}
	for _, w := range asked {
		if w.State >= pool.Ready && w.State < pool.Dead && !slices.ContainsFunc(replies, func(r pool.Reply) bool { return r.Pid == w.Pid }) {
			return 0, fmt.Errorf("worker %d does not answer", w.Pid)
		}
	}
	return n, nil
}

// caches adds up what the workers say of theirs; nil: there is none.
func (t together) caches(ctx context.Context) (sum *ctl.Cache) {
	for _, reply := range t.v.sup.Ask(ctx, askCache) {
		var one *ctl.Cache
		if json.Unmarshal([]byte(reply.Text), &one) != nil || one == nil {
			continue
		}
		if sum == nil {
			sum = &ctl.Cache{}
		}
		sum.Add(one)
	}
	return sum
}

// purgeSoon carries out a pattern in JSON, from another worker.
func purgeSoon(s *service, text string) {
	var p cache.Pattern
	if json.Unmarshal([]byte(text), &p) == nil && p.Check() == nil {
		s.server.Purge(p)
	}
}
