package programs

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Places limits the programs that run at the same time. Callers beyond the limit wait, or get ErrBusy if too many callers
// wait. A client gets at most three quarters of the places for running programs. When a place becomes free, the oldest
// request of the client with the fewest running programs gets it. Places is safe for concurrent use.
type Places struct {
	most, share, queue int

	mu        sync.Mutex
	running   int
	perClient map[string]int // number of running programs by client
	waiting   []*waiter      // waiters in the order of their arrival
}

type waiter struct {
	client  string
	ready   chan struct{} // closed when the waiter has entered or was rejected
	refused bool
}

func NewPlaces(running, waiting int) *Places {
	return &Places{most: running, share: running - running/4, queue: waiting, perClient: map[string]int{}}
}

var ErrBusy = errors.New("too many wait")

// Enter waits until a client gets a place, which the caller must free with Leave. The error is ErrBusy or the error of
// ctx. client is the result of Request.Account, or "" for no limit per client.
func (g *Places) Enter(ctx context.Context, client string) error {
	w, err := g.begin(client)
	if w == nil {
		return err
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		if i := slices.Index(g.waiting, w); i >= 0 {
			g.waiting = slices.Delete(g.waiting, i, i+1)
		} else if !w.refused {
			g.leave(client)
		}
		return ctx.Err()
	}
	if w.refused {
		return ErrBusy
	}
	return nil
}

// begin gives the client a place, or returns a waiter or ErrBusy.
func (g *Places) begin(client string) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.has(client) {
		g.enter(client)
		return nil, nil
	}
	if len(g.waiting) >= g.queue && !g.makeRoom(client) {
		return nil, ErrBusy
	}
	w := &waiter{client: client, ready: make(chan struct{})}
	g.waiting = append(g.waiting, w)
	return w, nil
}

func (g *Places) has(client string) bool {
	return g.running < g.most && (client == "" || g.perClient[client] < g.share)
}

func (g *Places) enter(client string) {
	g.running++
	g.perClient[client]++
}

// makeRoom rejects the last waiter of the client with the most waiters, if it has at least two more than the given
// client, and reports whether it has rejected a waiter.
func (g *Places) makeRoom(client string) bool {
	count := map[string]int{}
	for _, w := range g.waiting {
		count[w.client]++
	}
	last := -1
	for i, w := range g.waiting {
		if w.client != "" && (last < 0 || count[w.client] >= count[g.waiting[last].client]) {
			last = i
		}
	}
	if last < 0 || count[g.waiting[last].client] < count[client]+2 {
		return false
	}
	w := g.waiting[last]
	g.waiting = slices.Delete(g.waiting, last, last+1)
	w.refused = true
	close(w.ready)
	return true
}

func (g *Places) Active() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running + len(g.waiting)
}

func (g *Places) Leave(client string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leave(client)
}

func (g *Places) leave(client string) {
	g.running--
	if g.perClient[client]--; g.perClient[client] == 0 {
		delete(g.perClient, client)
	}
	for {
		next := -1
		for i, w := range g.waiting {
			if g.has(w.client) && (next < 0 || g.perClient[w.client] < g.perClient[g.waiting[next].client]) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		w := g.waiting[next]
		g.waiting = slices.Delete(g.waiting, next, next+1)
		g.enter(w.client)
		close(w.ready)
	}
}
