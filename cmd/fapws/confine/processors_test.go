package confine

import (
	"testing"
	"testing/fstest"
)

func TestProcessorsAreLimitedByControlGroups(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  int
	}{
		{"nothing is known", fstest.MapFS{}, 8},
		{"no limit", fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("max 100000\n")},
			8},
		{"version 2", fstest.MapFS{"proc/self/cgroup": file("0::/a/b.service\n"),
			"sys/fs/cgroup/a/b.service/cpu.max": file("200000 100000\n")}, 2},
		{"a part of a processor", fstest.MapFS{"proc/self/cgroup": file("0::/a\n"),
			"sys/fs/cgroup/a/cpu.max": file("10000 100000\n")}, 1},
		{"one and a half", fstest.MapFS{"proc/self/cgroup": file("0::/a\n"),
			"sys/fs/cgroup/a/cpu.max": file("150000 100000\n")}, 2},
		{"a group above it", fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/cpu.max": file("400000 100000\n"), "sys/fs/cgroup/a/cpu.max": file("300000 100000\n")},
			3},
		{"a container", fstest.MapFS{"proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/cpu.max": file("400000 100000\n")}, 4},
		{"more than the machine has", fstest.MapFS{"proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/cpu.max": file("1600000 100000\n")}, 8},
		{"version 1", fstest.MapFS{"proc/self/cgroup": file("5:cpu,cpuacct:/docker/a\n0::/\n"),
			"sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us":  file("250000\n"),
			"sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us": file("100000\n"),
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":           file("-1\n")}, 3},
		{"a container of version 1", fstest.MapFS{"proc/self/cgroup": file("5:cpu:/docker/a\n"),
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  file("100000\n"),
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": file("50000\n")}, 2},
	} {
		if got := Processors(c.files, 8); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
