package memory

import (
	"bytes"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Limit returns how many bytes of memory this process can use at most: those of the machine or, if that is less, of
// its control group (cgroups(7), version 2) or one above it. 0: not known. root is the root directory.
func Limit(root fs.FS) int64 {
	limit := installed(root)
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	_, group, ok := strings.Cut(string(groups), "0::/")
	if !ok {
		return limit
	}
	group, _, _ = strings.Cut(group, "\n")
	for dir := path.Join("sys/fs/cgroup", group); dir != "sys/fs" && dir != "."; dir = path.Dir(dir) {
		text, _ := fs.ReadFile(root, dir+"/memory.max") // "max" is no limit
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && (limit == 0 || n < limit) {
			limit = n
		}
	}
	return limit
}

// installed returns the memory of the machine in bytes, 0 if it is not known (proc(5), meminfo).
func installed(root fs.FS) int64 {
	text, _ := fs.ReadFile(root, "proc/meminfo")
	_, rest, _ := strings.Cut(string(text), "MemTotal:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}
