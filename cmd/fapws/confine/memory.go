package confine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupDirs returns the directory of the control group that limits a resource of this process, and the directories of
// all groups above it. In version 1, each hierarchy has one or several controllers, with lines in /proc/self/cgroup
// such as "4:memory:/a" and "3:cpu,cpuacct:/a". Version 2 has only one hierarchy: "0::/a". In a container, the
// directory of the group is missing, and the top directory contains the limits.
func cgroupDirs(root fs.FS, controller string) (dirs []string) {
	text, _ := fs.ReadFile(root, "proc/self/cgroup")
	// the group of this process in the controller's hierarchy (version 1) and in the unified hierarchy (version 2)
	own, unified := "", ""
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) < 3 || !strings.HasPrefix(fields[2], "/"):
		case fields[0] == "0" && fields[1] == "":
			unified = fields[2]
		case slices.Contains(strings.Split(fields[1], ","), controller):
			own = fields[2]
		}
	}
	top, group := "sys/fs/cgroup/"+controller, own
	if own == "" {
		top, group = "sys/fs/cgroup", unified
	}
	for ; group != ""; group = path.Dir(group) {
		dirs = append(dirs, path.Join(top, group))
		if group == "/" {
			break
		}
	}
	return dirs
}

// Processors returns how many of n processors this process can keep busy under the limits of its control groups. A
// limit of 1.5 counts as two, and the result is at least one.
func Processors(root fs.FS, n int) int {
	for _, dir := range cgroupDirs(root, "cpu") {
		quota, period := cgroupNumber(root, dir+"/cpu.cfs_quota_us"), cgroupNumber(root, dir+"/cpu.cfs_period_us")
		if text, err := fs.ReadFile(root, dir+"/cpu.max"); err == nil { // "50000 100000", or "max 100000"
			_, _ = fmt.Sscan(string(text), &quota, &period)
		}
		if quota > 0 && period > 0 {
			n = min(n, int((quota+period-1)/period))
		}
	}
	return max(n, 1)
}

// cgroupNumber returns the number in a file, or 0 if the file is missing or contains a word such as "max" instead of a
// number.
func cgroupNumber(root fs.FS, name string) int64 {
	text, _ := fs.ReadFile(root, name)
	return numberAfter(text, "")
}

// UseLittleMemory configures the garbage collector for small machines. After each burst of collections, idle is called.
// If the environment variable GOGC is set, GOGC takes precedence. UseLittleMemory must be called only once, after the
// start, because collections during the start free no memory.
func UseLittleMemory(idle func()) {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := &pacer{set: func(percent int) { debug.SetGCPercent(percent) }, idle: idle}
	p.set(littlePercent)
	afterCollection(p.collected)
}

// MemoryLimit returns the memory that this process can use, in bytes, or 0 if it is unknown: the minimum of the
// machine's memory and the limits of the control groups.
func MemoryLimit(root fs.FS) int64 {
	text, _ := fs.ReadFile(root, "proc/meminfo")
	limit := numberAfter(text, "MemTotal:") << 10 // memory of the machine; 0 if unknown
	for _, dir := range cgroupDirs(root, "memory") {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			if n := cgroupNumber(root, dir+"/"+name); n > 0 && (limit == 0 || n < limit) {
				limit = n
			}
		}
	}
	return limit
}

// MemoryKills returns how many processes in this control group the kernel has killed because the group had no more
// memory, or 0 without a limit or if the number is unknown.
func MemoryKills(root fs.FS) int {
	for _, dir := range cgroupDirs(root, "memory") {
		for _, name := range []string{"memory.events", "memory.oom_control"} {
			if text, err := fs.ReadFile(root, dir+"/"+name); err == nil {
				return int(numberAfter(text, "oom_kill "))
			}
		}
	}
	return 0
}

// MemoryExceeded describes the memory limit if the kernel has killed processes in the control group since the call of
// MemoryKills that returned before. Otherwise it returns "".
func MemoryExceeded(root fs.FS, kills int) string {
	if MemoryKills(root) <= kills {
		return ""
	}
	return fmt.Sprintf("the memory limit of %d MiB was reached", MemoryLimit(root)>>20)
}

func numberAfter(text []byte, key string) int64 {
	_, rest, _ := bytes.Cut(text, []byte(key))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return n
}

// dropProgramPages removes the pages of program files from the resident memory of the process. Most of these pages were
// needed only during the start (import machinery, initializers, tables). If a page is needed again, the kernel maps it
// from the page cache. Each of these page faults maps only a small piece of the file. dropProgramPages is safe for
// concurrent use.
func dropProgramPages() error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	programPages(f, maps, func(start, end uint) {
		divide(start, end)
		madvise(start, end-start, unix.MADV_DONTNEED)
	})
	return nil
}

