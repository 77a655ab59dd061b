package pool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

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

// asleep reports whether all threads of a process sleep. Threads that are stopped or traced, and those that
// want the processor or wait for a disk, do not.
func asleep(pid int) bool { return inStates(pid, "S") }

// isStopped reports whether all threads of a process are stopped, by a signal or a debugger.
func isStopped(pid int) bool { return inStates(pid, "Tt") }

// inStates reports whether all threads of a process are in one of the states, which are letters of proc(5).
func inStates(pid int, states string) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
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
	return true
}

// cpuTime returns the CPU time that the process has used. known is false on systems without Linux's /proc.
func cpuTime(pid int) (used time.Duration, known bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, found := bytes.Cut(text, []byte(") "))
	fields := bytes.Fields(rest)
	if err != nil || !found || len(fields) < 13 {
		return 0, false
	}
	var user, system int64 // in ticks of 10 ms
	fmt.Sscan(string(fields[11]), &user)
	fmt.Sscan(string(fields[12]), &system)
	return time.Duration(user+system) * 10 * time.Millisecond, true
}
