package logfile

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

const (
	retry     = time.Second // for lines that a full disk did not take
	unsaidMax = 64 << 10    // bytes of lines that wait for room
)

// lookEvery is how often the size and the age of an error log are looked at, also when no event reports that it grew.
// Tests change it.
var lookEvery = 5 * time.Second

// Errors is an error log: a file that is descriptor 2 of the process, so that everything is in it: the output of an
// interpreter, a library or a child, and the last words of a process that crashes.
//
// Writers take no lock. Instead each process holds a shared one on the file for as long as it is its descriptor 2;
// children that inherit that hold it as well. A rotated file is compressed when no process holds it any more. One
// process rotates, and tells the others to Follow.
type Errors struct {
	o       Options  // which report to the console what cannot be said in the log
	console *os.File // what descriptor 2 was before; nil: this file
	moved   func()
	end     chan struct{} // Close was called
	set     chan struct{} // SetRotation was called; holds one

	mu     sync.Mutex
	size   int64     // Options.MaxSize, and
	every  Schedule  // Options.Every, as they are now
	out    sink      // complains about the path in the log itself
	looked time.Time // when the file was last seen to be of the present period
	unsaid []byte    // whole lines, but for the first
	lost   int64     // lines that there was no room for
}

// RedirectErrors makes the file of o descriptor 2 of this process, if it is not.
// moved is called when the file was rotated, on a goroutine of the log; nil:
// another process rotates it.
func RedirectErrors(o Options, moved func()) (*Errors, error) {
	o.Report = nil
	log := o.withDefaults()
	e := &Errors{o: log, moved: moved, looked: time.Now(), end: make(chan struct{}), set: make(chan struct{}, 1)}
	e.o.Report = e.tellConsole
	e.out = sink{o: &log, fd: 2, file: os.Stderr, standard: true, archive: archive{o: &e.o}}
	e.SetRotation(log.MaxSize, log.Every, log.Keep)
	file, err := openPath(&e.o, fileMode)
	if err != nil {
		return nil, e.o.wrap(err)
	}
	defer file.Close()
	now, err := file.Stat()
	if err != nil {
		return nil, e.o.wrap(err)
	}
	if before, err := os.Stderr.Stat(); err == nil && !os.SameFile(before, now) {
		if fd, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3); err == nil {
			e.console = os.NewFile(uintptr(fd), "standard error")
		}
	}
	if now.Size() > 0 {
		e.looked = now.ModTime()
	}
	if err := makeStandardError(file); err != nil {
		return nil, e.o.wrap(err)
	}
	if moved != nil && now.Mode().IsRegular() {
		e.look()
		e.out.archive.start()
		go e.watch(time.Tick(lookEvery))
	}
	return e, nil
}

// makeStandardError makes file descriptor 2.
func makeStandardError(file *os.File) error {
	fd := int(file.Fd())
	_ = system.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) // a file system without locks is rotated all the same
	_ = unix.SetNonblock(fd, false)                 // it is, for the sake of a pipe, and others do not expect that
	return unix.Dup3(fd, 2, 0)
}

// Console is what standard error was before: where the user who starts the server
// looks. It is the same as now, if the file was standard error already.
func (e *Errors) Console() io.Writer {
	if e.console == nil {
		return os.Stderr
	}
	return e.console
}

// tellConsole says there what cannot be said in the log.
func (e *Errors) tellConsole(msg string) {
	if e.console != nil {
		fmt.Fprintln(e.console, "fapws: "+msg)
	}
}

// Write writes one line or more. Lines that the disk does not take wait in memory for a while; those for which there
// is no room are lost and counted (io.Writer: there is no error). It is safe for concurrent use.
func (e *Errors) Write(lines []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	waits := len(e.unsaid) > 0
	if waits && len(e.unsaid)+len(lines) > unsaidMax {
		e.lost += int64(countLines(lines))
		return len(lines), nil
	}
	e.unsaid = append(e.unsaid, lines...)
	if !waits {
		if err := e.say(); err != nil {
			e.o.report("%v; keeping lines in memory while possible", err)
		}
	}
	return len(lines), nil
}

// say writes the lines that wait, and has that tried again when the disk does not take it.
func (e *Errors) say() error {
	for len(e.unsaid) > 0 {
		n, err := unix.Write(2, e.unsaid)
		e.unsaid = e.unsaid[max(n, 0):]
		if err != nil && err != unix.EINTR {
			time.AfterFunc(retry, e.again)
			return err
		}
	}
	return nil
}

