//go:build !linux

package ctl

import (
	"errors"
	"time"
)

// timer wakes a generator when the next request is due.
type timer struct {
	g     *generator
	at    time.Duration // when it is set to; 0: it is not set
	timer *time.Timer
}

func (t *timer) open(g *generator) error {
	t.g = g
	return nil
}

// set sets the timer, unless it is set to the same time already.
func (t *timer) set(at time.Duration) {
	if at == t.at || at == never {
		return
	}
	t.close()
	t.at = at
	t.timer = time.AfterFunc(at-time.Since(t.g.epoch), func() {
		t.g.loop.Post(func() {
			if t.at == at {
				t.at = 0
				t.g.clock()
				t.g.wake()
			}
		})
	})
}

func (t *timer) close() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// peer cannot find the user at the other side of a unix socket, so the control socket needs Linux.
func peer(fd int) (uid, pid int, err error) { return -1, 0, errors.ErrUnsupported }

// ended is asked about processes that peer has found.
func ended(int) bool { return false }
