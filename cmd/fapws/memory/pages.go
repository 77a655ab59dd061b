package memory

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
