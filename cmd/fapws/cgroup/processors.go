package cgroup

import (
	"io/fs"
	"strconv"
	"strings"
)

// Processors returns how many of n processors this process can keep busy under the limits of its control groups, at least
// one: a limit of 1.5 lets it use two for a part of the time. root is the root directory.
func Processors(root fs.FS, n int) int {
	for _, dir := range Dirs(root, "cpu") {
		quota, period := number(root, dir+"/cpu.cfs_quota_us"), number(root, dir+"/cpu.cfs_period_us")
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

func number(root fs.FS, name string) int {
	text, _ := fs.ReadFile(root, name)
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
