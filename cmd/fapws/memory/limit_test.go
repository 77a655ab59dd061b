package memory

import (
	"os"
	"testing"
	"testing/fstest"
)

func TestLimit(t *testing.T) {
	meminfo := &fstest.MapFile{Data: []byte("MemTotal:        524288 kB\nMemFree: 1 kB\n")}
	group := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  int64
	}{
		{"nothing is known", fstest.MapFS{}, 0},
		{"the machine", fstest.MapFS{"proc/meminfo": meminfo}, 512 << 20},
		{"no limit of the group", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("0::/a\n"), "sys/fs/cgroup/a/memory.max": group("max\n")}, 512 << 20},
		{"its group", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("0::/a/b.service\n"), "sys/fs/cgroup/a/b.service/memory.max": group("67108864\n")}, 64 << 20},
		{"a group above it", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("12:cpu:/x\n0::/a/b\n"), "sys/fs/cgroup/a/memory.max": group("1048576\n"), "sys/fs/cgroup/a/b/memory.max": group("max")}, 1 << 20},
		{"a container", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("0::/\n"), "sys/fs/cgroup/memory.max": group("33554432\n")}, 32 << 20},
		{"more than the machine has", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": group("0::/\n"), "sys/fs/cgroup/memory.max": group("1073741824\n")}, 512 << 20},
	} {
		if got := Limit(c.files); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if Limit(os.DirFS("/")) < 1<<20 {
		t.Error("the memory of this machine is not known")
	}
}
