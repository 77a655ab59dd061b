package main

import (
	"bufio"
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/pybridge"
)

const (
	// startPagesAfter is how long after the start the pages are given back
	// that only the start needed.
	startPagesAfter = time.Second

	// memoryEvery is how often at most memory is given back, unless it has
	// grown by memoryGrowth bytes: clients that come and go one by one are no
	// reason to do it each time.
	memoryEvery  = 4 * time.Second
	memoryGrowth = 2 << 20
)

// thrift gives memory back to the kernel when nobody is connected.
type thrift struct {
	mu    sync.Mutex
	next  time.Time // not before
	due   time.Time // when it will be; zero: not arranged
	timer *time.Timer
	left  int64 // resident bytes when it was given back last
}

// soon arranges for memory to be given back after wait, or as soon as it may
// be. Any goroutine.
func (t *thrift) soon(wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rest := time.Until(t.next); rest > wait && resident() < t.left+memoryGrowth {
		wait = rest
	}
	at := time.Now().Add(wait)
	switch {
	case t.timer == nil:
		t.timer = time.AfterFunc(wait, t.give)
	case t.due.IsZero() || at.Before(t.due):
		t.timer.Reset(wait)
	default:
		return
	}
	t.due = at
}

// quiet is runtime.Config.Quiet.
func (t *thrift) quiet() { t.soon(0) }

func (t *thrift) give() {
	t.mu.Lock()
	t.due = time.Time{} // what is used from now on is for the next time
	t.mu.Unlock()
	debug.FreeOSMemory()
	pybridge.TrimHeap()
	// Without smaps the memory stays, and the server runs as well.
	_ = dropProgramPages()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next, t.left = time.Now().Add(memoryEvery), resident()
}

// resident returns the resident memory of the process in bytes, 0 if not known.
func resident() int64 {
	var buf [64]byte
	fd, err := unix.Open("/proc/self/statm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	n, _ := unix.Read(fd, buf[:])
	unix.Close(fd)
	fields := bytes.Fields(buf[:max(n, 0)])
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// gcPercent keeps the heap of the Go side, which is below 1 MB and hardly
// grows per request, from being let to 4 MB before it is collected. GOGC in
// the environment wins.
const gcPercent = 25

// useLittleMemory sets the garbage collector for small machines.
func useLittleMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// dropProgramPages takes from the process the pages of program files that it
// has touched: most only once, while it started (import machinery,
// initialisers, tables that were walked). What is needed again is mapped again from the page cache, for
// half a microsecond a fault; the rest, about 7 MB of a hello server, is the
// kernel's to use. Any goroutine.
func dropProgramPages() error {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	var start, end uint64
	droppable := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Bytes()
		if key, value, ok := bytes.Cut(line, []byte(":")); ok && !bytes.ContainsRune(key, '-') {
			// A page that was written to (relocations) exists here only.
			if droppable && string(key) == "Anonymous" && string(bytes.TrimSpace(value)) == "0 kB" {
				madvise(uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
			}
			continue
		}
		start, end, droppable = programFile(line)
	}
	return nil
}

// programFile reads the head line of a mapping, such as
//
//	00400000-00f00000 r-xp 00000000 fe:00 1234   /usr/bin/fapws
//
// and says whether it is a file that the process only reads or executes.
func programFile(line []byte) (start, end uint64, ok bool) {
	f := bytes.Fields(line)
	if len(f) < 6 || string(f[4]) == "0" {
		return 0, 0, false
	}
	from, to, _ := bytes.Cut(f[0], []byte("-"))
	start, err1 := strconv.ParseUint(string(from), 16, 64)
	end, err2 := strconv.ParseUint(string(to), 16, 64)
	private := string(f[1]) == "r-xp" || string(f[1]) == "r--p"
	return start, end, private && err1 == nil && err2 == nil
}

func madvise(start, length uintptr, advice int) {
	unix.Syscall(unix.SYS_MADVISE, start, length, uintptr(advice))
}
