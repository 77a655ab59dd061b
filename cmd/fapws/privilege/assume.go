package privilege

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Assume makes this process, with all of its threads, the identity for good,
// and proves it: every thread must have the new numbers everywhere, and none
// may become root again. After an error the process must end, since it may be
// half of each. A process that is the identity already stays as it is.
func (id *Identity) Assume() error {
	wasRoot := os.Geteuid() == 0
	if wasRoot {
		// Groups first: the right to change them goes with root.
		if err := syscall.Setgroups(id.Groups); err != nil {
			return fmt.Errorf("cannot set the groups of %s: %w", id, err)
		}
		if err := syscall.Setresgid(id.GID, id.GID, id.GID); err != nil {
			return fmt.Errorf("cannot become group of %s: %w", id, err)
		}
		if err := syscall.Setresuid(id.UID, id.UID, id.UID); err != nil {
			return fmt.Errorf("cannot become %s: %w", id, err)
		}
	}
	if err := id.verify(wasRoot); err != nil {
		return fmt.Errorf("giving up root for %s failed: %w", id, err)
	}
	return nil
}

// verify looks at what the kernel says of every thread.
func (id *Identity) verify(groups bool) error {
	const tasks = "/proc/self/task"
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return err
	}
	for _, t := range threads {
		status, err := os.ReadFile(tasks + "/" + t.Name() + "/status")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return err
		}
		if err := id.matches(string(status), groups); err != nil {
			return fmt.Errorf("thread %s: %w", t.Name(), err)
		}
	}
	if id.UID != 0 && (syscall.Setresuid(-1, 0, -1) == nil || syscall.Setuid(0) == nil) {
		return errors.New("the process can become root again")
	}
	return nil
}

// matches compares /proc/PID/status of a thread (proc_pid_status(5)) with the
// identity: real, effective, saved and file system numbers, capabilities, and
// the groups if they were set.
func (id *Identity) matches(status string, groups bool) error {
	found := map[string][]string{}
	for line := range strings.Lines(status) {
		name, rest, _ := strings.Cut(line, ":")
		found[name] = strings.Fields(rest)
	}
	for name, want := range map[string]int{"Uid": id.UID, "Gid": id.GID} {
		four := slices.Repeat([]string{strconv.Itoa(want)}, 4)
		if !slices.Equal(found[name], four) {
			return fmt.Errorf("its %s are %v, not all %d", name, found[name], want)
		}
	}
	if groups {
		want := make([]string, len(id.Groups))
		for i, g := range id.Groups {
			want[i] = strconv.Itoa(g)
		}
		if !slices.Equal(found["Groups"], want) {
			return fmt.Errorf("its groups are %v, not %v", found["Groups"], want)
		}
	}
	if id.UID == 0 || !groups {
		return nil
	}
	for _, name := range []string{"CapPrm", "CapEff"} {
		if len(found[name]) == 1 && strings.Trim(found[name][0], "0") != "" {
			return fmt.Errorf("it has kept capabilities (%s %s)", name, found[name][0])
		}
	}
	return nil
}
