package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
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
	return callStack(frames(C.GoBytes(unsafe.Pointer(s.stack), C.int(s.stack_len)))).applications()
}

// applications returns s without the outermost frames, of package fapws and of asyncio, which call the application. If
// there are no other frames, applications returns s.
func (s callStack) applications() callStack {
	n := len(s)
	for n > 0 && s[n-1].module() != "" {
		n--
	}
	for i := range s {
		if i > 0 && s[i].module() == "_async" {
			n = i
			break
		}
	}
	if n == 0 {
		return s
	}
	return s[:n]
}

// place returns a short text such as "app.py:12 in view".
func (f *frame) place() string {
	return fmt.Sprintf("%s:%d in %s", path.Base(f.file), f.line, f.function)
}

// module returns the name of the private module of package fapws to which f belongs, such as "_async", or "".
func (f *frame) module() string {
	name, archived := strings.CutPrefix(f.file, "<fapws>.")
	if !archived {
		folder, file := path.Split(f.file)
		if path.Base(folder) != "fapws" {
			return ""
		}
		name = strings.TrimSuffix(file, ".py")
	}
	if !strings.HasPrefix(name, "_") {
		return ""
	}
	return name
}

// isLibrary reports whether f belongs to Python's standard library or to an installed package.
func (f *frame) isLibrary() bool {
	return strings.HasPrefix(f.file, "<") || f.module() != "" || libraries().MatchString(f.file)
}

var libraries = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`/(site-packages|dist-packages|lib/python\d[^/]*)/`)
})

// packagesOf returns the names of the packages to which frames of libraries belong, each once, the outermost first.
func packagesOf(s callStack) (names []string) {
	for _, f := range slices.Backward(s) {
		name := "Python"
		if _, installed, ok := strings.Cut(f.file, "-packages/"); ok { // of site or dist
			name, _, _ = strings.Cut(installed, "/")
			name = strings.TrimSuffix(name, ".py")
		} else if f.module() != "" {
			name = "fapws"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func frames(text []byte) (list []frame) {
	fields := bytes.Split(text, []byte{0})
	for ; len(fields) > 3 || len(fields) == 3 && len(fields[2]) > 0; fields = fields[3:] {
		line, _ := strconv.Atoi(string(fields[1]))
		list = append(list, frame{string(fields[0]), line, string(fields[2])})
	}
	return list
}

// text returns a line for each frame, and the line of its source, the innermost last. Libraries that call the code of the
// user, such as the middleware of a framework, get one line.
func (s callStack) text() string {
	const few = 2 // frames that are not folded
	own := slices.IndexFunc(s, func(f frame) bool { return !f.isLibrary() })
	if own < 0 {
		own = len(s)
	}
	var out strings.Builder
	for i := len(s) - 1; i >= 0; {
		f := s[i]
		inside := i
		for inside > own && s[inside].isLibrary() {
			inside--
		}
		if i-inside > few {
			fmt.Fprintf(&out, "  [%d frames of %s]\n", i-inside, strings.Join(packagesOf(s[inside+1:i+1]), ", "))
			i = inside
			continue
		}
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

// own returns the innermost frame of the user's code or, if there is none, the innermost frame. s must not be empty.
func (s callStack) own() *frame {
	return &s[max(0, slices.IndexFunc(s, func(f frame) bool { return !f.isLibrary() }))]
}

// excerpt returns the innermost frame of the user's code, with the lines of its source file around the line that is
// executed, which begins with ">". It returns "" if s is empty, or if the file cannot be read.
func (s callStack) excerpt() string {
	const around = 5
	if len(s) == 0 {
		return ""
	}
	f := s.own()
	first := max(1, f.line-around)
	lines := sourceLines(f.file, first, f.line+around)
	if first+len(lines) <= f.line {
		return ""
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s, line %d, in %s\n\n", f.file, f.line, f.function)
	for i, text := range lines {
		mark := " "
		if first+i == f.line {
			mark = ">"
		}
		out.WriteString(strings.TrimRight(fmt.Sprintf("%s%5d  %s", mark, first+i, text), " ") + "\n")
	}
	return out.String()
}

func sourceLine(name string, line int) string {
	for _, text := range sourceLines(name, line, line) {
		return strings.TrimSpace(text)
	}
	return ""
}

// sourceLines returns the lines first to last of a source file, as far as the file has them, without Python's
// linecache, which would need the GIL.
func sourceLines(name string, first, last int) (lines []string) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for i := 1; i <= last && s.Scan(); i++ {
		if i >= first {
			lines = append(lines, strings.ToValidUTF8(s.Text(), "?"))
		}
	}
	return lines
}

var dumping sync.Mutex

// dumpStacks returns the stacks of the threads that execute Python code, as text. It does not need the GIL, and is safe
// for concurrent use.
func dumpStacks() string {
	var out strings.Builder
	for _, t := range dumpThreads() {
		fmt.Fprintf(&out, "thread %s:\n%s", t.id, t.stack.text())
	}
	return cmp.Or(out.String(), "the stacks are not available without the GIL\n")
}

// A dumpedThread is a thread with its stack, which is not empty.
type dumpedThread struct {
	id    string
	stack callStack
}

// dumpThreads is like dumpStacks. The result is nil if the stacks are not available.
func dumpThreads() []dumpedThread {
	dumping.Lock()
	defer dumping.Unlock()
	fd := int(C.core_dump_stacks())
	text := make([]byte, 1<<20)
	n, err := unix.Pread(fd, text, 0)
	if err != nil {
		return nil
	}
	return parseDump(string(text[:n]))
}

const (
	threadOfDump = `(?m)^(?:Current thread|Thread) (0x[0-9a-f]+)[^\n]*:\n((?:  [^\n]*\n)+)`
	frameOfDump  = `(?m)^  File "(.*)", line (\d+) in (.*)$`
)

// parseDump parses a text of Python's faulthandler. Threads that run handlers come before threads that the application
// has started; threads that execute no Python code are left out.
func parseDump(text string) (handlers []dumpedThread) {
	var others []dumpedThread
	frameOf := regexp.MustCompile(frameOfDump)
	for _, thread := range regexp.MustCompile(threadOfDump).FindAllStringSubmatch(text, -1) {
		var s callStack
		for _, f := range frameOf.FindAllStringSubmatch(thread[2], -1) {
			line, _ := strconv.Atoi(f[2])
			s = append(s, frame{f[1], line, f[3]})
		}
		if len(s) == 0 {
			continue
		}
		t := dumpedThread{thread[1], s.applications()}
		if path.Base(s[len(s)-1].file) == "threading.py" {
			others = append(others, t)
		} else {
			handlers = append(handlers, t)
		}
	}
	return append(handlers, others...)
}
