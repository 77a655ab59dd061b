package worker

import (
	"context"
	"io"
	"time"

	"fapws/pybridge"
	"fapws/runtime/metrics"
	"fapws/runtime/source/app"
)

// interpreter is Python as a service knows it: a *pybridge.Handler in this process, or a sleeper for one in another. All methods but
// those of app.Receiver, and NotifyPresence, are safe for concurrent use; pybridge has their documentation.
type interpreter interface {
	app.Receiver

	Order()
	Numbered(cost int64)
	Dealt(cost int64)
	Published(cost int64)
	TakeMessage(*pybridge.Event)
	NotifyPresence(pybridge.PresenceEvent) bool
	Notified(limit time.Duration)

	Measure()
	Metrics() []metrics.Family
	Active(wait time.Duration) []pybridge.ActiveRequest
	Stack(w io.Writer, wait time.Duration) error
	Profile(ctx context.Context, d time.Duration) ([]pybridge.ProfileStack, error)
}

var _, _ interpreter = (*pybridge.Handler)(nil), (*sleeper)(nil)

// countSubscribers tells Python how many listen to a channel, or are in a group, in this process or elsewhere.
func (s *service) countSubscribers(name string, elsewhere bool, n int64) {
	if z := s.asleep.Load(); z != nil {
		z.countSubscribers(name, elsewhere, n)
		return
	}
	pybridge.CountSubscribers(name, elsewhere, n)
}
