package cgroup

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Dirs returns the directories of the control group that limits a resource of this process, and of those above it.
// Version 1 has hierarchies for one or several controllers: "4:memory:/a", "3:cpu,cpuacct:/a" in /proc/self/cgroup; version
// 2 has one for all: "0::/a". In a container the directory of the group is missing, and the top has its limits. root is the
// root directory.
func Dirs(root fs.FS, controller string) (dirs []string) {
	text, _ := fs.ReadFile(root, "proc/self/cgroup")
	tops := map[bool]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 || !strings.HasPrefix(fields[2], "/") {
			continue
		}
		if unified := fields[0] == "0" && fields[1] == ""; unified || slices.Contains(strings.Split(fields[1], ","), controller) {
			tops[unified] = strings.TrimPrefix(fields[2], "/")
		}
	}
	for _, h := range []struct {
		unified bool
		top     string
	}{{false, "sys/fs/cgroup/" + controller}, {true, "sys/fs/cgroup"}} {
		group, ok := tops[h.unified]
		if !ok {
			continue
		}
		for ; ; group = path.Dir(group) {
			dirs = append(dirs, path.Join(h.top, group))
			if group == "" || group == "." {
				return dirs
			}
		}
	}
	return nil
}
