package logfile

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Faults logs faults of the server, such as panics, at most once in a second for each place in the code, because a
// client may be able to cause a fault with each request. The zero value is ready. Faults is safe for concurrent use.
type Faults struct {
	mu   sync.Mutex
	last map[place]time.Time
}

// A place is the three innermost calls of a fault. The caller of a helper function distinguishes its faults.
type place [3]uintptr

// Log calls log with a line about fault that contains the stack of the goroutine, unless the same place has had a line
// in the last second. fault is the result of recover, in which case Log must be called before the deferred function
// returns, or any other value.
func (f *Faults) Log(fault any, log func(line string)) {
	at, now := placeOfFault(), time.Now()
	f.mu.Lock()
	again := now.Sub(f.last[at]) < time.Second
	if !again {
		if f.last == nil {
			f.last = map[place]time.Time{}
		}
		f.last[at] = now
	}
	f.mu.Unlock()
	if !again {
		log(fmt.Sprintf("%v in %s", fault, debug.Stack()))
	}
}

// placeOfFault returns the calls that led to the innermost panic or, if there is no panic, to the call of Faults.Log.
func placeOfFault() (fault place) {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	n := 0
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			fault, n = place{}, 0
		case n < len(fault) && !strings.HasPrefix(frame.Function, "runtime."):
			fault[n] = frame.PC
			n++
		}
	}
	return fault
}
