package pool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A LoadClock measures how long a process has waited, in total, while it loads an application: the time in which the
// process and its descendants sleep. An application that computes, waits for a disk, or waits for a migration in a
// child process may load for as long as it needs.
type LoadClock struct {
	Pid    int
	used   int
	waited time.Duration
}

// ClockTick is the interval at which LoadClock.Tick must be called.
const ClockTick = time.Second

// leastUse is the processor time that a process must use between two calls of Tick to count as computing, in hundredths
// of a second (USER_HZ, proc(5)). A process that only waits also uses some, for its timers.
const leastUse = 2

// Tick looks at the process, and returns how long it has waited.
func (c *LoadClock) Tick() (waited time.Duration) {
	used, asleep := 0, true
	for _, pid := range family(c.Pid) {
		ticks, busy := activity(pid)
		if pid == os.Getpid() && busy == 1 { // the thread that executes Tick
			busy = 0
		}
		used += ticks
		asleep = asleep && busy == 0
	}
	if asleep && used-c.used < leastUse {
		c.waited += ClockTick
	}
	c.used = used
	return c.waited
}

// family returns the process IDs of a process and its descendants.
func family(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i])) // the pattern is valid
		for _, name := range lists {
			text, _ := os.ReadFile(name) // an error means that the thread has ended
			for _, field := range bytes.Fields(text) {
				if child, err := strconv.Atoi(string(field)); err == nil && !slices.Contains(all, child) {
					all = append(all, child)
				}
			}
		}
	}
	return all
}

// activity returns the processor time that a process and its reaped children have used, in hundredths of a second, and
// the number of its threads that do not sleep. busy is 1 if the process cannot be examined.
func activity(pid int) (ticks, busy int) {
	fields := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is valid
	if len(fields) < 15 || len(threads) == 0 {
		return 0, 1
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.Atoi(string(field))
		ticks += n
	}
	for _, name := range threads {
		if own := statFields(name); own != nil && own[0][0] != 'S' {
			busy++
		}
	}
	return ticks, busy
}

// checkLoad ends w if w has waited too long while it loads. Time counts only while another worker serves, and only
// until w has loaded the application: the startup of its lifespan may wait.
func (w *worker) checkLoad() {
	p := w.pool
	if w.State != Starting || w.Belief != unsettled || w.Role == PageOnly || w.why != "" || !p.serves() {
		return
	}
	if w.loads.Pid = w.Pid; w.loads.Tick() < p.o.LoadTimeout {
		return
	}
	w.why = TooSlow(p.o.LoadTimeout)
	w.signal(unix.SIGTERM)
	w.within(endMargin, w.why)
}

// TooSlow returns why a process is ended that has waited for the time limit while it loads.
func TooSlow(limit time.Duration) string {
	return fmt.Sprintf("waited for %v while loading, without using the processor (--load-timeout)", limit)
}

// serves reports whether a worker answers requests for the application.
func (p *Pool) serves() bool {
	for _, w := range p.workers {
		if w.serves() && w.Role != PageOnly {
			return true
		}
	}
	return false
}
