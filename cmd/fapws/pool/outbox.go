package pool

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

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
	text  []byte
	files []*os.File // closed once it is sent or dropped
}

// outbox queues datagrams for a worker, so that the sender does not wait. The zero value is empty. It is safe for
// concurrent use.
type outbox struct {
	mu       sync.Mutex
	waiting  []datagram
	bytes    int
	sent     int  // bytes that the worker could read, since the start
	draining bool // a goroutine sends
	closed   bool // nothing is sent any more
}

// send queues m for w, with descriptors of files, which stay open.
func (w *worker) send(m *Message, files ...*os.File) {
	var own []*os.File
	for _, f := range files {
		fd, err := Duplicate(f)
		if err != nil {
			CloseFiles(own)
			w.kill(fmt.Sprintf("cannot receive a descriptor (%v)", err))
			return
		}
		own = append(own, os.NewFile(uintptr(fd), f.Name()))
	}
	texts, err := m.encode()
	if err != nil {
		w.pool.o.Log(logfile.Error, err.Error())
	}
	w.out.add(w, texts, own...)
}

// add queues the datagrams of a message. The last one takes the files over.
func (o *outbox) add(w *worker, texts [][]byte, files ...*os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(texts) == 0 {
		CloseFiles(files)
		return
	}
	for _, text := range texts {
		o.waiting = append(o.waiting, datagram{text: text})
		o.grow(w, len(text))
	}
	o.waiting[len(o.waiting)-1].files = files
	if o.bytes > maxUnread {
		o.closed = true
		go w.pool.post(func() { w.kill("does not read messages") })
	}
	if !o.draining {
		o.draining = true
		go o.drain(w)
	}
}

// grow adds to the number of queued bytes. The mutex is held.
func (o *outbox) grow(w *worker, by int) {
	was := o.bytes > muchWaiting
	o.bytes += by
	if is := o.bytes > muchWaiting; is != was {
		if is {
			w.pool.relay.congested.Add(1)
		} else {
			w.pool.relay.congested.Add(-1)
		}
	}
}

// drain sends the queue on a separate goroutine, which ends when the queue is empty.
func (o *outbox) drain(w *worker) {
	for {
		o.mu.Lock()
		if len(o.waiting) == 0 || o.closed {
			o.end(w)
			o.mu.Unlock()
			return
		}
		next := o.waiting[0]
		o.mu.Unlock()
		rights, err := rightsOf(next.files)
		if err == nil {
			err = w.channel.write(time.Time{}, [][]byte{next.text}, rights)
		}
		if errors.Is(err, unix.ENOBUFS) {
			time.Sleep(offerAgain)
			continue
		}
		if err != nil { // the worker has died, and channelClosed is called
			o.close()
			continue
		}
		o.mu.Lock()
		o.waiting[0] = datagram{}
		if o.waiting = o.waiting[1:]; len(o.waiting) == 0 {
			o.waiting = nil
		}
		o.grow(w, -len(next.text))
		o.sent += len(next.text)
		o.mu.Unlock()
		next.drop()
	}
}

// end drops the queue and marks drain as ended. The mutex is held.
func (o *outbox) end(w *worker) {
	for _, d := range o.waiting {
		d.drop()
	}
	o.waiting, o.draining = nil, false
	o.grow(w, -o.bytes)
}

// sentBytes returns how many bytes of messages the worker could read so far.
func (o *outbox) sentBytes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent
}

// queued returns the number of bytes that have not been sent.
func (o *outbox) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// close makes drain drop the queue.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

func (d *datagram) drop() { CloseFiles(d.files) }
