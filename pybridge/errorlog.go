package pybridge

// #include <stdlib.h>
// #include "shim_messages.h"
import "C"

import (
	"fmt"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"
	"unsafe"
)

// ErrorLog is an error log of hosts, in addition to that of the server, which is stderr. What handlers say
// about requests of such a host is appended to the file at once, and
// the process that rotates the file writes lines that do not fit.
type ErrorLog struct {
	Path    string    // absolute, of a file that is there; "": what is said is dropped
	MaxSize int64     // bytes of the file; 0: any
	Until   time.Time // when it is rotated next; the zero time: never

	// Write takes text that is to follow in the next file, or waits for room, and may end within a line;
	// ErrorLogWritten has to be called when it has been written. It does not block. Any goroutine.
	Write func(text []byte)
}

var errorLogs []*errorLog // by number less one

type errorLog struct {
	ErrorLog
	passed atomic.Uint64 // messages that Write was given
}

// AddErrorLog returns the number of an error log, exchange.Request.ErrorLog of its
// requests. Before App.Start, on one goroutine.
func AddErrorLog(l ErrorLog) (number int, err error) {
	var path *C.char
	if l.Path != "" {
		path = C.CString(l.Path)
		defer C.free(unsafe.Pointer(path))
	}
	if number = int(C.fapws_errorlog_add(path, C.int64_t(l.MaxSize), epoch(l.Until))); number == 0 {
		return 0, fmt.Errorf("error log %s: out of memory", l.Path)
	}
	errorLogs = append(errorLogs, &errorLog{ErrorLog: l})
	return number, nil
}

// ErrorLogWritten is for when lines were written to the file, which is rotated next at until. waits says whether
// any that ErrorLog.Write was given is not in it; what is said follows at once only when none is. Any goroutine.
func ErrorLogWritten(number int, until time.Time, waits func() bool) {
	passed := errorLogs[number-1].passed.Load()
	if !waits() {
		C.fapws_errorlog_written(C.int(number), C.uint64_t(passed), epoch(until))
	}
}

func epoch(t time.Time) C.int64_t {
	if t.IsZero() {
		return math.MaxInt64
	}
	return C.int64_t(t.Unix())
}

// EndErrorLogs passes on what waits for the loop, which has ended; what is said from now on
// is written whatever the size of the files. Any goroutine, also more than once.
func EndErrorLogs() {
	C.fapws_errorlog_direct()
	var n C.size_t
	all := C.fapws_messages(&n)
	defer C.free(unsafe.Pointer(all))
	each(all, n, func(kind byte, texts []byte) {
		if kind == C.FAPWS_ERROR_LINES {
			writeErrorLines(texts)
		}
	})
}

// writeErrorLines deals with a message of kind FAPWS_ERROR_LINES. It is not changed: a line that was flushed
// without its end must not look another way than when it is written at once, which is a matter of chance.
func writeErrorLines(texts []byte) {
	number := int(nativeInt(cutText(&texts)))
	l := errorLogs[number-1]
	l.Write(cutText(&texts))
	l.passed.Add(1)
}

// say writes to stderr at once, so that lines of others do not come between.
func say(format string, args ...any) {
	os.Stderr.Write(fmt.Appendf([]byte("fapws: "), format, args...))
}

// say writes about t to the error log of its host.
func (t *task) say(format string, args ...any) {
	if t.log == 0 {
		say(format, args...)
		return
	}
	lines := time.Now().AppendFormat(nil, "[Mon Jan 02 15:04:05.000000 2006] [error] ")
	switch {
	case t.port != "":
		lines = fmt.Appendf(lines, "[client %s] ", net.JoinHostPort(t.addr, t.port))
	case t.addr != "":
		lines = fmt.Appendf(lines, "[client %s] ", t.addr)
	}
	lines = fmt.Appendf(lines, format, args...)
	C.fapws_errorlog_write(C.int(t.log), (*C.char)(unsafe.Pointer(unsafe.SliceData(lines))), C.size_t(len(lines)))
}
