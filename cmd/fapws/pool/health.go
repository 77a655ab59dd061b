package pool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
)

// checkEvery is how often serving workers are asked whether they can answer requests, and their memory is looked at.
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
//
// It is urgent if much waits for a worker, which holds up the others, or the next program waits for that. Then any worker has to read, also
// one that is stopped or computes, and more than a message now and then.
type health struct {
	asked  bool // a Check is not answered yet
	most   int  // the result of the last look
	looks  int  // how many in a row have returned that
	sent   int  // bytes that were sent before the last look
	unread int  // bytes that were not read then
}

func (p *Pool) checkWorkers() {
	for _, w := range p.workers {
		w.check()
		if w.state == Serving && p.o.MaxRSS > 0 {
			if rss := confine.ResidentMemory(w.pid); rss > p.o.MaxRSS {
				p.recycle(w, fmt.Sprintf("%d MiB of memory exceed max-rss", rss>>20))
			}
		}
	}
}

// check kills a worker that does not read its messages, and asks one that serves whether it can answer requests.
func (w *worker) check() {
	h := &w.health
	most, why := w.look()
	if most != h.most {
		h.most, h.looks = most, 0
	}
	if h.looks++; h.looks == most {
		w.kill(why)
	}
	if !h.asked && w.answers() {
		h.asked = true
		w.send(&Message{Kind: Check})
	}
}

// answers reports whether w must answer requests.
func (w *worker) answers() bool { return w.state == Serving || w.servesEarly() }

// look returns how many looks in a row may find w as it is, and why it is killed then; 0: any number, because it reads, or may be computing, or
// waiting for the processor or a debugger.
func (w *worker) look() (most int, why string) {
	queued, enough := w.out.bytes.Load(), 1
	urgent := queued > urgentWaiting || w.pool.handing && queued > 0
	if urgent {
		enough = leastIntake
	}
	switch {
	case w.hasRead(enough) || !w.health.asked && !urgent:
		return 0, ""
	case inStates(w.pid, "S") || urgent && inStates(w.pid, "STt"):
		return silentChecks, "does not read messages"
	case urgent:
		return stoppedChecks, "does not read messages"
	case inStates(w.pid, "T"): // a debugger's are t
		return stoppedChecks, fmt.Sprintf("was stopped by a signal for %v", stoppedChecks*checkEvery)
	}
	return 0, ""
}

// checked is called when the worker has answered; why is empty if all is well.
func (w *worker) checked(why string) {
	w.health.asked, w.health.most = false, 0
	if why != "" && w.answers() {
		w.kill(fmt.Sprintf("cannot answer requests (%s)", why))
	}
}

// hasRead reports whether the worker may have read enough bytes since the last call, or has read all.
func (w *worker) hasRead(enough int) bool {
	h := &w.health
	sent := int(w.out.sent.Load()) // first: a message that is sent meanwhile looks like one that was read, not the other way round
	unread := w.channel.unread()
	was := h.unread + sent - h.sent // at least, if none was read: the kernel counts more than the bytes of a message
	h.sent, h.unread = sent, unread
	return unread == 0 || unread+enough <= was
}

// unread returns the memory of the messages that the other side has not read yet, in bytes.
func (c *Channel) unread() (bytes int) {
	if fd, err := descriptor(c); err == nil {
		bytes, _ = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	}
	return bytes
}

// inStates reports whether all threads of a process are in one of the states, which are letters of proc(5). Threads that are stopped (T) or
// traced (t), and those that want the processor or wait for a disk, do not sleep (S).
func inStates(pid int, states string) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is a good one
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		_, rest, _ := bytes.Cut(text, []byte(") ")) // the name may have spaces
		if len(rest) == 0 || !strings.ContainsRune(states, rune(rest[0])) {
			return false
		}
	}
	return len(threads) > 0
}
