package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// controlGroup returns the directory of the control group for servers with limited memory, and the name of the file
// with the limit.
func controlGroup() (group, limit string) {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return "/sys/fs/cgroup/fapws-bench", "memory.max"
	}
	return "/sys/fs/cgroup/memory/fapws-bench", "memory.limit_in_bytes"
}

// removeControlGroup must be called after all servers have stopped.
func removeControlGroup() {
	group, _ := controlGroup()
	_ = os.Remove(group) // The directory does not exist if no server had limited memory, so ignore the error.
}

// limitMemory returns a command that runs command, as root, in a control group with a limit of memory, in bytes.
func limitMemory(command []string, bytes int64) ([]string, error) {
	group, limit := controlGroup()
	err := os.MkdirAll(group, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(group, limit), []byte(strconv.FormatInt(bytes, 10)), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("no control group with a limit of memory: %w", err)
	}
	shell := []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(group, "cgroup.procs")}
	return append(shell, command...), nil
}
