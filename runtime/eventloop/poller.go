package eventloop

import (
	"errors"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
)

// poller waits with gnet's, which does not tell where a batch ends: the first event of one writes to the
// loop's own wake-up descriptor, which is reported behind the others. While single events come, the end
// follows each of them directly and nothing is written; every few events run looks whether that is still so.
type poller struct {
	gnet *netpoll.Poller
	loop *Loop
	own  descriptors // of gnet

	events    uint // reported so far
	first     uint // the number of the first event of the batch that is measured
	measuring bool // the end of the batch on its way says how large the batch was
	ending    bool // the end of a batch is on its way
	crowd     bool // the last batch that was measured had several events
}

const (
	// lookEvery is after how many events of a batch the loop looks whether threads have called: what
	// they have finished does not wait for ten thousand connections.
	lookEvery = 32

	// measureEvery is after how many single events the loop looks whether batches are still that small.
	measureEvery = 16
)

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
	p.loop = l
	err := p.gnet.Polling(p.event)
	if (l.stopped || l.left) && errors.Is(err, gneterrors.ErrEngineShutdown) {
		return nil
	}
	return err
}

// goOn makes up for what Polling has dropped when it returned: the events behind the last one of its batch, and the end of
// that. Where a descriptor is modified, even to what it is, its events are reported again (epoll_ctl(2)).
func (p *poller) goOn() {
	for _, w := range p.loop.watches {
		if w != nil && !w.waits {
			_ = p.wantRoom(int(w.fd), w.room) // failing, it is not watched
		}
	}
	p.endSoon()
}

// event is called by gnet's poller. Its error ends run.
func (p *poller) event(fd int, e netpoll.IOEvent, flags netpoll.IOFlags) error {
	l := p.loop
	if fd == l.wake.fd {
		l.wake.drain()
		if p.measuring {
			p.measuring, p.crowd = false, p.events > p.first
		}
		if p.ending || l.wake.isCalled() { // else it was seen when another batch ended
			p.ending = false
			l.begin()
			p.end()
		}
		return p.result()
	}
	p.events++
	if !p.ending {
		l.begin()
		if p.crowd || p.events%measureEvery == 0 {
			p.measuring, p.first = true, p.events
			p.endSoon()
		}
	}
	l.event(fd, readiness(e, flags))
	if !p.ending {
		p.end()
	} else if p.events%lookEvery == 0 && l.wake.isCalled() {
		l.begin()
		p.end()
	}
	return p.result()
}

// endSoon makes the batch end behind the events that are ready.
func (p *poller) endSoon() {
	p.ending = true
	p.loop.wake.ring()
}

func (p *poller) end() {
	p.loop.end()
	if !p.ending && !p.loop.sleep() { // else this was early, and follows once more
		p.endSoon()
	}
}

func (p *poller) result() error {
	if p.loop.stopped || p.loop.left {
		return gneterrors.ErrEngineShutdown
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