// programPages calls the function drop for each mapping of a program file in smaps (proc(5)) that has resident pages
// but no modified pages, in memory or in the swap space. It skips mappings that are not in maps, because smaps of
// qemu-user before version 8.2 shows addresses in the emulator itself. Both texts are sorted by address. programPages
// allocates only a buffer, because its garbage would stay in memory while the process is idle.
func programPages(smaps io.Reader, maps []byte, drop func(start, end uint)) {
	var start, end uint
	droppable, resident, clean := false, false, false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		line := lines.Bytes()
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || bytes.ContainsRune(key, '-') {
			start, end, droppable = programFile(line)
			if droppable {
				at := bytes.Index(maps, line[:bytes.IndexByte(line, ' ')+1])
				maps = maps[max(at, 0):]
				droppable = at >= 0 && samePlace(line, maps)
			}
			resident, clean = false, false
			continue
		}
		none := string(bytes.TrimSpace(value)) == "0 kB"
		switch string(key) {
		case "Rss":
			// Emulators (qemu-user) show an Rss of 0 for all mappings. Their mappings are therefore never dropped.
			resident = !none
		case "Anonymous": // pages that were written to (relocations) must stay
			clean = none
		case "Swap": // also of these pages
			if droppable && resident && clean && none {
				drop(start, end)
			}
		}
	}
}

// samePlace reports whether two lines, which may be followed by others, have the same offset, device and inode. Access
// rights are not compared, because an emulator shows different rights in maps and in smaps.
func samePlace(line, other []byte) bool {
	a, b := mappingFields(line), mappingFields(other)
	return bytes.Equal(a[2], b[2]) && bytes.Equal(a[3], b[3]) && bytes.Equal(a[4], b[4])
}

// mappingFields returns addresses, access rights, offset, device and inode of a mapping, and the beginning of the path
// of its file. Fields that line does not have are nil.
func mappingFields(line []byte) (fields [6][]byte) {
	n := 0
	for field := range bytes.FieldsSeq(line) {
		fields[n] = field
		if n++; n == len(fields) {
			break
		}
	}
	return fields
}

// divided is the size of the parts that divide makes, in bytes.
const divided = 256 << 10

// programFile parses the first line of a mapping, such as
//
//	00400000-00f00000 r-xp 00000000 fe:00 1234   /usr/bin/fapws
//
// and reports whether the mapping is a file that the process only reads or executes.
func programFile(line []byte) (start, end uint, ok bool) {
	fields := mappingFields(line)
	from, to, _ := bytes.Cut(fields[0], []byte("-"))
	// Parsing fails if an emulator shows its own, larger addresses.
	first, err := strconv.ParseUint(string(from), 16, strconv.IntSize)
	last, other := strconv.ParseUint(string(to), 16, strconv.IntSize)
	access := string(fields[1])
	return uint(first), uint(last), err == nil && other == nil && fields[5] != nil && string(fields[4]) != "0" &&
		(access == "r-xp" || access == "r--p")
}

// divide splits a mapping into small parts by calling madvise(2) for every second part. Since Linux 6.18, a page fault
// maps a whole folio of the page cache, up to 2 MiB, but not beyond the end of the mapping. Without the split, a
// program whose file was written recently would therefore need far more memory. Older kernels do not map whole folios,
// and reject the call of madvise.
func divide(start, end uint) {
	if end-start <= divided {
		// This mapping is a part of an earlier split. If madvise were called for it, the kernel could merge it with the
		// part after it.
		return
	}
	for at := start; at < end; at += 2 * divided {
		madvise(at, min(divided, end-at), unix.MADV_NOHUGEPAGE)
	}
}

func madvise(start, length uint, advice int) {
	unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(length), uintptr(advice))
}

// AnonymousMemory returns the resident memory of a process in bytes, without the pages of files (RssAnon in
// /proc/PID/status, proc(5)), or 0 if it is unknown.
func AnonymousMemory(pid int) int64 {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return numberAfter(text, "RssAnon:") << 10
}

// ResidentMemory returns the resident memory of a process in bytes (/proc/PID/statm, proc(5)), or 0 if it is unknown.
func ResidentMemory(pid int) int64 {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	return numberAfter(text, " ") * int64(os.Getpagesize())
}

// ProcessorTime returns the processor time of a process in seconds (/proc/PID/stat, proc(5)), or 0 if it is unknown.
func ProcessorTime(pid int) float64 {
	const perSecond = 100 // the kernel's USER_HZ
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name of a process may have spaces
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return float64(user+system) / perSecond
}

