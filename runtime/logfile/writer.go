package logfile

import (
	"bytes"
	"fmt"
	"time"
)

// reportEvery keeps a slow disk from filling another log.
const reportEvery = 10 * time.Second

// writer is the goroutine that hands lines to the kernel.
type writer struct {
	file     *File
	out      *sink
	pending  []byte // a buffer of lines
	written  int    // bytes of pending that are in the file
	total    int64  // bytes that are in the file, of all buffers
	failing  bool   // the last write failed; it is tried again
	reported time.Time
	told     int64 // dropped lines that were reported
}

func (w *writer) run() {
	f := w.file
	timer := time.NewTimer(f.o.Flush)
	timer.Stop()
	defer close(f.done)
	for {
		if !w.failing {
			// Sleep, without a timer, until there is something to write.
			select {
			case <-f.begun:
			case <-f.urgent:
				notify(f.urgent)
			}
		}
		timer.Reset(f.o.Flush)
		select {
		case <-f.urgent:
		case <-timer.C:
		}
		if f.reopen.Swap(false) {
			w.out.look()
		}
		began, before := time.Now(), w.total
		closed := w.flush()
		if f.o.Written != nil && w.total > before && !w.failing {
			f.o.Written(began)
		}
		if closed {
			w.out.close()
			f.mu.Lock()
			lines := f.dropped - w.told
			f.mu.Unlock()
			lines += int64(countLines(w.pending[w.written:]) + countLines(f.filling))
			if lines > 0 {
				f.lost = fmt.Errorf("%s: %s: %d lines not written", f.o.Name, f.o.Path, lines)
			}
			return // nothing uses f.filling after Close
		}
	}
}

// countLines counts a line without its end, too.
func countLines(b []byte) int {
	n := bytes.Count(b, []byte{'\n'})
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}

// flush writes the buffered lines and reports whether the file was closed before.
func (w *writer) flush() (closed bool) {
	f := w.file
	for {
		f.mu.Lock()
		closed = f.closed
		if w.written == len(w.pending) {
			used := w.pending[:0]
			if cap(used) > keepMax || used == nil {
				used = make([]byte, 0, f.o.Buffer+f.o.Buffer/4)
			}
			w.pending, f.filling, w.written = f.filling, used, 0
		}
		dropped := f.dropped
		f.mu.Unlock()

		if len(w.pending) == 0 {
			w.tell(dropped, nil)
			return closed
		}
		n, err := w.out.write(w.pending[w.written:])
		w.written += n
		w.total += int64(n)
		w.tell(dropped, err)
		if err != nil {
			return closed
		}
	}
}

// tell reports a failure when it begins and when it ends, and losses, not too
// often.
func (w *writer) tell(dropped int64, err error) {
	if err != nil {
		if !w.failing {
			w.failing = true
			w.file.o.report("%v; keeping lines in memory while possible", err)
		}
		return
	}
	lost := dropped - w.told
	if w.failing {
		w.failing, w.told = false, dropped
		w.file.o.report("can be written again, %d lines were lost", lost)
		return
	}
	if now := time.Now(); lost > 0 && now.Sub(w.reported) >= reportEvery {
		w.reported, w.told = now, dropped
		w.file.o.report("the disk does not keep up, %d lines lost", lost)
	}
}
