package pool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// checkEvery is the interval between checks of the health and the memory of each serving worker. A worker is killed if
// silentChecks consecutive checks find that it sleeps and reads no message, or if stoppedChecks consecutive checks find
// that a signal has stopped it.
const (
	checkEvery    = ClockTick
	silentChecks  = 3
	stoppedChecks = 10
)

// health records whether a worker responds.
//
// A missing reply to a Check does not prove that a worker is broken: a debugger may have stopped the worker, or the
// machine may be slow. A worker is broken in three cases: it reports that its own descriptors are broken
// (runtime.Server.Intact), all of its threads sleep while it reads none of its messages, or a signal has stopped it.
// Ctrl-Z in a terminal stops the workers and the supervisor together; the supervisor then counts no checks.
//
// Unread messages at every check do not prove that a worker is broken, because they may be new messages each time. A
// worker is killed only if it has read none of its messages between two checks.
//
// A check is urgent if so many bytes are queued for a worker that publishers are soon delayed, or if an upgrade waits
// for the worker. Between two urgent checks, the worker must read at least leastIntake bytes, even if it is stopped or
// computing.
type health struct {
	asked  bool
	most   int
	looks  int
	sent   int
	unread int
}

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

// look examines w for one check and returns the reason why w seems broken. w is killed after most consecutive checks
// with the same most. most is 0 if w seems healthy: w reads messages, or may be computing, waiting for the processor,
// or stopped by a debugger.
func (w *worker) look() (most int, reason string) {
	queued, enough := w.out.bytes.Load(), 1
	urgent := queued > urgentWaiting || w.pool.handing && queued > 0
	if urgent {
		enough = leastIntake
	}
	switch {
	case w.hasRead(enough) || !w.health.asked && !urgent:
		return 0, ""
	case inStates(w.Pid, "S") || urgent && inStates(w.Pid, "STt"):
		return silentChecks, "does not read messages"
	case urgent:
		return stoppedChecks, "does not read messages"
	case inStates(w.Pid, "T"): // under a debugger, the state is t
		return stoppedChecks, fmt.Sprintf("was stopped by a signal for %v", stoppedChecks*checkEvery)
	}
	return 0, ""
}

// checked handles a worker's reply to a Check. reason says why the worker cannot serve requests, or "" if it can.
func (w *worker) checked(reason string) {
	w.health.asked, w.health.most = false, 0
	if reason != "" && w.answers() {
		w.kill(fmt.Sprintf("cannot answer requests (%s)", reason))
	}
}

// hasRead reports whether the worker may have read enough bytes since the last call, or has no unread messages.
func (w *worker) hasRead(enough int) bool {
	h := &w.health
	// A message that is sent between the two reads below is counted in unread, but not in sent. This call then
	// underestimates the bytes that the worker has read, and the next call overestimates them by as much.
	sent := int(w.out.sent.Load())
	unread := w.channel.unread()
	// Compute how many bytes would be unread if the worker had read nothing since the last call. The kernel's number in
	// unread can be even larger, because the kernel also counts its overhead for each message.
	was := h.unread + sent - h.sent
	h.sent, h.unread = sent, unread
	return unread == 0 || unread+enough <= was
}

func (c *Channel) unread() (bytes int) {
	if fd, err := descriptor(c); err == nil {
		bytes, _ = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	}
	return bytes
}

// inStates reports whether every thread of a process is in one of the states, which are the letters defined in proc(5).
// The letter S, for sleeping threads, does not include threads that are stopped (T), traced (t), or waiting for the
// processor or a disk.
func inStates(pid int, states string) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is valid
	for _, name := range threads {
		if fields := statFields(name); fields != nil && !strings.Contains(states, string(fields[0])) {
			return false
		}
	}
	return len(threads) > 0
}

// statFields returns the fields of a file stat in /proc from the state on (proc(5)), or nil if the thread has ended.
func statFields(name string) [][]byte {
	text, _ := os.ReadFile(name)
	// The name of a thread (--name) is in parentheses and may itself contain parentheses.
	if fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]); len(fields) > 0 {
		return fields
	}
	return nil
}
