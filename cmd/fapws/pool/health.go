package pool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// checkEvery is the interval between health checks of serving workers, which also measure their memory. A worker is
// killed if it sleeps and reads no message for silentChecks checks, or was stopped by a signal for stoppedChecks
// checks.
const (
	checkEvery    = time.Second
	silentChecks  = 3
	stoppedChecks = 10
)

// health records whether a worker responds.
//
// A missing answer to a Check proves nothing: a debugger may have stopped the worker, or the machine may be slow. A
// busy event loop proves nothing either, because inline handlers may take their time. A worker is broken if it reports
// that its own descriptors are broken (runtime.Server.Intact), or if all of its threads sleep while it reads none of
// its messages, or if a signal stopped it. Ctrl-Z in a terminal also stops the supervisor, which then counts no checks.
//
// Unread messages at every check prove nothing: they may be different messages each time, and a worker on a busy
// machine may have read them before its threads are examined. So a worker must have read none of its messages.
//
// A check is urgent if many bytes wait for a worker, which delays other workers, or if the next program waits for the
// worker. In this case the worker must read at least leastIntake bytes between two checks, even if it is stopped or
// computing.
type health struct {
	asked  bool
	most   int // result of the last call of look
	looks  int
	sent   int
	unread int // bytes that were unread at the last call of look
}

// check kills a worker that does not read its messages.
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

func (w *worker) answers() bool { return w.state == Serving || w.servesEarly() }

// look examines w. look returns the number of consecutive checks with this result after which w is killed, and the
// reason. 0 means never: w reads messages, or may be computing or waiting for the processor or a debugger.
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
	case inStates(w.pid, "T"): // under a debugger, the state is t
		return stoppedChecks, fmt.Sprintf("was stopped by a signal for %v", stoppedChecks*checkEvery)
	}
	return 0, ""
}

// checked handles the answer of a worker to a check. The parameter why is "" if the worker can serve.
func (w *worker) checked(why string) {
	w.health.asked, w.health.most = false, 0
	if why != "" && w.answers() {
		w.kill(fmt.Sprintf("cannot answer requests (%s)", why))
	}
}

// hasRead reports whether the worker may have read enough bytes since the last call, or has read all.
func (w *worker) hasRead(enough int) bool {
	h := &w.health
	// Load sent first: a message that is sent between both calls then counts as read, but a read message never counts
	// as unread.
	sent := int(w.out.sent.Load())
	unread := w.channel.unread()
	// was is the minimum of unread if nothing was read, because the kernel also counts its own overhead of each
	// message.
	was := h.unread + sent - h.sent
	h.sent, h.unread = sent, unread
	return unread == 0 || unread+enough <= was
}

// unread returns the kernel memory of the unread messages, in bytes.
func (c *Channel) unread() (bytes int) {
	if fd, err := descriptor(c); err == nil {
		bytes, _ = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	}
	return bytes
}

// inStates reports whether all threads of a process are in one of the states, which are letters of proc(5). S means
// sleeping. Stopped threads (T), traced threads (t) and threads that wait for the processor or a disk do not count as
// sleeping.
func inStates(pid int, states string) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is valid
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		_, rest, _ := bytes.Cut(text, []byte(") "))
		if len(rest) == 0 || !strings.ContainsRune(states, rune(rest[0])) {
			return false
		}
	}
	return len(threads) > 0
}