const (
	// littleMemoryAfter is the time from the start until the first garbage collection, which would otherwise delay the
	// first responses.
	littleMemoryAfter = 20 * time.Millisecond

	// startPagesAfter is the time after the start at which memory that only the start needed is returned to the kernel,
	// after the first responses.
	startPagesAfter = time.Second

	// Memory is returned to the kernel at most once in memoryEvery, unless the resident memory has grown by
	// memoryGrowth bytes. Without memoryEvery, memory would be returned after each of several clients that connect one
	// after the other.
	memoryEvery  = 4 * time.Second
	memoryGrowth = 2 << 20

	// While clients are connected, memory is returned to the kernel when it has grown by busyGrowth bytes and the process
	// has used less than quietTime between two ticks.
	busyGrowth = 4 << 20
	quietTime  = 10 * time.Millisecond
)

type Trimmer struct {
	// The function TrimHeap returns free memory of the C heap to the kernel. TrimHeap is nil if the C library has no
	// such function.
	TrimHeap func()

	mu    sync.Mutex
	next  time.Time
	timer *time.Timer
	left  int64
	spent time.Duration // processor time of the process at the last Tick
}

// soon returns memory to the kernel after the duration wait, or later if memory was returned recently. It is safe for
// concurrent use.
func (t *Trimmer) soon(wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rest := time.Until(t.next); rest > wait && ResidentMemory(os.Getpid()) < t.left+memoryGrowth {
		wait = rest
	}
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, t.give)
	} else {
		t.timer.Reset(wait)
	}
}

// Started must be called when the process begins to serve. Pages of the program that only the start needed are dropped
// at once.
func (t *Trimmer) Started() {
	go func() { _ = dropProgramPages() }()
	time.AfterFunc(littleMemoryAfter, func() { UseLittleMemory(t.Quiet) })
	t.soon(startPagesAfter)
}

// Quiet returns memory to the kernel soon, and can be used as runtime.Config.OnIdle.
func (t *Trimmer) Quiet() { t.soon(0) }

// Tick can be used as runtime.Config.OnTick. It returns memory to the kernel after large bodies and messages.
func (t *Trimmer) Tick() {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	before := t.spent
	t.spent = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	t.mu.Lock()
	left := t.left
	t.mu.Unlock()
	if t.spent-before < quietTime && left > 0 && ResidentMemory(os.Getpid()) > left+busyGrowth {
		t.soon(0)
	}
}

func (t *Trimmer) give() {
	debug.FreeOSMemory()
	if t.TrimHeap != nil {
		t.TrimHeap()
	}
	// An error means that the kernel has no /proc/self/smaps, so the pages stay in memory.
	_ = dropProgramPages()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next, t.left = time.Now().Add(memoryEvery), ResidentMemory(os.Getpid())
}

const (
	// littlePercent is the usual value for GOGC. With this value, the first collection happens before the Go heap
	// reaches 4 MB, the minimum with Go's default.
	littlePercent = 25

	// busyPercent is the value for GOGC while collections would otherwise follow each other too fast, for example
	// during TLS handshakes.
	busyPercent = 100

	// If the time between two collections is below tooFast, the heap is allowed to grow. After the duration slow
	// without a collection, the heap is reduced again.
	tooFast = 200 * time.Millisecond
	slow    = 2 * time.Second
)

type pacer struct {
	set  func(percent int)
	idle func()

	mu   sync.Mutex
	last time.Time // time of the last collection; zero before the first
	busy bool
}

// collected is called after each garbage collection, on any goroutine.
func (p *pacer) collected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	fast := time.Since(p.last) < tooFast
	p.last = time.Now()
	if fast && !p.busy {
		p.busy = true
		p.set(busyPercent)
		time.AfterFunc(slow, p.look)
	}
}

// look reduces the heap limit after some time without a collection. Otherwise the garbage from a burst of work would
// stay in memory as long as clients keep their connections open.
func (p *pacer) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rest := slow - time.Since(p.last); rest > 0 {
		time.AfterFunc(rest, p.look)
		return
	}
	p.busy = false
	p.set(littlePercent)
	p.idle()
}

// afterCollection calls f after each garbage collection, on a goroutine of the runtime.
func afterCollection(f func()) {
	// The object must contain a pointer: small objects without pointers share memory, so their cleanup could be
	// delayed.
	runtime.AddCleanup(new(*int), func(struct{}) {
		// Register for the next collection before calling f, because the next collection may begin during f.
		afterCollection(f)
		f()
	}, struct{}{})
}
