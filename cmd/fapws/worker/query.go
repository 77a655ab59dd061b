package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
)

// queries are questions of a worker to its supervisor that wait for their answers. The zero value is empty. It is safe for
// concurrent use.
type queries struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*reply
}

type reply struct {
	text strings.Builder
	done chan string
}

// query asks the supervisor. It must not be called on the goroutine of listen, nor on the loop.
func (p *Parent) query(ctx context.Context, what string) (string, error) {
	q, r := &p.queries, &reply{done: make(chan string, 1)}
	q.mu.Lock()
	q.last++
	id := q.last
	if q.open == nil {
		q.open = map[uint64]*reply{}
	}
	q.open[id] = r
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.open, id)
		q.mu.Unlock()
	}()
	if err := p.channel.Send(&pool.Message{Kind: pool.Query, ID: id, Text: what}); err != nil {
		return "", err
	}
	select {
	case text := <-r.done:
		return text, nil
	case <-ctx.Done():
		return "", errors.New("the supervisor does not answer")
	}
}

// replied takes a piece of an answer.
func (p *Parent) replied(m *pool.Message) {
	q := &p.queries
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.open[m.ID]
	if r == nil {
		return
	}
	r.text.WriteString(m.Text)
	if !m.More {
		r.done <- r.text.String()
		delete(q.open, m.ID)
	}
}

// purge is pybridge.RunConfig.Purge: here at once, in the other workers soon.
func (s *service) purge(text string) {
	p, err := cache.ParsePattern(text)
	if err != nil {
		s.log.Log(logfile.Error, fmt.Sprintf("fapws.cache.purge: %v", err))
		return
	}
	s.server.Purge(p)
	s.relay.purge(p)
}

// mostPurges bounds the patterns that are sent at once: instead of more, all pages are purged.
const mostPurges = 4096

// purge makes the other workers purge, too.
func (r *channelRelay) purge(p cache.Pattern) {
	if text, err := json.Marshal(p); err == nil {
		r.purges.Add(string(text))
	}
}

// sendPurges sends patterns, each of them once.
func (r *channelRelay) sendPurges(patterns []string) {
	slices.Sort(patterns)
	patterns = slices.Compact(patterns)
	if len(patterns) > mostPurges {
		patterns = []string{`{"path":"*"}`}
	}
	for _, text := range patterns {
		_ = r.channel.Send(&pool.Message{Kind: pool.Purge, Text: text}) // listen sees the end of the channel
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

// cacheOf returns the state of the cache of this process for a report.
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
		return 0, errors.New("a handler blocks the server; the pages are purged when it returns")
	}
	return n, nil
}

// purgeSoon carries out a pattern in JSON, from another worker, which has checked it.
func purgeSoon(s *service, text string) {
	if p, err := cache.ParsePattern(text); err == nil {
		s.server.Purge(p)
	}
}
