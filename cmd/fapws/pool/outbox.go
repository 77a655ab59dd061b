package pool

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// muchWaiting is how many bytes in an outbox make those who publish wait.
	muchWaiting = 4 << 20

	// A worker that takes nothing for stuckAfter while stuckWaiting bytes wait for it
	// is stuck.
	stuckAfter   = 2 * time.Second
	stuckWaiting = 1 << 20

	offerAgain = time.Millisecond // at first
	offerLate  = 20 * time.Millisecond
)

// parcel is a datagram on its way, with a descriptor or without.
type parcel struct {
	text []byte
	file *os.File // closed when it was sent, or is not wanted
}

// outbox is what waits for a worker, in order, without anybody waiting for that
// worker. The zero value is empty. Any goroutine.
type outbox struct {
	mu      sync.Mutex
	waiting []parcel
	bytes   int
	pouring bool   // a goroutine sends
	closed  bool   // nothing is sent any more
	emptied func() // called once when nothing waits
}

// post sends m to w when it takes it, behind what was posted before.
func (w *worker) post(m *Message) { w.postWith(m, nil) }

// postWith is post with a file, which belongs to it from then on.
func (w *worker) postWith(m *Message, file *os.File) {
	text, _, err := m.encode(nil)
	if err != nil {
		closeFiles([]*os.File{file})
		return // no message of ours is that long
	}
	w.out.add(w, parcel{text, file})
}

func (o *outbox) add(w *worker, p parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		p.drop()
		return
	}
	o.waiting = append(o.waiting, p)
	o.grow(w, len(p.text))
	if !o.pouring {
		o.pouring = true
		go o.pour(w)
	}
}

// grow keeps the sum. The mutex is held.
func (o *outbox) grow(w *worker, by int) {
	was := o.bytes > muchWaiting
	o.bytes += by
	if is := o.bytes > muchWaiting; is != was {
		if is {
			w.s.relay.congested.Add(1)
		} else {
			w.s.relay.congested.Add(-1)
		}
	}
}

// pour sends what waits. A goroutine of its own, as long as there is something.
func (o *outbox) pour(w *worker) {
	pause, since := offerAgain, time.Now()
	for {
		o.mu.Lock()
		if len(o.waiting) == 0 || o.closed {
			o.end(w)
			o.mu.Unlock()
			return
		}
		next, bytes := o.waiting[0], o.bytes
		o.mu.Unlock()
		err := next.offer(w.channel)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) {
			if time.Since(since) > stuckAfter && bytes > stuckWaiting {
				w.s.post(func() { w.kill("takes no events") })
				o.close()
				continue
			}
			time.Sleep(pause)
			pause = min(2*pause, offerLate)
			continue
		}
		if err != nil { // it has gone, and hungUp is called
			o.close()
			continue
		}
		pause, since = offerAgain, time.Now()
		o.mu.Lock()
		if len(o.waiting) > 0 {
			o.waiting[0] = parcel{}
			if o.waiting = o.waiting[1:]; len(o.waiting) == 0 {
				o.waiting = nil
			}
		}
		o.grow(w, -len(next.text))
		o.mu.Unlock()
		next.drop()
	}
}

// end is called when nothing is sent any more. The mutex is held.
func (o *outbox) end(w *worker) {
	for _, p := range o.waiting {
		p.drop()
	}
	o.waiting, o.pouring = nil, false
	o.grow(w, -o.bytes)
	if o.emptied != nil {
		go o.emptied()
		o.emptied = nil
	}
}

// close gives up what waits.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

// waits says whether anything does.
func (o *outbox) waits() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pouring
}

// whenEmpty calls f, on a goroutine of its own, when nothing waits any more, if
// something does.
func (o *outbox) whenEmpty(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pouring {
		o.emptied = f
	}
}

func (p *parcel) offer(c *Channel) error {
	var rights []byte
	if p.file != nil {
		fd, err := descriptor(p.file)
		if err != nil {
			return err
		}
		rights = unix.UnixRights(fd)
	}
	return c.offer(p.text, rights)
}

func (p *parcel) drop() {
	if p.file != nil {
		p.file.Close()
	}
}
