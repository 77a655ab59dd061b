package pool

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
)

const (
	muchWaiting = 4 << 20 // if more than this number of bytes are queued for a worker, publishers wait

	// If more than urgentWaiting bytes are queued for a worker, health checks are urgent: the worker is killed unless
	// it reads soon.
	urgentWaiting = 1 << 20

	// pause before a datagram is sent again after the error ENOBUFS
	offerAgain = 20 * time.Millisecond
)

type datagram struct {
	text []byte
	// attached descriptors, which are closed after the datagram was sent or dropped
	fds []int
}

// outbox queues datagrams for a worker, so that a sender need not wait until the worker reads.
type outbox struct {
	channel   *Channel
	congested *atomic.Int32 // number of outboxes in which more than muchWaiting bytes are queued
	queue     *eventloop.Queue[datagram]
	bytes     atomic.Int64
	sent      atomic.Int64 // number of bytes sent to the worker since the worker started
	closed    atomic.Bool
}

// add queues the datagrams of a message. The descriptors fds belong to the last datagram. If more than maxUnread bytes
// are queued because the worker does not read, add closes o and returns false.
func (o *outbox) add(texts [][]byte, fds ...int) bool {
	all := make([]datagram, len(texts))
	for i, text := range texts {
		all[i].text = text
		o.queued(len(text))
	}
	all[len(all)-1].fds = fds
	full := o.bytes.Load() > maxUnread && !o.closed.Swap(true)
	o.queue.Add(all...)
	return !full
}

func (o *outbox) queued(change int) {
	is := o.bytes.Add(int64(change))
	switch was := is - int64(change); {
	case was <= muchWaiting && is > muchWaiting:
		o.congested.Add(1)
	case was > muchWaiting && is <= muchWaiting:
		o.congested.Add(-1)
	}
}

// deliver sends datagrams, or drops them if the outbox is closed, on the goroutine of the outbox.
func (o *outbox) deliver(datagrams []datagram) {
	for i, d := range datagrams {
		for sent := false; !sent && !o.closed.Load(); {
			var rights []byte
			if len(d.fds) > 0 {
				rights = unix.UnixRights(d.fds...)
			}
			err := o.channel.write(time.Time{}, [][]byte{d.text}, rights)
			switch {
			case err == nil:
				sent = true
				o.sent.Add(int64(len(d.text)))
			case errors.Is(err, unix.ENOBUFS):
				time.Sleep(offerAgain)
			// The worker has died, and the function channelClosed replaces it.
			default:
				o.closed.Store(true)
			}
		}
		o.queued(-len(d.text))
		closeDescriptors(d.fds)
		datagrams[i] = datagram{}
	}
}

func closeDescriptors(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
