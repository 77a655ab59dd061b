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
	retry     = time.Second
	unsaidMax = 64 << 10 // maximum size of Errors.unsaid, in bytes
)

// lookEvery is the interval at which the size and age of an error log are checked, even if no event reports growth.
var lookEvery = 5 * time.Second

// Errors is an error log: a file that is descriptor 2 of the process. Therefore the file also contains the output of
// interpreters, libraries and children, and the last lines of a crashing process.
//
// Each process and its children hold a shared lock on the file as long as it is their descriptor 2, so writers do not
// lock it for each write. A rotated file is compressed when no process holds this lock. One process rotates the file,
// and notifies the other processes, which must call Follow.
type Errors struct {
	// o.Report writes to the console, because the log itself may be unusable
	o Options
	// descriptor 2 before the redirection; nil if descriptor 2 already was this file
	console *os.File
	moved   func()
	end     chan struct{}
	set     chan struct{} // signaled by SetRotation

	mu     sync.Mutex
	size   int64
	every  Schedule
	out    sink // writes to the file; errors about the file's path are written to the log itself
	looked time.Time
	unsaid []byte // bytes to be written; the first line may lack its beginning
	lost   int64  // number of lines dropped because the buffer was full
}

// RedirectErrors opens the file o.Path as descriptor 2 of this process, unless descriptor 2 already is this file. After
// each rotation, the log calls moved on the goroutine that has rotated the file. moved must be nil if another process
// rotates the file.
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

func makeStandardError(file *os.File) error {
	fd := int(file.Fd())
	// Ignore the error, so that the log can be used on a file system without locks.
	_ = system.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
	// The file was opened nonblocking, because it may be a pipe, but other writers to descriptor 2 expect a blocking
	// descriptor.
	_ = unix.SetNonblock(fd, false)
	return unix.Dup3(fd, 2, 0)
}

// Console returns the original standard error, which the user who has started the server can see. If there was no
// redirection, because the file already was standard error, Console returns os.Stderr.
func (e *Errors) Console() io.Writer {
	if e.console == nil {
		return os.Stderr
	}
	return e.console
}

func (e *Errors) tellConsole(msg string) {
	if e.console != nil {
		fmt.Fprintln(e.console, "fapws: "+msg)
	}
}

// Write writes one or more lines. If the disk is full, lines are kept in a buffer. If the buffer is full, too, lines
// are dropped and counted. The error is always nil. Write is safe for concurrent use.
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

// Follow opens the path as descriptor 2 again. Follow must be called after another process has renamed the file, and is
// safe for concurrent use.
func (e *Errors) Follow() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out.look()
}

// FollowTo duplicates file to descriptor 2. Processes that cannot access the path call FollowTo instead of Follow, with
// a file that another process has opened. The caller must close file. FollowTo is safe for concurrent use.
func (e *Errors) FollowTo(file *os.File) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := makeStandardError(file); err != nil {
		e.out.complain("%v; still writing to the previous file", err)
	}
}

// SetRotation changes Options.MaxSize, Every and Keep, and is safe for concurrent use.
func (e *Errors) SetRotation(size int64, schedule Schedule, keep int) {
	e.mu.Lock()
	e.size, e.every = size, schedule
	e.mu.Unlock()
	e.out.archive.keep.Store(int64(keep))
	select {
	case e.set <- struct{}{}:
	default:
	}
}

func (e *Errors) rotates() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.size > 0 || e.every != Schedule{}
}

const growEvery = 100 * time.Millisecond

// watch rotates the file when a rotation is due. watch uses inotify if possible, because a flood of lines could fill a
// small disk between two periodic checks.
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
		kernel = &fsnotify.Watcher{} // a Watcher that never sends an event
	} else {
		defer kernel.Close()
	}
	for {
		if none == nil {
			_ = kernel.Add(e.o.Path) // after a rotation, the path leads to a new file
		}
		select {
		case <-kernel.Events:
			time.Sleep(growEvery) // let several writes cause only one check
		case <-kernel.Errors:
		case <-e.set:
		case <-tick:
		case <-e.end:
			return
		}
		e.look()
	}
}

func (e *Errors) look() {
	if e.isDue(time.Now()) {
		e.Rotate()
	}
}

func (e *Errors) isDue(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	st, err := os.Stderr.Stat()
	due := err == nil && st.Size() > 0 &&
		(e.size > 0 && st.Size() >= e.size || e.every.between(e.looked, now)) && e.out.archive.able()
	e.looked = now
	return due
}

// Rotate rotates the file immediately, unless it is empty. Only the process that has passed the function moved to
// RedirectErrors may call Rotate. Any goroutine of this process may call Rotate.
func (e *Errors) Rotate() {
	if e.rename() {
		e.moved()
		e.out.archive.start()
	}
}

// rename reports whether it has renamed the file.
func (e *Errors) rename() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out.look()
	st, err := os.Stderr.Stat()
	if err != nil || st.Size() == 0 || !st.Mode().IsRegular() {
		return false
	}
	if err = e.out.archive.rename(); err != nil {
		e.out.complain("not rotated: %v", err)
		return false
	}
	e.out.look()
	return true
}

// Close keeps descriptor 2 open, so that the last lines of the process are logged.
func (e *Errors) Close() { close(e.end) }

type Level int8

const (
	Debug Level = iota
	Info
	Warning
	Error
)

func (v Level) String() string { return [...]string{"debug", "info", "warning", "error"}[v] }

// Seldom limits the rate of events, such as log lines, that clients can cause at will. The zero value is ready for use,
// and safe for concurrent use.
type Seldom struct{ last atomic.Int64 } // nanoseconds since 1970

func (s *Seldom) Now() bool { return s.Once(time.Second) }

// Once returns true at most once in a period.
func (s *Seldom) Once(a time.Duration) bool {
	now := time.Now().UnixNano()
	last := s.last.Load()
	if since := now - last; since >= 0 && since < int64(a) { // negative if the clock was set back
		return false
	}
	return s.last.CompareAndSwap(last, now)
}
