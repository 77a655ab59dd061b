package programs

import (
	"context"
	"errors"
)

// Gate limits the programs that run at the same time. Callers beyond the limit wait in order; when too many wait,
// Enter returns ErrBusy. It is safe for concurrent use.
type Gate struct {
	all     chan struct{} // has one value for each that has entered or waits
	running chan struct{} // and for each that has entered; senders to a full channel wait in order
}

// NewGate returns a Gate for running at most running and letting at most waiting
// wait.
func NewGate(running, waiting int) *Gate {
	return &Gate{make(chan struct{}, running+waiting), make(chan struct{}, running)}
}

// ErrBusy says that too many wait.
var ErrBusy = errors.New("too many wait")

// Enter returns when there is a place, which Leave gives back, or ErrBusy, or the
// error of ctx.
func (g *Gate) Enter(ctx context.Context) error {
	select {
	case g.all <- struct{}{}:
	default:
		return ErrBusy
	}
	select {
	case g.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-g.all
		return ctx.Err()
	}
}

// Active returns how many have entered or wait.
func (g *Gate) Active() int { return len(g.all) }

// Leave lets the next one in.
func (g *Gate) Leave() {
	<-g.all
	<-g.running
}
