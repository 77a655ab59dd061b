package confine

import (
	"os"
	"testing"
	"testing/fstest"
)

func TestMemoryLimitIsReadFromMachineAndControlGroup(t *testing.T) {
	meminfo := &fstest.MapFile{Data: []byte("MemTotal:        524288 kB\nMemFree: 1 kB\n")}
	group := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  int64
	}{
		{"nothing is known", fstest.MapFS{}, 0},
		{"the machine", fstest.MapFS{"proc/meminfo": meminfo}, 512 << 20},
		{"no limit of the group", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("0::/a\n"),
			"sys/fs/cgroup/a/memory.max": group("max\n")}, 512 << 20},
		{"its group", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("0::/a/b.service\n"),
			"sys/fs/cgroup/a/b.service/memory.max": group("67108864\n")}, 64 << 20},
		{"a group above it", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("12:cpu:/x\n0::/a/b\n"),
			"sys/fs/cgroup/a/memory.max": group("1048576\n"), "sys/fs/cgroup/a/b/memory.max": group("max")}, 1 << 20},
		{"a container", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("0::/\n"),
			"sys/fs/cgroup/memory.max": group("33554432\n")}, 32 << 20},
		{"more than the machine has", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("0::/\n"),
			"sys/fs/cgroup/memory.max": group("1073741824\n")}, 512 << 20},
		{"version 1", fstest.MapFS{"proc/meminfo": meminfo,
			"proc/self/cgroup": group("8:pids:/\n4:memory:/docker/a\n0::/\n"),
			"sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes": group("67108864\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":          group("9223372036854771712\n")}, 64 << 20},
	} {
		if got := MemoryLimit(c.files); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if MemoryLimit(os.DirFS("/")) < 1<<20 {
		t.Error("the memory of this machine is not known")
	}
}

func TestKillsOfAControlGroupAreCounted(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	events := file("low 0\nhigh 0\nmax 1302\noom 4\noom_kill 3\noom_group_kill 0\n")
	control := file("oom_kill_disable 0\nunder_oom 1\noom_kill 2\n")
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  int
	}{
		{"nothing is known", fstest.MapFS{}, 0},
		{"version 2", fstest.MapFS{"proc/self/cgroup": file("0::/system.slice/fapws.service\n"),
			"sys/fs/cgroup/system.slice/fapws.service/memory.events": events,
			"sys/fs/cgroup/system.slice/memory.events":               file("oom_kill 99\n")}, 3},
		{"a container", fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.events": events}, 3},
		{"version 1", fstest.MapFS{"proc/self/cgroup": file("9:name=systemd:/\n4:memory:/a\n0::/\n"),
			"sys/fs/cgroup/memory/a/memory.oom_control": control}, 2},
		{"a container of version 1", fstest.MapFS{"proc/self/cgroup": file("4:memory:/docker/a\n"),
			"sys/fs/cgroup/memory/memory.oom_control": control}, 2},
		{"before Linux 4.13", fstest.MapFS{"proc/self/cgroup": file("4:memory:/a\n"),
			"sys/fs/cgroup/memory/a/memory.oom_control": file("oom_kill_disable 0\nunder_oom 0\n")}, 0},
	} {
		if got := MemoryKills(c.files); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
