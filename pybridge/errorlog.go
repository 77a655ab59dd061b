package pybridge

// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// ErrorLog is an error log for some hosts, in addition to the server's log on stderr. Messages about requests of these
// hosts are appended to the file at once. If the file would become larger than MaxSize, the process that rotates the
// file appends the message.
type ErrorLog struct {
	// absolute path of an existing file; "" means that messages are dropped
	Path    string
	MaxSize int64     // maximum bytes of the file; 0 means no limit
	Until   time.Time // next rotation; the zero time means never

	// Write receives text that does not fit into the file, and that may lack its line feed. After the text is written,
	// ErrorLogWritten must be called. Write does not block, and is safe for concurrent use.
	Write func(text []byte)
}

var errorLogs []*errorLog

type errorLog struct {
	ErrorLog
	passed atomic.Uint64
}

// AddErrorLog returns the number of an error log for exchange.Request.ErrorLog. AddErrorLog must be called before
// App.Start, on one goroutine.
func AddErrorLog(l ErrorLog) (number int, err error) {
	if number = int(C.core_errorlog_add(cString(l.Path), C.int64_t(l.MaxSize), epoch(l.Until))); number == 0 {
		return 0, fmt.Errorf("error log %s: out of memory", l.Path)
	}
	errorLogs = append(errorLogs, &errorLog{ErrorLog: l})
	return number, nil
}

// ErrorLogWritten must be called after text from ErrorLog.Write was written to the file. The parameter deadline is the
// time of the next rotation. The parameter waits is a function that reports whether more text waits to be written. If
// no text waits, further messages are appended to the file directly. ErrorLogWritten is safe for concurrent use.
func ErrorLogWritten(number int, deadline time.Time, waits func() bool) {
	passed := errorLogs[number-1].passed.Load()
	if !waits() {
		C.core_errorlog_written(C.int(number), C.uint64_t(passed), epoch(deadline))
	}
}

func epoch(t time.Time) C.int64_t {
	if t.IsZero() {
		return math.MaxInt64
	}
	return C.int64_t(t.Unix())
}

// EndErrorLogs must be called after the end of the event loop. It passes the messages that still wait for the event
// loop to ErrorLog.Write. Later messages are written regardless of the size of the files. EndErrorLogs is safe for
// concurrent use, and may be called more than once.
func EndErrorLogs() {
	C.core_errorlog_direct()
	eachMessage(func(kind byte, texts []string) {
		if kind == C.CORE_ERROR_LINES {
			writeErrorLines(texts)
		}
	})
}

// writeErrorLines handles a message of kind CORE_ERROR_LINES. writeErrorLines keeps the text unchanged, because the
// text may end within a line.
func writeErrorLines(texts []string) {
	l := errorLogs[binary.NativeEndian.Uint32([]byte(texts[0]))-1]
	l.Write([]byte(texts[1]))
	l.passed.Add(1)
}

func keepZone() {
	for i, at := 0, time.Now(); i < C.CORE_ZONE_CHANGES; i++ {
		_, offset := at.Zone()
		_, end := at.ZoneBounds()
		C.core_add_zone(C.int(i), epoch(end), C.int32_t(offset))
		if !end.IsZero() {
			at = end
		}
	}
}

var look atomic.Int32

var failures atomic.Pointer[func(line string)]

// KeepFailures makes f get the first line of each error of a handler, and of each timeout, without its time. f must be
// safe for concurrent use.
func KeepFailures(f func(line string)) { failures.Store(&f) }

func keepFailure(line string) {
	if f := failures.Load(); f != nil {
		(*f)(line)
	}
}

func say(format string, args ...any) { new(task).say(format, args...) }

func (t *task) say(format string, args ...any) { t.report(logfile.Error, format, args...) }

// report writes a message about t to the error log of the host of t. All lines of the message except the first are a
// stack. report writes them in one call, so that lines of other messages cannot be in between.
func (t *task) report(level logfile.Level, format string, args ...any) {
	look := logfile.Look(look.Load())
	if t.log != 0 {
		look = max(look, logfile.Filed)
	}
	m := logfile.Message{Time: time.Now(), Level: level, About: t.about}
	if look < logfile.Filed { // the text itself names the client
		m.Client = ""
	}
	m.Text, m.Traceback, _ = strings.Cut(fmt.Sprintf(format, args...), "\n")
	if level == logfile.Error {
		text := m.Text
		if t.about.Request != "" {
			text = "request " + t.about.Request + ": " + text
		}
		keepFailure(text)
	}
	lines := look.Append(nil, &m)
	if t.log == 0 && look != logfile.Object {
		os.Stderr.Write(lines)
		return
	}
	C.core_errorlog_write(C.int(t.log), (*C.char)(unsafe.Pointer(unsafe.SliceData(lines))), C.size_t(len(lines)))
}

// Stderr writes objects of the error log to descriptor 2. While it writes an object, neither Python nor another process
// that uses Stderr writes to the descriptor. Stderr is safe for concurrent use.
type Stderr struct{}

func (Stderr) Write(object []byte) (int, error) {
	if C.core_write_object((*C.char)(unsafe.Pointer(unsafe.SliceData(object))), C.size_t(len(object))) == 0 {
		return 0, io.ErrShortWrite
	}
	return len(object), nil
}

func watchLoading(name string) { C.core_crash_watch(cString(name)) }

// ReportCrashTo makes a crash send its line to c, a packet socket that must remain open, in addition to stderr. The
// message on c consists of the parameter prefix, which has at most 64 bytes, and of the line without "fapws: " and
// without the line feed. ReportCrashTo must be called once, before Load.
func ReportCrashTo(c syscall.Conn, prefix []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		C.core_crash_tell(C.int(fd), unsafe.Pointer(unsafe.SliceData(prefix)), C.size_t(len(prefix)))
	})
}

var crashOutput *os.File

// BeforeExec must be called before this program executes another program in the same process. It is safe for concurrent
// use.
func BeforeExec() { C.core_gocrash_end() }

// watchGoCrash makes core_gocrash.c report crashes of Go's runtime that the application causes. If no descriptor is
// free, watchGoCrash has no effect, and Go writes its dump.
func watchGoCrash() {
	system.OpenHigh(func() {
		fd := C.core_gocrash_watch()
		if fd < 0 {
			return
		}
		crashOutput = os.NewFile(uintptr(fd), "crash")
		_ = debug.SetCrashOutput(crashOutput, debug.CrashOptions{})
	})
	for _, poll := range system.Polls() {
		C.core_gocrash_needs(C.int(poll))
	}
}
