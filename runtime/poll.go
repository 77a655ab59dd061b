package runtime

import (
	"context"
	"errors"
	"io"
	goruntime "runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"fapws/runtime/exchange"

	errorx "github.com/panjf2000/gnet/v2/pkg/errors"
	gnetqueue "github.com/panjf2000/gnet/v2/pkg/queue"
	"golang.org/x/sys/unix"
)

// Run is the loop. It is a task of gnet's that ends with gnet's engine.
//
// gnet gives the loop its goroutine, its epoll and the queue of tasks, and
// enrols and closes connections. It waits and reads here, because that decides
// what a request costs: all that one wait has brought is pumped at once, so that
// the handler gets it in one crossing and the answers leave one after the other;
// a connection that is used again is edge-triggered; and gnet's Gosched before
// each sleep wakes another thread of Go for nothing. ARCHITECTURE.md has the
// figures.
func (l *loop) Run(context.Context) error {
	for {
		events, err := l.poll()
		if err != nil {
			return err // gnet meets it too, says so and ends
		}
		called := l.wake.called()
		if called {
			l.woken()
		}
		for i := range events {
			l.event(&events[i])
		}
		if err := l.runTasks(); err != nil {
			return err
		}
		l.flow()
		if called {
			l.cast() // now that all others have had their turn
		}
	}
}

// flow is pump, and outlives what goes wrong in it.
func (l *loop) flow() {
	defer l.recovered(nil)
	l.pump()
}

// cast gives listeners what was published.
func (l *loop) cast() {
	defer l.recovered(nil)
	l.channels.woken()
}

// poller is what the loop waits with.
type poller struct {
	epoll  int          // gnet's
	event  int          // gnet's eventfd
	chores *int32       // gnet's flag that there are tasks
	tasks  [2]taskQueue // gnet's, the urgent ones first
	conns  []*conn      // by descriptor
	buffer []byte       // what is read goes here
	cause  error        // why the connection is being closed
	events [256]unix.EpollEvent
}

// poll returns what has happened, at once if there is something to do.
func (l *loop) poll() ([]unix.EpollEvent, error) {
	if l.spawned {
		l.spawned = false
		goruntime.Gosched() // the new goroutine
	}
	timeout := -1
	if !l.wake.sleep() || atomic.LoadInt32(l.chores) != 0 {
		timeout = 0
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], timeout)
	if err == unix.EINTR {
		n, err = 0, nil
	}
	return l.events[:max(n, 0)], err
}

// event passes on what has happened to a descriptor.
func (l *loop) event(e *unix.EpollEvent) {
	switch fd := int(e.Fd); {
	case fd < len(l.conns) && l.conns[fd] != nil:
		l.take(l.conns[fd], e.Events)
	case fd == l.wake.signals:
		l.signalled()
	}
	// Otherwise it is an eventfd, which has done its work, or a connection that
	// this turn has closed already.
}

// take reads what a client has sent.
func (l *loop) take(c *conn, events uint32) {
	defer l.recovered(c)
	if events&(unix.EPOLLIN|unix.EPOLLPRI) == 0 { // of a paused one, see pause
		l.left(c, io.EOF)
		return
	}
	if c.paused { // since the wait: what has come stays in the kernel
		return
	}
	for {
		n, err := receive(c.fd, l.buffer)
		if err == unix.EAGAIN {
			return
		}
		if n <= 0 {
			if err == nil {
				err = io.EOF
			}
			l.left(c, err)
			return
		}
		switch {
		case c.edge && (n == len(l.buffer) || events&unix.EPOLLPRI != 0):
			l.blunt(c) // there may be more, also behind urgent data
		case !c.edge && c.state == stateReady:
			l.sharpen(c)
		}
		if l.debug >= 3 {
			l.tracef("%s sent %d bytes: %s", c, n, excerpt(l.buffer[:n]))
		}
		l.received(c, l.buffer[:n])
		if l.taken >= takenMost {
			l.pump()
		}
		if !c.edge || events&unix.EPOLLRDHUP == 0 {
			return
		}
		// Its end has come with the data, and is not reported again.
	}
}

