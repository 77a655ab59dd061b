package memory

import (
	"bytes"
	"os"
	"runtime"
	"testing"
)

func TestProgramFile(t *testing.T) {
	for _, c := range []struct {
		line       string
		start, end uint64
		ok         bool
	}{
		{"00400000-00f00000 r-xp 00001000 fe:00 1234    /usr/bin/fapws", 0x400000, 0xf00000, true},
		{"7f00-8000 r--p 00000000 fe:00 12   /usr/lib/libpython3.11.so.1.0", 0x7f00, 0x8000, true},
		{"7f00-8000 r-xp 00000000 fe:00 12   /a folder/lib.so (deleted)", 0x7f00, 0x8000, true},
		{"7f00-8000 rw-p 00000000 fe:00 12   /usr/lib/libc.so.6", 0x7f00, 0x8000, false}, // data
		{"7f00-8000 r--s 00000000 fe:00 12   /a/shared/file", 0x7f00, 0x8000, false},     // not private
		{"7f00-8000 r-xp 00000000 00:00 0    [vdso]", 0, 0, false},                       // no file
		{"7f00-8000 rw-p 00000000 00:00 0", 0, 0, false},                                 // heap of Go
		{"zz-8000 r-xp 00000000 fe:00 12   /usr/bin/fapws", 0, 0x8000, false},
	} {
		start, end, ok := programFile([]byte(c.line))
		if ok != c.ok || ok && (start != c.start || end != c.end) {
			t.Errorf("%s: %x-%x %v", c.line, start, end, ok)
		}
	}
}

// TestDropProgramPages: a process that has lost its program pages goes on.
func TestDropProgramPages(t *testing.T) {
	for _, small := range []bool{false, true, true} {
		if err := dropProgramPages(small); err != nil {
			t.Fatal(err)
		}
		TestProgramFile(t)
	}
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		return // no folio is large, and the mappings stay as they are
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(maps) {
		if start, end, ok := programFile(line); ok && end-start > divided && bytes.Contains(line, []byte(".test")) {
			t.Errorf("a mapping of %d bytes: %s", end-start, line)
		}
	}
}

func TestResident(t *testing.T) {
	before := Resident(os.Getpid())
	page := make([]byte, 8<<20)
	for i := range page {
		page[i] = 1
	}
	if after := Resident(os.Getpid()); before < 1<<20 || after < before+4<<20 {
		t.Errorf("%d bytes before 8 MiB more, %d after", before, after)
	}
	runtime.KeepAlive(page)
}
