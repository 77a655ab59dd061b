package pool

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
)

// checkEvery is how often serving workers are asked whether they can answer requests.
// A broken one is killed after that time, or after silentChecks more, and one that was stopped after stoppedChecks.
const (
	checkEvery    = time.Second
	silentChecks  = 3
	stoppedChecks = 10
)

// health is the supervisor's knowledge of a worker's ability to answer.
//
// No answer to a Check proves nothing: a debugger may have stopped the worker, or the machine be slow. Nor does a
// loop that is busy, since inline handlers may take their time. It counts if the worker finds its own descriptors
// broken (runtime.Server.Intact), or if all of its threads sleep over messages of which it reads none, or were stopped by a
// signal. Ctrl-Z in a terminal stops the supervisor, too, which then counts no time.
//
// A message that is unread at each look proves nothing either: it may be another one each time, and a worker on a busy
// machine may have read it by the time that its threads are looked at. So all of them must be unread.
type health struct {
	asked   bool // a Check is not answered yet
	silent  int  // how many times in a row the worker was found asleep over it
	stopped int  // and how many times stopped
	sent    int  // bytes that were sent before the last look
	unread  int  // bytes that were not read then
}

func (p *Pool) checkWorkers() {
	for _, w := range p.workers {
		if w.state == Serving {
			w.check()
		}
	}
}

func (w *worker) check() {
	switch {
	case !w.health.asked:
		w.health.asked = true
		w.hasRead()
		w.send(&Message{Kind: Check})
	case !w.hasRead() && asleep(w.pid):
		if w.health.silent++; w.health.silent == silentChecks {
			w.kill("does not read its control channel")
		}
	case inStates(w.pid, "T"): // a debugger's are t
		if w.health.stopped++; w.health.stopped == stoppedChecks {
			w.kill(fmt.Sprintf("was stopped by a signal for %v", stoppedChecks*checkEvery))
		}
	default:
		w.health.silent, w.health.stopped = 0, 0
	}
}

// checked is called when the worker has answered; why is empty if all is well.
func (w *worker) checked(why string) {
	w.health = health{}
	if why != "" && w.state == Serving {
		w.kill(fmt.Sprintf("cannot answer requests (%s)", why))
	}
}

// hasRead reports whether the worker may have read a message since the last call, or has read all.
func (w *worker) hasRead() bool {
	h := &w.health
	sent := w.out.sentBytes() // first: a message that is sent meanwhile looks like one that was read, not the other way round
	unread := w.channel.unread()
	was := h.unread + sent - h.sent // at least, if none was read: the kernel counts more than the bytes of a message
	h.sent, h.unread = sent, unread
	return unread == 0 || unread < was
}

// unread returns the memory of the messages that the other side has not read yet, in bytes.
func (c *Channel) unread() (bytes int) {
	rc, err := c.conn.SyscallConn()
	if err != nil {
		return 0
	}
	err = rc.Control(func(fd uintptr) { bytes, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	if err != nil {
		return 0
	}
	return bytes
}

// memoryEvery is how often the memory of workers is looked at.
const memoryEvery = 2 * time.Second

// lookAtMemory replaces workers that have more than MaxRSS.
func (p *Pool) lookAtMemory() {
	for _, s := range p.slots {
		if s.worker == nil {
			continue
		}
		if rss := confine.ResidentMemory(s.worker.pid); rss > p.o.MaxRSS {
			p.recycle(s.worker, fmt.Sprintf("%d MiB of memory exceed max-rss", rss>>20))
		}
	}
}