// takenMost is how many requests are worth taking before they are passed on: more
// of them push each other out of the processor's cache, and out of the queue.
const takenMost = 256

// left closes c because its client has left, or because of what is wrong with it.
func (l *loop) left(c *conn, err error) {
	l.cause = err
	c.g.EventLoop().Close(c.g) // calls OnClose
}

// runTasks runs the tasks of gnet's queues as gnet itself does.
func (l *loop) runTasks() error {
	if atomic.LoadInt32(l.chores) == 0 {
		return nil
	}
	for i, most := range [...]int{tasksMost, tasksMost} {
		for ; most > 0; most-- {
			t := l.tasks[i].Dequeue()
			if t == nil {
				break
			}
			if err := t.Exec(t.Param); errors.Is(err, errorx.ErrEngineShutdown) {
				return err
			}
			gnetqueue.PutTask(t)
		}
	}
	// Who queues a task from now on writes to gnet's eventfd; who did so before has
	// left it in a queue.
	atomic.StoreInt32(l.chores, 0)
	for _, q := range l.tasks {
		if !q.IsEmpty() {
			atomic.StoreInt32(l.chores, 1)
		}
	}
	return nil
}

// tasksMost is how many tasks of a queue are run before connections have their turn.
const tasksMost = 256

// How a connection is watched.
const (
	// watched is as gnet has it.
	watched = unix.EPOLLIN | unix.EPOLLPRI

	// edged reports it once when something has come, so that epoll need not look
	// again whether it was read: 0.1 µs of a request. The end of what the client
	// sends does not come twice either, hence EPOLLRDHUP.
	edged = watched | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1)
)

// sharpen makes a TCP connection edge-triggered. It costs a system call, so it is
// for those that are used more than once.
func (l *loop) sharpen(c *conn) {
	if c.tcp { // of others less may have been read than there is
		c.edge = l.watch(c, edged) == nil
	}
}

// blunt takes that back: c is reported for as long as there is something to read.
func (l *loop) blunt(c *conn) {
	c.edge = false
	if err := l.watch(c, watched); err != nil {
		l.close(c, err.Error())
	}
}

// watch makes epoll report these events of c, at once if there are any.
func (l *loop) watch(c *conn, events uint32) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Fd: int32(c.fd), Events: events})
}

// pause stops reading from c: what the client sends stays in the kernel, whose
// window then stops the client. Of events that are set, the connection is closed.
func (l *loop) pause(c *conn, events uint32) bool {
	// EPOLLRDHUP is mostly not among them: a client that has sent everything and shut
	// down its side still wants its answers. RST is reported without being asked for.
	if c.g == nil || l.watch(c, events) != nil {
		return false
	}
	c.edge, c.paused = false, true
	if l.debug >= 2 {
		l.tracef("%s is paused, %d bytes ahead", c, len(c.pending()))
	}
	return true
}

// unpause reads on.
func (l *loop) unpause(c *conn) {
	c.paused = false
	if c.g != nil && c.state != stateClosed {
		l.blunt(c)
	}
}

// receive is recv(2), as sendBytes is send(2).
func receive(fd int, b []byte) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return -1, e
		}
	}
}

// hasEvents says whether the loop has something to do.
func (l *loop) hasEvents() bool {
	if atomic.LoadInt32(l.chores) != 0 || atomic.LoadInt32(l.wake.theirs.State) == exchange.Called {
		return true
	}
	fds := [1]unix.PollFd{{Fd: int32(l.epoll), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds[:], 0)
	return n > 0
}

// yieldEvery is well below the 10 ms after which Go takes the processor from a
// goroutine that was never rescheduled.
const yieldEvery = 4 * time.Millisecond

// yield lets Go reschedule the loop now and then. It hardly ever does so by
// itself, and when it calls Python Go's monitor then takes its processor away
// every 10 ms, and looks every 20 µs for a while whether it must again: thousands
// of thread switches a second, 8 % of the CPU of a JSON handler.
func (l *loop) yield() {
	if now := time.Now(); now.Sub(l.yielded) > yieldEvery {
		l.yielded = now
		goruntime.Gosched()
	}
}
