package confine

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
Swap:                  0 kB
00f00000-01000000 r--p 00b01000 fe:00 1234    /usr/bin/fapws
Rss:                1024 kB
Anonymous:             8 kB
Swap:                  0 kB
01000000-01001000 r--p 00c01000 fe:00 1234    /usr/bin/fapws
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  8 kB
7f00-8000 r--p 00000000 fe:00 12   /usr/lib/libemulated.so
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  0 kB
8000-9000 rw-p 00000000 00:00 0    [heap]
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
3fe2f000-3ff39000 r--p 00000000 fe:00 1250   /usr/lib/libc.so.6
Rss:                 400 kB
Anonymous:             0 kB
Swap:                  0 kB
`
	// An emulator reports addresses of its own in smaps, so libc has different addresses here and in smaps.
	const maps = `00400000-00f00000 r-xp 00001000 fe:00 1234    /usr/bin/fapws
00f00000-01000000 r--p 00b01000 fe:00 1234    /usr/bin/fapws
01000000-01001000 r--p 00c01000 fe:00 1234    /usr/bin/fapws
3fe2e000-3ff38000 r-xp 00000000 fe:00 1250   /usr/lib/libc.so.6
`
	var dropped []uint
	programPages(strings.NewReader(smaps), []byte(maps), func(start, end uint) { dropped = append(dropped, start, end) })
	checktest.Equal(t, dropped, []uint{0x400000, 0xf00000})
}

func TestSearchForProgramPagesLeavesLittleGarbage(t *testing.T) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "%08x-%08x r-xp 00000000 fe:00 1234    /usr/bin/fapws\nRss:    4 kB\nAnonymous:    0 kB\nSwap:    0 kB\n",
			i<<12, (i+1)<<12)
	}
	smaps := text.String()
	n, maps := 0, []byte(smaps)
	allocations := testing.AllocsPerRun(5, func() {
		programPages(strings.NewReader(smaps), maps, func(start, end uint) { n++ })
	})
	checktest.Equal(t, n, 6*500)
	checktest.Truef(t, allocations <= 5, "%v allocations", allocations)
}

func TestProcessContinuesAfterItsProgramPagesWereDropped(t *testing.T) {
	for range 3 {
		checktest.Must(t, dropProgramPages())
		TestProgramFileLinesAreRecognized(t)
	}
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		// Without transparent huge pages, dropProgramPages does not change the mappings.
		return
	}
	for line := range bytes.Lines(checktest.Try(os.ReadFile("/proc/self/maps")).Must(t)) {
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

func TestLimitsAreReadFromTheMachineAndControlGroups(t *testing.T) {
	const none, machine = ^uint64(0), 512 << 20
	const events = "low 0\nhigh 0\nmax 1302\noom 4\noom_kill 3\noom_group_kill 0\n"
	const control = "oom_kill_disable 0\nunder_oom 1\noom_kill 2\n"
	for _, c := range []struct {
		name   string
		groups string            // contents of /proc/self/cgroup
		files  map[string]string // below /sys/fs/cgroup

		memory            int64
		kills, processors int
		processes         uint64
	}{
		{"no limit", "0::/a\n", map[string]string{"a/memory.max": "max\n", "a/cpu.max": "max 100000\n",
			"a/pids.max": "max\n"}, machine, 0, 8, none},
		{"version 2", "0::/a/b.service\n", map[string]string{"a/b.service/memory.max": "67108864\n",
			"a/b.service/memory.events": events, "a/memory.events": "oom_kill 99\n",
			"a/b.service/cpu.max": "200000 100000\n", "a/b.service/pids.max": "30\n", "a/pids.max": "4915\n"},
			64 << 20, 3, 2, 30},
		{"a group above it", "0::/a/b\n", map[string]string{"a/memory.max": "1048576\n", "a/b/memory.max": "max",
			"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "300000 100000\n", "a/b/pids.max": "max\n",
			"a/pids.max": "20\n"}, 1 << 20, 0, 3, 20},
		{"a container", "0::/\n", map[string]string{"memory.max": "33554432\n", "memory.events": events,
			"cpu.max": "150000 100000\n", "pids.max": "64\n"}, 32 << 20, 3, 2, 64},
		{"more than the machine has", "0::/\n", map[string]string{"memory.max": "1073741824\n",
			"cpu.max": "1600000 100000\n"}, machine, 0, 8, none},
		{"a part of a processor", "0::/\n", map[string]string{"cpu.max": "10000 100000\n"}, machine, 0, 1, none},
		{"version 1", "9:name=systemd:/\n8:pids:/docker/a\n5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\n",
			map[string]string{"memory/docker/a/memory.limit_in_bytes": "67108864\n",
				"memory/memory.limit_in_bytes":       "9223372036854771712\n",
				"memory/docker/a/memory.oom_control": control,
				"cpu/docker/a/cpu.cfs_quota_us":      "250000\n",
				"cpu/docker/a/cpu.cfs_period_us":     "100000\n",
				"cpu/cpu.cfs_quota_us":               "-1\n",
				"pids/docker/a/pids.max":             "12\n"}, 64 << 20, 2, 3, 12},
		{"a container of version 1", "8:pids:/docker/a\n5:cpu:/docker/a\n4:memory:/docker/a\n",
			map[string]string{"memory/memory.oom_control": control, "cpu/cpu.cfs_quota_us": "100000\n",
				"cpu/cpu.cfs_period_us": "50000\n", "pids/pids.max": "100\n"}, machine, 2, 2, 100},
	} {
		files := map[string]string{"proc/meminfo": "MemTotal:        524288 kB\nMemFree: 1 kB\n",
			"proc/self/cgroup": c.groups}
		for name, text := range c.files {
			files["sys/fs/cgroup/"+name] = text
		}
		dir := makeSystem(t, files, nil)
		root := os.DirFS(dir)
		memory, kills, processors, processes := MemoryLimit(root), MemoryKills(root), Processors(root, 8), groupLimit(dir)
		checktest.Truef(t, memory == c.memory && kills == c.kills && processors == c.processors && processes == c.processes,
			"%s: %d bytes, %d kills, %d processors, %d processes", c.name, memory, kills, processors, processes)
	}
	dir := t.TempDir()
	root := os.DirFS(dir)
	checktest.Truef(t, MemoryLimit(root) == 0 && MemoryKills(root) == 0 && Processors(root, 8) == 8 &&
		groupLimit(dir) == none, "a limit without /proc")
	checktest.Truef(t, MemoryLimit(os.DirFS("/")) >= 1<<20, "the memory of this machine is not known")
}

func TestHeapIsLargerOnlyWhileCollectionsFollowFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set []int
		idle := 0
		p := pacer{set: func(percent int) { set = append(set, percent) }, idle: func() { idle++ }}
		for _, c := range []struct {
			since time.Duration
			want  []int
			idle  int
		}{
			{0, nil, 0},
			{tooFast, nil, 0},
			{tooFast - 1, []int{busyPercent}, 0},
			{1, []int{busyPercent}, 0},
			{slow - 1, []int{busyPercent}, 0},
			{slow + 1, []int{busyPercent, littlePercent}, 1},
			{tooFast, []int{busyPercent, littlePercent}, 1},
			{0, []int{busyPercent, littlePercent, busyPercent}, 1},
		} {
			time.Sleep(c.since)
			synctest.Wait()
			if p.collected(); !slices.Equal(set, c.want) || idle != c.idle {
				t.Fatalf("after %v: %v and %d times idle, want %v and %d", c.since, set, idle, c.want, c.idle)
			}
		}
	})
}

func TestEachCollectionIsNoticed(t *testing.T) {
	collected := make(chan bool)
	end := make(chan bool)
	afterCollection(func() {
		select {
		case collected <- true:
		case <-end:
		}
	})
	for range 3 {
		runtime.GC()
		<-collected
	}
	close(end)
}

// A process whose clients stay connected, but send nothing, returns the memory of their last requests.
func TestMemoryIsReturnedWhileQuietClientsAreConnected(t *testing.T) {
	trimmed := make(chan bool, 10)
	m := &Trimmer{TrimHeap: func() { trimmed <- true }}
	m.Tick()
	m.Tick() // the process has not begun to serve
	checktest.Equal(t, len(trimmed), 0)
	m.left = 1
	for len(trimmed) == 0 {
		m.Tick()
		time.Sleep(time.Millisecond)
	}
}
