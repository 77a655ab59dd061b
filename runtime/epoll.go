package runtime

import (
	"reflect"
	goruntime "runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// epollOf returns the epoll descriptor of a gnet loop, or -1. gnet does not
// export it; what needs it (pause, lull) does without if it is not found. A
// test says so when a new gnet keeps it elsewhere.
func epollOf(el gnet.EventLoop) int {
	v := pollerField(el, "fd")
	if v.Kind() != reflect.Int {
		return -1
	}
	return int(v.Int())
}

// choresOf returns gnet's flag of a loop that has tasks to run (Execute,
// Enroll), or nil. It is 1 from before the eventfd is written until all tasks
// have run.
func choresOf(el gnet.EventLoop) *int32 {
	v := pollerField(el, "wakeupCall")
	if v.Kind() != reflect.Int32 {
		return nil
	}
	return (*int32)(unsafe.Pointer(v.UnsafeAddr()))
}

// queuesOf returns gnet's queues of such tasks, or nil.
func queuesOf(el gnet.EventLoop) (queues []taskQueue) {
	for _, name := range [...]string{"urgentAsyncTaskQueue", "asyncTaskQueue"} {
		v := pollerField(el, name)
		if !v.IsValid() {
			return nil
		}
		q, ok := reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem().Interface().(taskQueue)
		if !ok {
			return nil
		}
		queues = append(queues, q)
	}
	return queues
}

type taskQueue interface{ IsEmpty() bool }

// pollerField returns a field of a loop's poller, or the zero Value.
func pollerField(el gnet.EventLoop, name string) reflect.Value {
	v := reflect.ValueOf(el)
	for _, name := range [...]string{"poller", name} {
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			return reflect.Value{}
		}
		if v = v.Elem().FieldByName(name); !v.IsValid() {
			return v
		}
	}
	return v
}

// pause stops reading from c: what the client sends stays in the kernel, whose
// window then stops the client. gnet cannot do that. Of events that are set, gnet
// closes the connection.
func (l *loop) pause(c *conn, events uint32) bool {
	if c.g == nil || l.epoll < 0 {
		return false
	}
	// EPOLLRDHUP is mostly not among them: a client that has sent everything and shut
	// down its side still wants its answers. RST is reported without being asked for.
	if unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Fd: int32(c.fd), Events: events}) != nil {
		return false
	}
	c.paused = true
	if l.debug >= 2 {
		l.tracef("%s is paused, %d bytes ahead", c, len(c.pending()))
	}
	return true
}

// unpause reads on.
func (l *loop) unpause(c *conn) {
	c.paused = false
	if c.g == nil || c.state == stateClosed {
		return
	}
	ev := unix.EpollEvent{Fd: int32(c.fd), Events: unix.EPOLLIN | unix.EPOLLPRI} // as gnet has it
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &ev); err != nil {
		l.close(c, err.Error())
	}
}

// yieldEvery is well below the 10 ms after which Go takes the processor from a
// goroutine that was never rescheduled.
const yieldEvery = 4 * time.Millisecond

// yield lets Go reschedule the loop now and then. Since it waits in lull it
// hardly ever does so by itself, and when it calls Python Go's monitor then takes
// its processor away every 10 ms, and looks every 20 µs for a while whether it
// must again: thousands of thread switches a second, 8 % of the CPU of a JSON
// handler.
func (l *loop) yield() {
	if now := time.Now(); now.Sub(l.yielded) > yieldEvery {
		l.yielded = now
		goruntime.Gosched()
	}
}

// asleep is more than what a poll takes that does not wait.
const asleep = 2 * time.Microsecond

// What lull knows of the chance that an event is there already: an average
// over the last polls, in 1/256. Beyond crowded a poll is in vain more often
// than it is worth, and only one in sample events has one.
const (
	crowded = 230
	sample  = 16
)

// lull waits for the next event here instead of in gnet.
//
// gnet calls Gosched before it sleeps, and that wakes another thread of Go, if
// there is a processor for it, which finds nothing to do; on a goroutine that is
// tied to its thread (see Do) it has to hand the processor over and get it back:
// measured, 2.5 µs more for a request when all runs on one CPU, and 28 µs when
// there are two. When this returns, gnet finds an event at once and does not get
// there. poll(2) on the epoll descriptor, unlike epoll_wait, takes no event away
// from gnet.
func (l *loop) lull() {
	if l.skip > 0 || l.epoll < 0 || l.chores == nil {
		l.skip--
		return
	}
	if atomic.LoadInt32(l.chores) != 0 {
		// gnet has taken the (edge-triggered) event of its eventfd in the same
		// batch as ours and runs the tasks after us: nothing would wake us.
		return
	}
	l.poll()
}

// lullInTask does the same at the end of a task that gnet runs.
func (l *loop) lullInTask() {
	if l.skip > 0 || l.epoll < 0 || l.chores == nil || l.tasks == nil {
		l.skip--
		return
	}
	// As gnet does after the last task: who posts one from now on writes to the
	// eventfd, and who did so before has left it in a queue.
	atomic.StoreInt32(l.chores, 0)
	for _, q := range l.tasks {
		if !q.IsEmpty() {
			return
		}
	}
	l.poll()
}

// poll waits until gnet has something to do. What the handler has finished
// meanwhile it sends by itself: that needs nothing of gnet, whose way to it would
// be another epoll_wait.
func (l *loop) poll() {
	fds := [2]unix.PollFd{{Fd: int32(l.epoll), Events: unix.POLLIN}, {Fd: int32(l.wake.theirs.Event), Events: unix.POLLIN}}
	for {
		if l.spawned {
			l.spawned = false // Gosched lets the new goroutine run
			return
		}
		begin := time.Now()
		l.wake.nap()
		unix.Poll(fds[:], -1)
		woken := l.wake.risen()
		if fds[1].Revents != 0 {
			l.wake.takeToken()
		}
		if woken { // nothing else would say so
			l.woken(nil)
		}
		if fds[0].Revents != 0 {
			l.polled(time.Since(begin) > asleep)
			return
		}
	}
}

// hasEvents says whether gnet would find something to do.
func (l *loop) hasEvents() bool {
	fds := [1]unix.PollFd{{Fd: int32(l.epoll), Events: unix.POLLIN}} // -1 is never ready
	n, _ := unix.Poll(fds[:], 0)
	return n > 0
}

// polled notes whether a poll has had to wait.
func (l *loop) polled(waited bool) {
	if waited {
		l.crowd -= l.crowd / 8
		return
	}
	if l.crowd += (256 - l.crowd) / 16; l.crowd > crowded {
		l.skip = sample
	}
}
