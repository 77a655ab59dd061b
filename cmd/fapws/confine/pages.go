package confine

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// dropProgramPages takes from the process the pages of program files that it has touched: most only once, while it
// started (import machinery, initialisers, tables that were walked). Pages that are needed again are mapped from the
// page cache, for half a microsecond a fault; the rest, about 7 MB of a hello server, is the kernel's to use. small has them mapped
// again in small pieces. Any goroutine.
func dropProgramPages(small bool) error {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	programPages(f, func(start, end uint64) {
		if small {
			divide(uintptr(start), uintptr(end))
		}
		madvise(uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
	})
	return nil
}

// programPages calls drop with each mapping in smaps (proc(5)) of a program file that has pages in memory, and none of
// them changed.
func programPages(smaps io.Reader, drop func(start, end uint64)) {
	var start, end uint64
	droppable, resident := false, false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		line := lines.Bytes()
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || bytes.ContainsRune(key, '-') {
			start, end, droppable = programFile(line)
			resident = false
			continue
		}
		none := string(bytes.TrimSpace(value)) == "0 kB"
		switch string(key) {
		case "Rss": // emulators (qemu-user) write 0 for everything, also for mappings with changed pages
			resident = !none
		case "Anonymous": // a page that was written to (relocations) exists here only
			if droppable && resident && none {
				drop(start, end)
			}
		}
	}
}

// divided is the size of the mappings that divide makes.
const divided = 256 << 10

// programFile reads the head line of a mapping, such as
//
//	00400000-00f00000 r-xp 00000000 fe:00 1234   /usr/bin/fapws
//
// and reports whether it is a file that the process only reads or executes.
func programFile(line []byte) (start, end uint64, ok bool) {
	f := bytes.Fields(line)
	if len(f) < 6 || string(f[4]) == "0" {
		return 0, 0, false
	}
	from, to, _ := bytes.Cut(f[0], []byte("-"))
	start, err1 := strconv.ParseUint(string(from), 16, strconv.IntSize) // an emulator may show addresses of its own
	end, err2 := strconv.ParseUint(string(to), 16, strconv.IntSize)
	private := string(f[1]) == "r-xp" || string(f[1]) == "r--p"
	return start, end, private && err1 == nil && err2 == nil
}

func madvise(start, length uintptr, advice int) {
	unix.Syscall(unix.SYS_MADVISE, start, length, uintptr(advice))
}

// AnonymousMemory returns the resident memory of a process in bytes that is its own, and not of files that others have as well
// (RssAnon of proc(5), status); 0 if it is not known.
func AnonymousMemory(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("RssAnon:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10
}

// ResidentMemory returns the resident memory of a process in bytes, 0 if it is not known
// (proc(5), statm).
func ResidentMemory(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}
