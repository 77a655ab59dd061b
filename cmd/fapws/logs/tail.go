package logs

import (
	"sync"
	"time"
)

// tailLines is how many lines a Tail has.
const tailLines = 100

// Tail has the last lines of a Logger. Its zero value has none. It is safe for concurrent use.
type Tail struct {
	mu    sync.Mutex
	lines []TailLine // as a ring, once there are tailLines
	next  int
}

// TailLine is a line without its end.
type TailLine struct {
	At   time.Time
	Text string
}

func (t *Tail) add(at time.Time, line []byte) {
	one := TailLine{at, string(line[:len(line)-1])}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) < tailLines {
		t.lines = append(t.lines, one)
		return
	}
	t.lines[t.next] = one
	t.next = (t.next + 1) % tailLines
}

// Lines returns the lines, the oldest first.
func (t *Tail) Lines() []TailLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(append([]TailLine(nil), t.lines[t.next:]...), t.lines[:t.next]...)
}

// Keep has t get the lines from now on, without those for debugging.
func (l *Logger) Keep(t *Tail) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = t
}
