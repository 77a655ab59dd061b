//go:build cgo

package confine

import "testing"

func TestLowestProcessLimitOfControlGroupsIsUsed(t *testing.T) {
	const none = ^uint64(0)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  uint64
	}{
		{"nothing is known", nil, none},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/pids.max": "max\n"}, none},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/a/b.service\n",
			"sys/fs/cgroup/a/b.service/pids.max": "30\n", "sys/fs/cgroup/a/pids.max": "4915\n"}, 30},
		{"a group above it", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/pids.max": "max\n",
			"sys/fs/cgroup/a/pids.max": "20\n"}, 20},
		{"a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/pids.max": "64\n"}, 64},
		{"version 1", map[string]string{"proc/self/cgroup": "9:name=systemd:/\n8:pids:/docker/a\n0::/\n",
			"sys/fs/cgroup/pids/docker/a/pids.max": "12\n"}, 12},
		{"a container of version 1", map[string]string{"proc/self/cgroup": "8:pids:/docker/a\n",
			"sys/fs/cgroup/pids/pids.max": "100\n"}, 100},
	} {
		if got := groupLimit(makeSystem(t, c.files, nil)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
