package pool

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"

	"golang.org/x/sys/unix"
)

const (
	// muchWaiting is the number of bytes in an outbox above which publishers wait.
	muchWaiting = 4 << 20

	// urgentWaiting is the number of queued bytes above which a worker has to read soon.
	urgentWaiting = 1 << 20

	// offerAgain is the pause after which the kernel may have memory again.
	offerAgain = 20 * time.Millisecond
)

// datagram is an encoded message, or a part of one.
type datagram struct {
	text []byte
	fds  []int // closed once it is sent or dropped
}

// outbox queues datagrams for a worker, so that the sender does not wait.
type outbox struct {
	queue  *eventloop.Queue[datagram]
	bytes  atomic.Int64 // in queue
	sent   atomic.Int64 // bytes that the worker could read, since the start
	closed atomic.Bool  // nothing is sent any more
}

// send queues m for w, with descriptors of files, which stay open. It is safe for concurrent use.
func (w *worker) send(m *Message, files ...*os.File) {
	var own []int
	for _, f := range files {
		fd, err := Duplicate(f)
		if err != nil {
			closeDescriptors(own)
			w.kill(fmt.Sprintf("cannot receive a descriptor (%v)", err))
			return
		}
		own = append(own, fd)
	}
	texts, err := m.encode()
	if err != nil {
		w.pool.o.Log(logfile.Error, err.Error())
		closeDescriptors(own)
		return
	}
	w.queue(texts, own...)
}

// queue queues the datagrams of a message. The last one takes the descriptors over.
func (w *worker) queue(texts [][]byte, fds ...int) {
	all := make([]datagram, len(texts))
	for i, text := range texts {
		all[i].text = text
		w.queued(len(text))
	}
	all[len(all)-1].fds = fds
	if w.out.bytes.Load() > maxUnread && !w.out.closed.Swap(true) {
		go w.pool.post(func() { w.kill("does not read messages") })
	}
	w.out.queue.Add(all...)
}

// queued adds to the number of queued bytes.
func (w *worker) queued(by int) {
	is := w.out.bytes.Add(int64(by))
	switch was := is - int64(by); {
	case was <= muchWaiting && is > muchWaiting:
		w.pool.relay.congested.Add(1)
	case was > muchWaiting && is <= muchWaiting:
		w.pool.relay.congested.Add(-1)
	}
}

// deliver sends datagrams, on the goroutine of the queue, or drops them.
func (w *worker) deliver(all []datagram) {
	for i, d := range all {
		for sent := false; !sent && !w.out.closed.Load(); {
			var rights []byte
			if len(d.fds) > 0 {
				rights = unix.UnixRights(d.fds...)
			}
			err := w.channel.write(time.Time{}, [][]byte{d.text}, rights)
			switch {
			case err == nil:
				sent = true
				w.out.sent.Add(int64(len(d.text)))
			case errors.Is(err, unix.ENOBUFS):
				time.Sleep(offerAgain)
			default: // the worker has died, and channelClosed is called
				w.out.closed.Store(true)
			}
		}
		w.queued(-len(d.text))
		closeDescriptors(d.fds)
		all[i] = datagram{}
	}
}

func closeDescriptors(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
