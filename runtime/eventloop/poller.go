package eventloop

import (
	"errors"
	"sync/atomic"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
)

type poller struct {
	gnet *netpoll.Poller
	own  descriptors
}

// During a long batch, the loop checks after every lookEvery events whether a thread has set Waker.State. Otherwise
// finished responses would wait for the end of the batch.
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

// remove ignores the error, because an error only means that fd is not registered.
func (p *poller) remove(fd int) { _ = p.gnet.Delete(fd) }

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

// goOn makes epoll report all events again, because the previous run of the poller may have dropped some. epoll does so
// after a registration is modified (epoll_ctl(2)).
func (l *Loop) goOn() {
	for _, w := range l.watches {
		if w != nil && !w.waits {
			_ = l.poller.wantRoom(int(w.fd), w.room) // an error means that the descriptor is not registered
		}
	}
	l.wake.ring()
}

// gnet's poller calls event for each event. If event returns an error, the poller ends.
func (l *Loop) event(fd int, e netpoll.IOEvent, _ netpoll.IOFlags) error {
	if !l.begun && (l.stopped || l.left) {
		return gneterrors.ErrEngineShutdown
	}
	if !l.begun {
		l.begun = true
		// gnet runs this task after all ready events. An error means that the descriptor was closed (see intact).
		_ = l.poller.gnet.Trigger(queue.HighPriority, l.end, nil)
		l.begin()
	}
	// There is no watch if the descriptor was removed in this batch, or if the descriptor is the eventfd.
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
		// Begin another batch at once. A thread that set Waker.State during this batch did not write to the eventfd.
		l.wake.ring()
		return nil
	}
	if len(l.added) > 0 {
		l.register(len(l.added))
	}
	l.settled = 0
	// gnet must not wait itself, because gnet would first call Gosched, and Go would then move the loop to a different
	// thread.
	l.poller.wait(-1)
	return nil
}

// quiet is a logger for gnet that drops all messages, because Run returns the error.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func init() { logging.SetDefaultLoggerAndFlusher(quiet{}, nil) }
