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
	muchWaiting = 4 << 20

	// urgentWaiting is the number of queued bytes above which a worker must read soon.
	urgentWaiting = 1 << 20

	// after ENOBUFS
	offerAgain = 20 * time.Millisecond
)

type datagram struct {
	text []byte
	fds  []int // closed after the datagram was sent or dropped
}

// Senders do not wait for an outbox.
type outbox struct {
	queue  *eventloop.Queue[datagram]
	bytes  atomic.Int64
	sent   atomic.Int64
	closed atomic.Bool
}

// send queues m for w with duplicates of the descriptors of files, which stay open. It is safe for concurrent use.
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

// The last datagram owns fds.
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

func (w *worker) queued(by int) {
	is := w.out.bytes.Add(int64(by))
	switch was := is - int64(by); {
	case was <= muchWaiting && is > muchWaiting:
		w.pool.relay.congested.Add(1)
	case was > muchWaiting && is <= muchWaiting:
		w.pool.relay.congested.Add(-1)
	}
}

// deliver sends datagrams on the goroutine of the queue, or drops them if the outbox is closed.
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
			default: // the worker has died; channelClosed follows
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
