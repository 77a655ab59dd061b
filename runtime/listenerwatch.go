package runtime

import (
	"os"
	"time"

	"fapws/runtime/channel"
	"fapws/runtime/descriptors"

	"golang.org/x/sys/unix"
)

// watch is the epoll that tells of listeners: a goroutine waits for it and posts
// to the loop.
type watch struct {
	h    *channels
	fd   int // 0: there is none yet
	file *os.File
	done chan struct{} // that ready has run
	end  chan struct{} // that the goroutine has ended
	list [128]unix.EpollEvent
}

// open starts it when the first listener comes.
func (w *watch) open(h *channels) error {
	if w.file != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err = unix.SetNonblock(fd, true); err != nil { // Go's poller takes no other
		unix.Close(fd)
		return err
	}
	descriptors.Keep(fd)
	w.h, w.fd, w.file, w.done = h, fd, os.NewFile(uintptr(fd), "listeners"), make(chan struct{}, 1)
	w.end = make(chan struct{})
	go w.run(w.file)
	return nil
}

// run is the goroutine.
func (w *watch) run(f *os.File) {
	defer close(w.end)
	rc, err := f.SyscallConn()
	if err != nil {
		return
	}
	for {
		err := rc.Read(func(fd uintptr) bool {
			fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(fds[:], 0)
			return n > 0 || err != nil && err != unix.EINTR
		})
		if err != nil {
			return // closed
		}
		w.h.l.post(w.ready)
		<-w.done
	}
}

// ready looks after listeners of which there is news.
func (w *watch) ready() {
	defer func() { w.done <- struct{}{} }()
	if w.file == nil {
		return
	}
	h := w.h
	n, _ := unix.EpollWait(w.fd, w.list[:], 0)
	for _, e := range w.list[:max(n, 0)] {
		p := h.listeners[e.Fd]
		if p == nil {
			continue // it was ended for one before it
		}
		if e.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0 {
			h.read(p)
		}
		if e.Events&unix.EPOLLOUT != 0 && p.state != listenerGone {
			h.room(p)
		}
	}
	if len(h.cast.backlog) > 0 && h.cast.young == 0 && !h.cast.turning {
		h.turn()
	}
}

func (w *watch) close() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}

// await waits until nothing is posted any more. Not on the loop, after close.
func (w *watch) await() {
	if w.end != nil {
		<-w.end
	}
}

const listenerEvents = unix.EPOLLIN | unix.EPOLLRDHUP

func (w *watch) add(fd int32) error {
	return unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: listenerEvents, Fd: fd})
}

// change says whether room in the socket is news.
func (w *watch) change(fd int32, room bool) {
	e := unix.EpollEvent{Events: listenerEvents, Fd: fd}
	if room {
		e.Events |= unix.EPOLLOUT
	}
	unix.EpollCtl(w.fd, unix.EPOLL_CTL_MOD, int(fd), &e) // cannot fail: it is there
}

// remove is needed before a close, too: another process may have the socket.
func (w *watch) remove(fd int32) {
	unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, int(fd), nil)
}

// maxListenerInput bounds what a listener may send; there is no use in any of it.
const maxListenerInput = 16 << 10

// read takes what a listener has sent: nothing that counts, but its end.
func (h *channels) read(p *listener) {
	var buf [4 << 10]byte
	for {
		n, _, err := unix.Recvfrom(int(p.fd), buf[:], unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return
		case err != nil:
			h.end(p, err.Error())
			return
		case n == 0:
			h.end(p, "the client has left")
			return
		case int(p.input)+n > maxListenerInput:
			h.drop(p, "has sent more than a request")
			return
		default:
			p.input += uint16(n)
			if n < len(buf) {
				return
			}
		}
	}
}

// beats are the listeners by when they get their heartbeats: a slot in each tick,
// so that they do not all come at once.
type beats struct {
	slots [][]*listener
	next  int   // slot of the next listener
	tick  int64 // whose slot was done last
}

var heartbeat = channel.NewText(":\n\n")

func (b *beats) configure(every time.Duration) {
	n := int(max(1, min(int64(every)/tickLength, 1<<14)))
	if b.slots == nil {
		b.slots = make([][]*listener, n)
		return
	}
	var all []*listener
	for _, slot := range b.slots {
		all = append(all, slot...)
	}
	b.slots = make([][]*listener, n)
	for _, p := range all {
		b.add(p)
	}
}

func (b *beats) add(p *listener) {
	b.next = (b.next + 1) % len(b.slots)
	p.slot, p.beat = int16(b.next), int32(len(b.slots[b.next]))
	b.slots[b.next] = append(b.slots[b.next], p)
}

func (b *beats) remove(p *listener) {
	slot := b.slots[p.slot]
	moved := slot[len(slot)-1]
	slot[p.beat], moved.beat = moved, p.beat
	slot[len(slot)-1] = nil
	b.slots[p.slot] = slot[:len(slot)-1]
}

// beat sends heartbeats to those whose time has come and to whom nothing else was
// sent lately.
func (h *channels) beat() {
	b := &h.beats
	now := h.l.now / tickLength
	if h.live == 0 {
		b.tick = now
		return
	}
	b.tick = max(b.tick, now-int64(len(b.slots)))
	recent := h.l.now - int64(h.cfg.Heartbeat)/2
	for b.tick < now {
		b.tick++
		slot := &b.slots[b.tick%int64(len(b.slots))]
		for i := len(*slot) - 1; i >= 0; i-- {
			if p := (*slot)[i]; p.state == listenerIdle && p.active <= recent {
				h.send(p, heartbeats)
			}
		}
	}
}

var heartbeats = []*channel.Event{heartbeat}
