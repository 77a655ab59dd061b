package logfile

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	memoryMax = 4 << 20 // bytes of lines beyond which they are dropped
	keepMax   = 1 << 20 // a buffer that grew larger is not kept

	closeWithin = 5 * time.Second
)

// Options say where lines go and how. The zero value of each field but Path
// works.
type Options struct {
	// Path is the file, which is created if need be (mode 0640). "-" is standard output. Only regular files are
	// rotated.
	Path string

	// Name is what reports and errors begin with: "access log".
	Name string

	// MaxSize is the number of bytes that a file is rotated before it exceeds,
	// unless one line alone does. 0: any.
	MaxSize int64

	// Every is when a file is rotated whatever its size.
	Every Schedule

	// Keep is how many rotated files are kept, compressed: Path.1.gz is the
	// newest. 0: none.
	Keep int

	// Plain says that others may write to the directory of the file, and must not choose the file that is written or read: Path has
	// to lead to a regular file without a symbolic link as its last part.
	Plain bool

	// Buffer is how many bytes of lines are written at once; Flush how long a
	// line waits at most. 0: 32 KiB, one second.
	Buffer int
	Flush  time.Duration

	// Written is called after lines were written, when none but new ones waits (Waits), with the time before that: a
	// rotation that was due then has been made. It is called on the goroutine that writes. May be nil.
	Written func(at time.Time)

	// Report is told, in one line, of a log that cannot be written or rotated, or
	// that has lost lines. Any goroutine may call it. nil: standard error.
	Report func(msg string)
}

func (o Options) withDefaults() Options {
	if o.Path != "-" {
		if abs, err := filepath.Abs(o.Path); err == nil {
			o.Path = abs
		}
	}
	o.Name = cmp.Or(o.Name, "log")
	if o.Buffer <= 0 {
		o.Buffer = 32 << 10
	}
	if o.Flush <= 0 {
		o.Flush = time.Second
	}
	if o.Report == nil {
		o.Report = func(msg string) { fmt.Fprintln(os.Stderr, "fapws: "+msg) }
	}
	return o
}

func (o *Options) report(format string, args ...any) {
	o.Report(fmt.Sprintf("%s: %s: "+format, append([]any{o.Name, o.Path}, args...)...))
}

func (o *Options) wrap(err error) error { return fmt.Errorf("%s: %w", o.Name, err) }

// File is a log file that is written to. Its methods may be called from any
// goroutine.
//
// One buffer is filled while the writer's goroutine writes the other one.
type File struct {
	o Options

	mu      sync.Mutex
	filling []byte
	dropped int64
	closed  bool

	reopen atomic.Bool // the writer is to look at the path, also without a line

	timer  *time.Timer   // calls Flush when a line has waited long enough
	urgent chan struct{} // write now
	done   chan struct{} // the writer has ended
	lost   error         // error of the writer, once done is closed
}

// Open opens a file for appending, and compresses the files that an earlier process has not finished.
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

// Begin returns the buffer that lines, each with its end unless the rest of it follows later, can be appended
// to; End has to follow, with what that gave, and soon. ok is false when there is
// no room: then the line is lost and counted, and End must not be called. Between
// the two no other goroutine is.
func (f *File) Begin() (dst []byte, ok bool) {
	return f.begin(1)
}

// begin is Begin for so many lines.
func (f *File) begin(lines int) (dst []byte, ok bool) {
	f.mu.Lock()
	if f.closed || len(f.filling) >= memoryMax {
		f.dropped += int64(lines)
		f.mu.Unlock()
		return nil, false
	}
	return f.filling, true
}

// End takes the lines that were appended to the buffer that Begin returned. It never waits for the disk and, once the
// buffers have their size, nothing was allocated.
func (f *File) End(dst []byte) {
	before := len(f.filling)
	f.filling = dst
	f.mu.Unlock()
	if before == 0 && len(dst) > 0 {
		f.timer.Reset(f.o.Flush)
	}
	if before < f.o.Buffer && len(dst) >= f.o.Buffer {
		f.Flush()
	}
}

// Write appends lines (io.Writer), or loses them when there is no room.
func (f *File) Write(lines []byte) (int, error) {
	if dst, ok := f.begin(countLines(lines)); ok {
		f.End(append(dst, lines...))
	}
	return len(lines), nil
}

// Flush has the buffered lines written at once. It does not wait.
func (f *File) Flush() {
	select {
	case f.urgent <- struct{}{}:
	default: // one is enough
	}
}

// Waits says whether there are lines that the writer has not begun to write.
func (f *File) Waits() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.filling) > 0
}

// Reopen writes the buffered lines, and makes the file at the path if it was renamed, as log rotation from outside
// requires.
func (f *File) Reopen() {
	f.reopen.Store(true)
	f.Flush()
}

// Dropped returns the number of lines that were lost so far because the disk
// did not take them.
func (f *File) Dropped() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped
}

// Close writes the buffered lines and closes the file. It waits up to a few seconds for a disk, or for the reader of
// a pipe; the error reports lost lines. A file that is being compressed is left to the next process.
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
