package confine

import (
	"os"
	"testing"

	"fapws/runtime/checktest"
)

func TestLimitsAreReadFromTheMachineAndControlGroups(t *testing.T) {
	const none, machine = ^uint64(0), 512 << 20
	const events = "low 0\nhigh 0\nmax 1302\noom 4\noom_kill 3\noom_group_kill 0\n"
	const control = "oom_kill_disable 0\nunder_oom 1\noom_kill 2\n"
	for _, c := range []struct {
		name   string
		groups string            // contents of /proc/self/cgroup
		files  map[string]string // below /sys/fs/cgroup

		memory     int64
		kills      int
		processors int
		processes  uint64
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