func (e *Errors) again() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.say() == nil {
		e.o.report("can be written again, %d lines were lost", e.lost)
		e.lost = 0
	}
}

// Follow makes the file that the path leads to descriptor 2: after it was renamed,
// by us or by others. It is safe for concurrent use.
func (e *Errors) Follow() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out.look()
}

// FollowTo makes file, which another process has opened at the path, descriptor 2, for a process that
// cannot see the path. The caller closes file. It is safe for concurrent use.
func (e *Errors) FollowTo(file *os.File) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := makeStandardError(file); err != nil {
		e.out.complain("%v; still writing to the previous file", err)
	}
}

// SetRotation changes Options.MaxSize, Every and Keep. It is safe for concurrent use.
func (e *Errors) SetRotation(size int64, every Schedule, keep int) {
	e.mu.Lock()
	e.size, e.every = size, every
	e.mu.Unlock()
	e.out.archive.keep.Store(int64(keep))
	select {
	case e.set <- struct{}{}:
	default:
	}
}

// rotates reports whether the file is ever rotated by itself.
func (e *Errors) rotates() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.size > 0 || e.every != Schedule{}
}

// growEvery is the shortest time between two looks at a log that grows.
const growEvery = 100 * time.Millisecond

// watch rotates when it is time. The kernel reports that the file grows, because a flood would fill a small disk between two looks by the
// clock, which do where it cannot.
func (e *Errors) watch(tick <-chan time.Time) {
	for !e.rotates() {
		select {
		case <-e.set:
		case <-e.end:
			return
		}
	}
	kernel, none := fsnotify.NewWatcher()
	if none != nil {
		kernel = &fsnotify.Watcher{} // of which nothing comes
	} else {
		defer kernel.Close()
	}
	for {
		if none == nil {
			_ = kernel.Add(e.o.Path) // which leads to another file after a rotation
		}
		select {
		case <-kernel.Events:
			time.Sleep(growEvery) // all writes meanwhile are one event
		case <-kernel.Errors:
		case <-e.set:
		case <-tick:
		case <-e.end:
			return
		}
		e.look()
	}
}

// look rotates if it is time.
func (e *Errors) look() {
	now := time.Now()
	e.mu.Lock()
	st, err := os.Stderr.Stat()
	due := err == nil && st.Size() > 0 &&
		(e.size > 0 && st.Size() >= e.size || e.every.between(e.looked, now)) && e.out.archive.able()
	e.looked = now
	e.mu.Unlock()
	if due {
		e.Rotate()
	}
}

// Rotate rotates the file now, unless it is empty. It is for the process that
// rotates, and safe for concurrent use.
func (e *Errors) Rotate() {
	e.mu.Lock()
	e.out.look()
	st, err := os.Stderr.Stat()
	if err != nil || st.Size() == 0 || !st.Mode().IsRegular() {
		e.mu.Unlock()
		return
	}
	if err = e.out.archive.rename(); err != nil {
		e.out.complain("not rotated: %v", err)
	} else {
		e.out.look()
	}
	e.mu.Unlock()
	if err == nil {
		e.moved()
		e.out.archive.start()
	}
}

// Close ends the watching. Descriptor 2 stays the file: for last words.
func (e *Errors) Close() { close(e.end) }

// Level is the severity of a log line.
type Level int8

// The levels, the least severe first.
const (
	Debug Level = iota
	Info
	Warning
	Error
)

// String returns the word in a line of the log.
func (v Level) String() string { return [...]string{"debug", "info", "warning", "error"}[v] }

// Seldom bounds what clients can cause as often as they like, such as log lines. The zero value is ready, and safe for concurrent use.
type Seldom struct{ last atomic.Int64 } // nanoseconds since 1970

// Now reports whether a line may be written now. Then it is the one of this second.
func (s *Seldom) Now() bool { return s.Once(time.Second) }

// Once reports whether a line may be written now, or what else it is about may be done. Then it is the only one for the time.
func (s *Seldom) Once(a time.Duration) bool {
	now := time.Now().UnixNano()
	last := s.last.Load()
	if since := now - last; since >= 0 && since < int64(a) { // else the clock was set back
		return false
	}
	return s.last.CompareAndSwap(last, now)
}
