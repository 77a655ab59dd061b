package logfile

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maximum size of the buffered lines, in bytes; lines beyond this limit are dropped
	memoryMax = 4 << 20
	keepMax   = 1 << 20 // maximum size of a buffer that is kept for reuse, in bytes

	closeWithin = 5 * time.Second
)

// Options determine where and how lines are written; all fields except Path may be zero.
type Options struct {
	// Path is the absolute path of the file, which is created if necessary (mode 0640). "-" means standard output. Only
	// regular files are rotated.
	Path string

	// Name is the prefix of error messages, such as "access log".
	Name string

	// MaxSize limits the size of a file in bytes: the file is rotated before a line that would exceed the limit. Only a
	// file with a single line can be larger. 0 means no limit.
	MaxSize int64

	// Every is the schedule for rotations that do not depend on the size.
	Every Schedule

	// Keep is the number of rotated files that are kept in compressed form, of which Path.1.gz is the newest; 0 means
	// none.
	Keep int

	// Plain must be set if other users may write to the directory that contains the file. Path must then lead to a
	// regular file, and the last element of Path must not be a symbolic link, so that these users cannot choose which
	// file is written or read.
	Plain bool

	// The buffered lines are written when they have Buffer bytes (0 means 32 KiB), or when a line has waited for the
	// time Flush (0 means one second).
	Buffer int
	Flush  time.Duration

	// Written, if not nil, is called on the writer's goroutine after buffered lines were written. now is the time when
	// this write began; a log rotation that was due at this time is complete. Lines that were added after this time may
	// still be waiting (Waits).
	Written func(now time.Time)

	// Report is called with an error message of one line if a log cannot be written or rotated, or if lines were
	// dropped. Report is called on any goroutine. If Report is nil, the messages are written to standard error, as JSON
	// objects if Look is Object.
	Report func(msg string)
	Look   Look
}

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, "log")
	o.Buffer = cmp.Or(o.Buffer, 32<<10)
	o.Flush = cmp.Or(o.Flush, time.Second)
	if o.Report == nil {
		look := o.Look
		o.Report = func(msg string) {
			line := []byte("fapws: " + msg + "\n")
			if look == Object {
				line = look.Append(nil, &Message{Time: time.Now(), Level: Error, Text: msg})
			}
			os.Stderr.Write(line)
		}
	}
	return o
}

func (o *Options) report(format string, args ...any) {
	o.Report(fmt.Sprintf("%s: %s: "+format, append([]any{o.Name, o.Path}, args...)...))
}

func (o *Options) wrap(err error) error { return fmt.Errorf("%s: %w", o.Name, err) }

// File is an open log file. It is safe for concurrent use: callers fill one of two buffers while the writer's goroutine
// writes the other.
type File struct {
	o Options

	mu      sync.Mutex
	filling []byte
	dropped int64
	closed  bool

	reopen atomic.Bool

	timer  *time.Timer   // calls File.Flush when the oldest line has waited for Options.Flush
	urgent chan struct{} // makes the writer write now
	done   chan struct{}
	lost   error // valid after done is closed
}

// Open opens a file for appending, and compresses rotated files that an earlier process has left uncompressed.
func Open(o Options) (*File, error) {
	o = o.withDefaults()
	out, err := openSink(&o)
	if err != nil {
		return nil, o.wrap(err)
	}
	f := &File{
		o:       o,
		filling: make([]byte, 0, o.Buffer+o.Buffer/4),
		urgent:  make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	f.timer = time.AfterFunc(o.Flush, f.Flush)
	out.archive.start()
	go (&writer{file: f, out: out}).run()
	return f, nil
}

// Append calls add, which appends a line to the buffer and returns the extended buffer. The line must have a line end,
// unless a later call appends the rest of the line. add must be quick, because other goroutines wait meanwhile. If the
// buffer is full, Append does not call add, and counts a line as dropped. Append never waits for the disk, and
// allocates no memory once the buffers have grown to their final size.
func (f *File) Append(add func(dst []byte) []byte) { f.append(1, add) }

func (f *File) append(lines int, add func(dst []byte) []byte) {
	before, after := f.extend(lines, add)
	if before == 0 && after > 0 {
		f.timer.Reset(f.o.Flush)
	}
	if before < f.o.Buffer && after >= f.o.Buffer {
		f.Flush()
	}
}

// extend returns the length of the buffer before and after the call of add.
func (f *File) extend(lines int, add func(dst []byte) []byte) (size, leading int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size = len(f.filling)
	if f.closed || size >= memoryMax {
		f.dropped += int64(lines)
		return size, size
	}
	f.filling = add(f.filling)
	return size, len(f.filling)
}

func (f *File) Write(lines []byte) (int, error) {
	f.append(countLines(lines), func(dst []byte) []byte { return append(dst, lines...) })
	return len(lines), nil
}

// Flush makes the writer write the buffered lines at once, and does not wait for the write.
func (f *File) Flush() {
	select {
	case f.urgent <- struct{}{}:
	default:
	}
}

// Waits reports whether the buffer contains lines that the writer has not begun to write.
func (f *File) Waits() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.filling) > 0
}

// Reopen writes the buffered lines, and creates the file again if it was renamed, for programs such as logrotate.
func (f *File) Reopen() {
	f.reopen.Store(true)
	f.Flush()
}

func (f *File) Dropped() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped
}

// Close writes the buffered lines and closes the file. Close waits up to a few seconds for a disk or for the reader of
// a pipe. If lines were lost, Close returns an error. If a file is being compressed, Close does not wait, because the
// next process completes the compression.
func (f *File) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.Flush()
	select {
	case <-f.done:
		return f.lost
	case <-time.After(closeWithin):
		return fmt.Errorf("%s: %s: still not written; giving up", f.o.Name, f.o.Path)
	}
}

const reportEvery = 10 * time.Second // a limit, because reports about a slow disk must not fill a different log

type writer struct {
	file     *File
	out      *sink
	pending  []byte
	written  int
	total    int64
	failing  bool
	reported time.Time
	told     int64
}

func (w *writer) run() {
	f := w.file
	defer close(f.done)
	defer f.timer.Stop()
	for range f.urgent {
		if f.reopen.Swap(false) {
			w.out.look()
		}
		began, before := time.Now(), w.total
		closed := w.flush()
		if w.failing {
			f.timer.Reset(f.o.Flush)
		}
		if f.o.Written != nil && w.total > before && !w.failing {
			f.o.Written(began)
		}
		if closed {
			w.out.close()
			lines := f.Dropped() - w.told + int64(countLines(w.pending[w.written:])+countLines(f.filling))
			if lines > 0 {
				f.lost = fmt.Errorf("%s: %s: %d lines not written", f.o.Name, f.o.Path, lines)
			}
			return // f.filling need not be emptied, because nothing uses it after Close
		}
	}
}

func countLines(b []byte) int {
	n := bytes.Count(b, []byte{'\n'})
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}

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

// tell reports the beginning and the end of a failure and, at a limited rate, the number of dropped lines.
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
