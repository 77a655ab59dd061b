// Package accesslog writes one line per request, in Apache's combined format
// with the duration in microseconds at the end, without ever making the
// caller wait for a disk.
package accesslog

import (
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	flushEvery = time.Second // a line waits no longer than this
	flushAt    = 32 << 10    // nor for more bytes than these
	bufferMax  = 4 << 20     // lines beyond this are dropped
	keepMax    = 1 << 20     // a buffer that grew larger is not kept

	closeWithin = 5 * time.Second
)

// Log is an access log. Its methods may be called from any goroutine.
//
// Append fills one buffer while a goroutine writes the other one. Each write
// is made of whole lines, and the file is opened for appending, so that
// several processes can share it.
type Log struct {
	// Report is told, in one line, of a log that cannot be written or that
	// loses lines. nil: standard error. Set it before the first Append.
	Report func(msg string)

	path string

	mu       sync.Mutex
	filling  []byte
	stamp    timestamp
	dropped  int64
	reopened *sink // takes the place of the writer's at its next write
	closed   bool

	begun  chan struct{} // the buffer is not empty any more
	urgent chan struct{} // write now
	done   chan struct{} // the writer has ended
	lost   error         // what the writer could not write, once done is closed
}

// Open opens a log for appending and creates it if need be (mode 0640). "-" is
// standard output.
func Open(path string) (*Log, error) { return openEvery(path, flushEvery) }

func openEvery(path string, interval time.Duration) (*Log, error) {
	out, err := openSink(path)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	l := &Log{
		path:   path,
		begun:  make(chan struct{}, 1),
		urgent: make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	go (&writer{log: l, out: out}).run(interval)
	return l, nil
}

// Append adds a line. It never waits for the disk and, once the buffers have
// their size, does not allocate: when the disk does not keep up, lines are
// dropped, counted and reported.
func (l *Log) Append(e *Entry) {
	l.mu.Lock()
	before := len(l.filling)
	if l.closed || before+e.maxLine() > bufferMax {
		l.dropped++
		l.mu.Unlock()
		return
	}
	l.filling = e.appendLine(l.filling, &l.stamp)
	after := len(l.filling)
	l.mu.Unlock()
	if before == 0 {
		notify(l.begun)
	}
	if before < flushAt && after >= flushAt {
		notify(l.urgent)
	}
}

// notify leaves a token in a channel of capacity one; one is enough.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Reopen opens the path anew, after the file was renamed (log rotation); the
// next write goes there. When it fails the log goes on with the old file.
func (l *Log) Reopen() error {
	out, err := openSink(l.path)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	l.mu.Lock()
	if l.closed {
		out.close()
	} else {
		if l.reopened != nil {
			l.reopened.close()
		}
		l.reopened = out
	}
	l.mu.Unlock()
	notify(l.urgent)
	return nil
}

// Dropped returns the number of lines that were lost so far because the disk
// did not keep up.
func (l *Log) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Close writes what is left and closes the file. It waits for a disk (or the
// reader of a pipe) a few seconds and not for ever; the error says what is
// lost.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	notify(l.urgent)
	giveUp := time.NewTimer(closeWithin)
	defer giveUp.Stop()
	select {
	case <-l.done:
		return l.lost
	case <-giveUp.C:
		return fmt.Errorf("access log: %s: still not written, given up", l.path)
	}
}

func (l *Log) report(format string, args ...any) {
	msg := fmt.Sprintf("access log: %s: "+format, append([]any{l.path}, args...)...)
	if l.Report != nil {
		l.Report(msg)
		return
	}
	fmt.Fprintln(os.Stderr, "fapws: "+msg)
}
