package accesslog

import (
	"bytes"
	"fmt"
	"time"
)

// reportEvery keeps a disk in trouble from filling another log.
const reportEvery = 10 * time.Second

// writer is the goroutine that hands lines to the kernel.
type writer struct {
	log      *Log
	out      *sink
	pending  []byte // a buffer of whole lines
	written  int    // bytes of pending that are in the file
	failing  bool   // the last write failed; it is tried again
	reported time.Time
	told     int64 // dropped lines that were reported
}

func (w *writer) run(interval time.Duration) {
	l := w.log
	timer := time.NewTimer(interval)
	timer.Stop()
	defer close(l.done)
	for {
		if !w.failing {
			// Sleep, without a timer, until there is something to write.
			select {
			case <-l.begun:
			case <-l.urgent:
				notify(l.urgent)
			}
		}
		timer.Reset(interval)
		select {
		case <-l.urgent:
		case <-timer.C:
		}
		if closed := w.flush(); closed {
			w.out.close()
			if lines := countLines(w.pending[w.written:]) + countLines(l.filling); lines > 0 {
				l.lost = fmt.Errorf("access log: %s: %d lines not written", l.path, lines)
			}
			return // nothing uses l.filling after Close
		}
	}
}

func countLines(b []byte) int { return bytes.Count(b, []byte{'\n'}) }

// flush writes what there is and tells whether the log was closed before.
func (w *writer) flush() (closed bool) {
	l := w.log
	for {
		l.mu.Lock()
		closed = l.closed
		if next := l.reopened; next != nil {
			l.reopened = nil
			w.out.close()
			w.out = next
			// A line of which a part went to the old file goes whole to the
			// new one.
			w.written = bytes.LastIndexByte(w.pending[:w.written], '\n') + 1
		}
		if w.written == len(w.pending) {
			used := w.pending[:0]
			if cap(used) > keepMax {
				used = nil
			}
			w.pending, l.filling, w.written = l.filling, used, 0
		}
		dropped := l.dropped
		l.mu.Unlock()

		if len(w.pending) == 0 {
			w.tell(dropped, nil)
			return closed
		}
		n, err := w.out.write(w.pending[w.written:])
		w.written += n
		w.failing = err != nil
		w.tell(dropped, err)
		if err != nil {
			return closed
		}
	}
}

// tell reports failures and losses, not too often.
func (w *writer) tell(dropped int64, err error) {
	if err == nil && dropped == w.told {
		return
	}
	now := time.Now()
	if !w.reported.IsZero() && now.Sub(w.reported) < reportEvery {
		return
	}
	w.reported = now
	lost := dropped - w.told
	w.told = dropped
	switch {
	case err != nil && lost > 0:
		w.log.report("%v; %d lines lost", err, lost)
	case err != nil:
		w.log.report("%v; lines are kept in memory while there is room", err)
	default:
		w.log.report("the disk does not keep up, %d lines lost", lost)
	}
}
