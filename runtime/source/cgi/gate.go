package cgi

import (
	"context"
	"errors"
	"sync"
)

// Gate limits the programs that run at the same time. Callers beyond the limit wait in order; when too many wait,
// Enter returns ErrBusy. It is safe for concurrent use.
type Gate struct {
	mu      sync.Mutex
	free    int
	room    int // for waiting callers
	waiting []chan struct{}
}

// NewGate returns a Gate for running at most running and letting at most waiting
// wait.
func NewGate(running, waiting int) *Gate { return &Gate{free: running, room: waiting} }

// ErrBusy says that too many wait.
var ErrBusy = errors.New("too many wait")

// Enter returns when there is a place, which Leave gives back, or ErrBusy, or the
// error of ctx.
func (g *Gate) Enter(ctx context.Context) error {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	if len(g.waiting) >= g.room {
		g.mu.Unlock()
		return ErrBusy
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	for i, other := range g.waiting {
		if other == turn {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			g.mu.Unlock()
			return ctx.Err()
		}
	}
	g.mu.Unlock()
	g.Leave() // its turn has just come
	return ctx.Err()
}

// Leave lets the next one in.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.free++
		return
	}
	close(g.waiting[0])
	g.waiting = g.waiting[1:]
}
