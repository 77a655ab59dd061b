package confine

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// CgroupDirs returns the directories of the control group that limits a resource of this process, and of those above it.
// Version 1 has hierarchies for one or several controllers: "4:memory:/a", "3:cpu,cpuacct:/a" in /proc/self/cgroup; version
// 2 has one for all: "0::/a". In a container the directory of the group is missing, and the top has its limits. root is the
// root directory.
func CgroupDirs(root fs.FS, controller string) (dirs []string) {
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

// Processors returns how many of n processors this process can keep busy under the limits of its control groups, at least
// one: a limit of 1.5 lets it use two for a part of the time. root is the root directory.
func Processors(root fs.FS, n int) int {
	for _, dir := range CgroupDirs(root, "cpu") {
		quota, period := cgroupNumber(root, dir+"/cpu.cfs_quota_us"), cgroupNumber(root, dir+"/cpu.cfs_period_us")
		if text, err := fs.ReadFile(root, dir+"/cpu.max"); err == nil { // "50000 100000", or "max 100000"
			fields := strings.Fields(string(text))
			if len(fields) == 2 {
				quota, _ = strconv.Atoi(fields[0])
				period, _ = strconv.Atoi(fields[1])
			}
		}
		if quota > 0 && period > 0 { // otherwise it has no limit
			n = min(n, (quota+period-1)/period)
		}
	}
	return max(n, 1)
}

func cgroupNumber(root fs.FS, name string) int {
	text, _ := fs.ReadFile(root, name)
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
