package eventloop

import (
	"errors"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
)

// poller waits with gnet's, which does not tell where a batch ends: with the first event of one, endBehind has end called behind those
// that are ready.
type poller struct {
	gnet *netpoll.Poller
	loop *Loop
	own  descriptors // of gnet

	task   queue.Func // end, for endBehind
	events uint       // reported so far
	begun  bool       // a batch has begun, and its end is on its way
}

// lookEvery is after how many events of a batch the loop looks whether threads have called: what they have finished does not
// wait for ten thousand connections.
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

// Failing, it is not watched.
func (p *poller) remove(fd int) { _ = p.gnet.Delete(fd) }

func (p *poller) run(l *Loop) error {
	if p.loop == l {
		p.goOn()
	}
	p.loop, p.task = l, p.end
	err := p.gnet.Polling(p.event)
	if (l.stopped || l.left) && errors.Is(err, gneterrors.ErrEngineShutdown) {
		return nil
	}
	return err
}

// goOn makes up for the events that Polling has dropped when it returned. Where a descriptor is modified, even to what it is, its
// events are reported again (epoll_ctl(2)).
func (p *poller) goOn() {
	for _, w := range p.loop.watches {
		if w != nil && !w.waits {
			_ = p.wantRoom(int(w.fd), w.room) // failing, it is not watched
		}
	}
	p.loop.wake.ring()
}

// event is called by gnet's poller. Its error ends run.
func (p *poller) event(fd int, e netpoll.IOEvent, flags netpoll.IOFlags) error {
	l := p.loop
	wakes := fd == l.wake.fd
	if wakes {
		l.wake.drain()
	}
	if !p.begun && (l.stopped || l.left) {
		return gneterrors.ErrEngineShutdown
	}
	if wakes && endsByWake {
		return p.end(nil)
	}
	if !p.begun {
		p.begun = true
		p.endBehind()
		l.begin()
	}
	if !wakes {
		l.event(fd, readiness(e, flags))
	}
	if p.events++; p.events%lookEvery == 0 && l.wake.isCalled() {
		l.begin()
		l.end()
	}
	return nil
}

// end is called at the end of a batch, as a task of gnet.
func (p *poller) end(any) error {
	l := p.loop
	p.begun = false
	l.begin()
	l.end()
	if l.stopped || l.left || !l.sleep() {
		l.wake.ring() // for another batch
	} else {
		p.wait()
	}
	return nil
}

// quiet is gnet's log: Run returns the error, and gnet's own log would write to standard output.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func init() { logging.SetDefaultLoggerAndFlusher(quiet{}, nil) }
