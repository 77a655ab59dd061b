package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
)

var errNoGIL = errors.New("a handler holds the GIL in C code")

// gilQueue runs functions that need the GIL on a goroutine, one after the other.
type gilQueue struct {
	gilCalls *eventloop.Queue[func()]
}

// withGIL calls f, which needs the GIL, on a separate goroutine, after the functions of earlier calls have returned.
// The channel is closed after f has returned, so that a caller can stop waiting if a handler holds the GIL. If Python
// is ending, f does not run, and the channel is nil. withGIL is safe for concurrent use.
func (q *gilQueue) withGIL(f func()) <-chan struct{} {
	done := make(chan struct{})
	if !q.gilCalls.Add(func() { defer close(done); f() }) {
		return nil
	}
	return done
}

func runGILCalls(calls []func()) {
	for _, f := range calls {
		f()
	}
}

// whenFree runs f, which needs the GIL, and returns when f has returned, or when ctx has ended; f can then still run
// later.
func (q *gilQueue) whenFree(ctx context.Context, f func()) error {
	done := q.withGIL(f)
	if done == nil {
		return errors.New("the server is stopping")
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errNoGIL
	}
}

// endsWithin reports whether done is closed within the duration d. With d = 0, it reports whether done is closed.
func endsWithin(done <-chan struct{}, d time.Duration) bool {
	select {
	case <-done: // If both channels were ready, the next select would choose at random.
		return true
	default:
	}
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

type ProfileStack struct {
	Frames []string `json:"frames"` // each as "function (file)", beginning with the outermost frame
	N      int      `json:"n"`
}

// Profile makes a thread of fapws.contrib.profile sample the stacks of all Python threads, a hundred times a second,
// for the duration d. Profile is safe for concurrent use, but returns an error while a profile is being recorded.
func (q *gilQueue) Profile(ctx context.Context, d time.Duration) (stacks []ProfileStack, err error) {
	began := -1
	if err := q.whenFree(ctx, func() { began = int(C.core_profile_begin(C.double(d.Seconds()))) }); err != nil {
		return nil, err
	}
	switch began {
	case 0:
		return nil, errors.New("a profile is being recorded already")
	case 1:
	default:
		return nil, errors.New("the profile cannot be recorded; the error log says why")
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var text string
	err = q.whenFree(ctx, func() {
		if all := C.core_profile_stacks(); all != nil {
			text = C.GoString(all)
			C.free(unsafe.Pointer(all))
		}
	})
	if err == nil {
		err = json.Unmarshal([]byte(text), &stacks)
	}
	return stacks, err
}

type callStack []frame

type frame struct {
	file     string
	line     int
	function string
}

func takeStack(s *C.core_snapshot) callStack {
	defer C.free(unsafe.Pointer(s.stack))
	stack := frames(C.GoBytes(unsafe.Pointer(s.stack), C.int(s.stack_len)))
	// The first frames of the asyncio thread do not belong to the application.
	for i, f := range stack {
		if i > 0 && (f.file == "<fapws>._async" || strings.HasSuffix(f.file, "/fapws/_async.py")) {
			stack = stack[:i]
			break
		}
	}
	return stack
}

func frames(text []byte) (list []frame) {
	fields := bytes.Split(text, []byte{0})
	for ; len(fields) > 3 || len(fields) == 3 && len(fields[2]) > 0; fields = fields[3:] {
		line, _ := strconv.Atoi(string(fields[1]))
		list = append(list, frame{string(fields[0]), line, string(fields[2])})
	}
	return list
}

func (s callStack) text() string {
	var out strings.Builder
	for i := len(s) - 1; i >= 0; {
		f := s[i]
		fmt.Fprintf(&out, "  File %s, line %d, in %s\n", strconv.Quote(f.file), f.line, f.function)
		if text := sourceLine(f.file, f.line); text != "" {
			fmt.Fprintf(&out, "    %s\n", text)
		}
		first := i
		for i--; i >= 0 && s[i] == f; i-- {
		}
		if more := first - i - 1; more > 0 { // repeated frames of a recursive function
			fmt.Fprintf(&out, "  [the same %d times more]\n", more)
		}
	}
	return out.String()
}

// sourceLine returns a line of a source file, without Python's linecache, which would need the GIL.
func sourceLine(name string, line int) string {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for i := 1; s.Scan(); i++ {
		if i == line {
			return strings.TrimSpace(strings.ToValidUTF8(s.Text(), "?"))
		}
	}
	return ""
}

var dumping sync.Mutex

// dumpStacks does not need the GIL, and is safe for concurrent use.
func dumpStacks() []byte {
	dumping.Lock()
	defer dumping.Unlock()
	fd := int(C.core_dump_stacks())
	text := make([]byte, 1<<20)
	n, err := unix.Pread(fd, text, 0)
	if err != nil {
		return []byte("the stacks are not available without the GIL\n")
	}
	return text[:n]
}
