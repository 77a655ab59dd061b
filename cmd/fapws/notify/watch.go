package notify

import (
	"context"
	"time"
)

// Watch tells the watchdog at half its interval that the service is alive, as long as ping succeeds within that time.
// It returns when ctx ends, or at once when the manager has no watchdog.
func (n *Notifier) Watch(ctx context.Context, ping func(context.Context) error) {
	if n.Watchdog() == 0 {
		return
	}
	every := n.Watchdog() / 2
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	watch(ctx, ticks.C, every, ping, func() { _ = n.Alive() })
}

func watch(ctx context.Context, ticks <-chan time.Time, within time.Duration, ping func(context.Context) error, alive func()) {
	for {
		trial, cancel := context.WithTimeout(ctx, within)
		err := ping(trial)
		cancel()
		if err == nil {
			alive()
		}
		select {
		case <-ticks:
		case <-ctx.Done():
			return
		}
	}
}
