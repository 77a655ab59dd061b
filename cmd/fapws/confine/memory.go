package confine

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// UseLittleMemory sets the garbage collector for small machines, once. GOGC in the environment wins. It is for processes that have started:
// before, all that is on the heap stays, so collecting it would only take time.
func UseLittleMemory() {
	if os.Getenv("GOGC") == "" {
		(&pacer{set: setPercent}).follow()
	}
}

// MemoryLimit returns how many bytes of memory this process can use at most: those of the machine or, if that is less, of
// its control group or one above it. 0: not known. root is the root directory.
func MemoryLimit(root fs.FS) int64 {
	limit := installed(root)
	for _, dir := range CgroupDirs(root, "memory") {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			text, _ := fs.ReadFile(root, dir+"/"+name) // "max" is not a limit
			if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && (limit == 0 || n < limit) {
				limit = n
			}
		}
	}
	return limit
}

// MemoryKills returns how many processes of this process's control group the kernel has killed for want of memory.
// 0: no limit, or an unknown one. root is the root directory.
func MemoryKills(root fs.FS) (n int) {
	for _, dir := range CgroupDirs(root, "memory") {
		for _, name := range []string{"memory.events", "memory.oom_control"} {
			text, err := fs.ReadFile(root, dir+"/"+name)
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(text)) {
				if number, ok := strings.CutPrefix(line, "oom_kill "); ok {
					n, _ = strconv.Atoi(strings.TrimSpace(number))
				}
			}
			return n
		}
	}
	return 0
}

// MemoryExceeded returns a description of the limit of memory, if the kernel has killed processes of the control group for
// want of memory since Kills returned before, else "". root is the root directory.
func MemoryExceeded(root fs.FS, before int) string {
	if MemoryKills(root) <= before {
		return ""
	}
	return fmt.Sprintf("the memory limit of %d MiB was reached", MemoryLimit(root)>>20)
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
