package confine

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestProgramFileLinesAreRecognized(t *testing.T) {
	for _, c := range []struct {
		line       string
		start, end uint
		ok         bool
	}{
		{"00400000-00f00000 r-xp 00001000 fe:00 1234    /usr/bin/fapws", 0x400000, 0xf00000, true},
		{"7f00-8000 r--p 00000000 fe:00 12   /usr/lib/libpython3.11.so.1.0", 0x7f00, 0x8000, true},
		{"7f00-8000 r-xp 00000000 fe:00 12   /a folder/lib.so (deleted)", 0x7f00, 0x8000, true},
		{"7f00-8000 rw-p 00000000 fe:00 12   /usr/lib/libc.so.6", 0x7f00, 0x8000, false},
		{"7f00-8000 r--s 00000000 fe:00 12   /a/shared/file", 0x7f00, 0x8000, false},
		{"7f00-8000 r-xp 00000000 00:00 0    [vdso]", 0, 0, false},
		{"7f00-8000 rw-p 00000000 00:00 0", 0, 0, false},
		{"10000000000000000-10000000000001000 r-xp 00001000 fe:00 1234    /usr/bin/an-emulator", 0, 0, false},
		{"zz-8000 r-xp 00000000 fe:00 12   /usr/bin/fapws", 0, 0x8000, false},
	} {
		start, end, ok := programFile([]byte(c.line))
		checktest.Truef(t, ok == c.ok && (!ok || start == c.start && end == c.end), "%s: %x-%x %v", c.line, start, end, ok)
	}
}

func TestProgramPagesAreFound(t *testing.T) {
	const smaps = `00400000-00f00000 r-xp 00001000 fe:00 1234    /usr/bin/fapws
Size:              11264 kB
Rss:                4096 kB
Anonymous:             0 kB
00f00000-01000000 r--p 00b01000 fe:00 1234    /usr/bin/fapws
Rss:                1024 kB
Anonymous:             8 kB
7f00-8000 r--p 00000000 fe:00 12   /usr/lib/libemulated.so
Rss:                   0 kB
Anonymous:             0 kB
8000-9000 rw-p 00000000 00:00 0    [heap]
Rss:                   4 kB
Anonymous:             0 kB
3fe2f000-3ff39000 r--p 00000000 fe:00 1250   /usr/lib/libc.so.6
Rss:                 400 kB
Anonymous:             0 kB
`
	// An emulator reports addresses of its own in smaps, so libc has different addresses here and in smaps.
	const maps = `00400000-00f00000 r-xp 00001000 fe:00 1234    /usr/bin/fapws
00f00000-01000000 r--p 00b01000 fe:00 1234    /usr/bin/fapws
3fe2e000-3ff38000 r-xp 00000000 fe:00 1250   /usr/lib/libc.so.6
`
	var dropped []uint
	programPages(strings.NewReader(smaps), []byte(maps), func(start, end uint) {
		dropped = append(dropped, start, end)
	})
	want := []uint{0x400000, 0xf00000}
	checktest.Equal(t, dropped, want)
}

func TestProcessContinuesAfterItsProgramPagesWereDropped(t *testing.T) {
	for _, small := range []bool{false, true, true} {
		checktest.Must(t, dropProgramPages(small))
		TestProgramFileLinesAreRecognized(t)
	}
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		// Without transparent huge pages, dropProgramPages does not change the mappings.
		return
	}
	maps := checktest.Try(os.ReadFile("/proc/self/maps")).Must(t)
	for line := range bytes.Lines(maps) {
		if start, end, ok := programFile(line); ok && end-start > divided && bytes.Contains(line, []byte(".test")) {
			t.Errorf("a mapping of %d bytes: %s", end-start, line)
		}
	}
}

func TestResidentMemoryGrows(t *testing.T) {
	before := ResidentMemory(os.Getpid())
	page := make([]byte, 8<<20)
	for i := range page {
		page[i] = 1
	}
	after := ResidentMemory(os.Getpid())
	checktest.Truef(t, before >= 1<<20 && after >= before+4<<20, "%d bytes before 8 MiB more, %d after", before, after)
	runtime.KeepAlive(page)
}
