package eventloop

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

type poller struct {
	gnet   *netpoll.Poller
	own    descriptors
	events [512]unix.EpollEvent
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

// descriptors contains the descriptors of a poller, which gnet does not export.
type descriptors struct {
	epoll int
	event int
	// inode of the two descriptors and of the loop's eventfd, which are anonymous files and therefore have the same
	// inode
	inode uint64
}

// find searches all descriptors of the process for the two descriptors of a poller. gnet's eventfd is the only
// descriptor whose registration the poller can change, and gnet's epoll descriptor is the only one that watches this
// eventfd. The search changes no registration: it sets each registration to its current value.
func find(g *netpoll.Poller) (d descriptors, err error) {
	all := system.Descriptors()
	event := slices.IndexFunc(all, func(fd int) bool { return g.ModRead(&netpoll.PollAttachment{FD: fd}, true) == nil })
	if event < 0 {
		return d, errors.New("gnet's poller watches no descriptor of its own")
	}
	e := unix.EpollEvent{Fd: int32(all[event]), Events: netpoll.ReadEvents | unix.EPOLLET | unix.EPOLLRDHUP}
	epoll := slices.IndexFunc(all, func(fd int) bool {
		return unix.EpollCtl(fd, unix.EPOLL_CTL_MOD, all[event], &e) == nil
	})
	if epoll < 0 {
		return d, errors.New("gnet's poller has no descriptor")
	}
	return descriptors{epoll: all[epoll], event: all[event], inode: system.Inode(all[epoll])}, nil
}

// wait stores the events of the next batch, and returns their number, which may be 0. If blocks is true, it waits for the
// first event.
func (p *poller) wait(blocks bool) (n int, err error) {
	limit := 0
	if blocks {
		limit = -1
	}
	if n, err = unix.EpollWait(p.own.epoll, p.events[:], limit); err == unix.EINTR {
		return 0, nil
	}
	return n, err
}

func (p *poller) hasEvents() bool {
	fds := [1]unix.PollFd{{Fd: int32(p.own.epoll), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds[:], 0)
	return n > 0
}

// intact returns an error if a descriptor of the poller or the loop's eventfd was closed or refers to another file.
func (p *poller) intact(event int) error {
	for _, fd := range [...]int{p.own.epoll, p.own.event, event} {
		if system.Inode(fd) != p.own.inode || fd != p.own.epoll && !p.watches(fd) {
			return fmt.Errorf("the application closed descriptor %d, which belongs to the event loop", fd)
		}
	}
	return nil
}

// watches reports whether fd is still registered and still refers to the same file. In this case, epoll rejects a
// second registration.
func (p *poller) watches(fd int) bool {
	err := p.add(fd)
	if err == nil { // fd or the epoll descriptor now refers to a different file
		p.remove(fd)
	}
	return errors.Is(err, unix.EEXIST)
}

func (l *Loop) poll() error {
	if l.ran {
		l.goOn()
	}
	l.ran = true
	err := l.poller.gnet.Polling(l.first)
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
	writeEvent(l.wake.waker.Event)
}

// first handles an event of the first batch of a run, which gnet reports. If it returns an error, gnet's poller ends.
func (l *Loop) first(fd int, e netpoll.IOEvent, _ netpoll.IOFlags) error {
	if !l.begun && (l.stopped || l.left) {
		return gneterrors.ErrEngineShutdown
	}
	if !l.begun {
		// gnet runs this task after all ready events. An error means that the descriptor was closed (see intact).
		_ = l.poller.gnet.Trigger(queue.HighPriority, l.batches, nil)
		l.beginBatch()
	}
	l.event(fd, e)
	return nil
}

func (l *Loop) beginBatch() {
	l.begun = true
	l.polled, l.later = l.later, l.polled
	l.begin()
}

func (l *Loop) event(fd int, e uint32) {
	// There is no watch if the descriptor was removed in this batch, or if the descriptor is an eventfd.
	if fd < len(l.watches) && l.watches[fd] != nil {
		var r Readiness
		if e&unix.EPOLLIN != 0 {
			r |= Readable
		}
		if e&unix.EPOLLOUT != 0 {
			r |= Writable
		}
		if e&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			r |= MaybeGone
		}
		if e&unix.EPOLLPRI != 0 {
			r |= Readable | Urgent
		}
		l.ready(l.watches[fd].handler, r)
	}
	if l.events++; l.events%lookEvery == 0 && l.wake.isCalled() {
		l.turn()
	}
}

// batches ends the first batch of a run, and runs all further batches. It fetches their events itself: gnet does not
// report the end of a batch, and calls Gosched before it waits, after which Go moves the loop to a different thread.
func (l *Loop) batches(any) error {
	for blocks := l.endBatch(); !l.stopped && !l.left; blocks = l.endBatch() {
		n, err := l.poller.wait(blocks)
		if err != nil { // gnet gets the same error
			break
		}
		l.beginBatch()
		for _, e := range l.poller.events[:n] {
			l.event(int(e.Fd), e.Events)
		}
	}
	writeEvent(l.wake.waker.Event) // gnet calls first for this event
	return nil
}

// At the end of a batch, the loop repeats its turn if a thread has called it meanwhile, because a new batch would cost
// a system call. mostTurns limits the turns, because events of descriptors wait.
const mostTurns = 3

// endBatch reports whether the next batch begins with an event. Otherwise it must begin at once. A thread that set
// Waker.State during this batch did not write to the eventfd.
func (l *Loop) endBatch() (blocks bool) {
	l.begun = false
	for turns := 1; !blocks; turns++ {
		l.turn()
		if l.stopped || l.left || len(l.again) > 0 || len(l.later) > 0 || turns == mostTurns {
			break
		}
		blocks = atomic.CompareAndSwapInt32(l.wake.waker.State, Awake, Asleep)
	}
	if len(l.later) > 0 || blocks { // the next poll must report the events of all descriptors
		l.register(len(l.added))
		l.settled = 0
	}
	return blocks
}

// quiet is a logger for gnet that drops all messages, because Run returns the error.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func init() { logging.SetDefaultLoggerAndFlusher(quiet{}, nil) }
