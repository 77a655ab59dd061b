package eventloop

import (
	"errors"
	"sync/atomic"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
)

type poller struct {
	gnet *netpoll.Poller
	own  descriptors
}

// lookEvery is the number of events after which a long batch checks for calls of threads, so that finished responses do
// not wait.
const lookEvery = 32

func (p *poller) open() (err error) {
	if p.gnet, err = netpoll.OpenPoller(); err != nil {
		return err
	}
	if p.own, err = find(p.gnet); err != nil {
		p.gnet.Close()
	}
	return err
}

func (p *poller) close() error { return p.gnet.Close() }

func (p *poller) add(fd int) error { return p.gnet.AddRead(&netpoll.PollAttachment{FD: fd}, true) }

func (p *poller) wantRoom(fd int, want bool) error {
	pa := netpoll.PollAttachment{FD: fd}
	if want {
		return p.gnet.ModReadWrite(&pa, true)
	}
	return p.gnet.ModRead(&pa, true)
}

// remove ignores the error, which means that fd is not registered.
func (p *poller) remove(fd int) { _ = p.gnet.Delete(fd) }

// poll returns nil after Stop and after Leave.
func (l *Loop) poll() error {
	if l.end == nil {
		l.end = l.endOfEvents
	} else {
		l.goOn()
	}
	err := l.poller.gnet.Polling(l.event)
	if (l.stopped || l.left) && errors.Is(err, gneterrors.ErrEngineShutdown) {
		return nil
	}
	return err
}

// goOn restores the events that the previous Polling dropped. Modifying a registration makes epoll report its events
// again (epoll_ctl(2)).
func (l *Loop) goOn() {
	for _, w := range l.watches {
		if w != nil && !w.waits {
			_ = l.poller.wantRoom(int(w.fd), w.room) // on an error the descriptor is not registered
		}
	}
	l.wake.ring()
}

// event is called by gnet's poller. An error ends poll.
func (l *Loop) event(fd int, e netpoll.IOEvent, _ netpoll.IOFlags) error {
	if !l.begun && (l.stopped || l.left) {
		return gneterrors.ErrEngineShutdown
	}
	if !l.begun {
		l.begun = true
		l.poller.endBehind(l.end)
		l.begin()
	}
	// Another descriptor was removed in this batch, or is the eventfd.
	if fd < len(l.watches) && l.watches[fd] != nil {
		l.ready(l.watches[fd].handler, readiness(e))
	}
	if l.events++; l.events%lookEvery == 0 && l.wake.isCalled() {
		l.turn()
	}
	return nil
}

func (l *Loop) endOfEvents(any) error {
	l.begun = false
	l.turn()
	if l.stopped || l.left || len(l.again) > 0 || !atomic.CompareAndSwapInt32(l.wake.waker.State, Awake, Asleep) {
		// begin another batch, because threads that called meanwhile have not woken the loop
		l.wake.ring()
		return nil
	}
	if len(l.added) > 0 {
		l.register(len(l.added))
	}
	l.settled = 0
	l.poller.wait()
	return nil
}

// quiet is a logger for gnet that drops everything, because Run returns the error.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func init() { logging.SetDefaultLoggerAndFlusher(quiet{}, nil) }
