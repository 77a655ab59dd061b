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
type health struct {
	asked   bool // a Check is not answered yet
	silent  int  // how many times in a row the worker was found asleep over it
	stopped int  // and how many times stopped
	sent    int  // bytes that were sent before the last look
	unread  int  // bytes that were not read then
}

func (p *Pool) checkWorkers() {
	for _, w := range p.workers {
		if w.state != Serving {
			continue
		}
		w.check()
		if p.o.MaxRSS > 0 {
			p.lookAtMemory(w)
		}
	}
}

func (w *worker) check() {
	switch {
	case !w.health.asked:
		w.health.asked = true
		w.hasRead()
		w.send(&Message{Kind: Check})
	case !w.hasRead() && inStates(w.pid, "S"):
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

// lookAtMemory replaces a worker that has more than MaxRSS.
func (p *Pool) lookAtMemory(w *worker) {
	if rss := confine.ResidentMemory(w.pid); rss > p.o.MaxRSS {
		p.recycle(w, fmt.Sprintf("%d MiB of memory exceed max-rss", rss>>20))
	}
}

const (
	// stuckAfter is the CPU time that a worker may use without reading a message, and the time that it may stay without any.
	stuckAfter = 2 * time.Second

	// stallChecks is the number of looks at a worker in that time.
	stallChecks = 8
)

// stall tells a worker that is stuck from one that gets no CPU on a busy machine. The zero value is a stall that
// begins now.
type stall struct {
	used time.Duration // the worker's CPU time at the beginning
	idle int           // looks in a row at which no thread wanted a CPU
	next time.Time     // the time of the next look; zero: it has just begun
}

// isStuck reports whether the process should have read a message since the first call.
func (s *stall) isStuck(pid int, now time.Time) bool {
	if now.Before(s.next) {
		return false
	}
	used, known := cpuTime(pid)
	first := s.next.IsZero()
	s.next = now.Add(stuckAfter / stallChecks)
	if first {
		s.used = used
		return false
	}
	s.idle++
	if known && !inStates(pid, "STt") {
		s.idle = 0
	}
	return s.idle >= stallChecks || used-s.used >= stuckAfter
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

// cpuTime returns the CPU time that the process has used. known is false on systems without Linux's /proc.
func cpuTime(pid int) (used time.Duration, known bool) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := bytes.Fields(rest)
	if len(fields) < 13 {
		return 0, false
	}
	var user, system int64 // in ticks of 10 ms
	fmt.Sscan(string(fields[11]), &user)
	fmt.Sscan(string(fields[12]), &system)
	return time.Duration(user+system) * 10 * time.Millisecond, true
}
