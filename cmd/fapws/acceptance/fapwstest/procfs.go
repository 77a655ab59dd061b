package fapwstest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Family returns the numbers of the server's process and its children.
func (s *Server) Family() []int {
	s.T.Helper()
	return append([]int{s.Cmd.Process.Pid}, s.Workers()...)
}

// RSS returns the bytes of memory that are its own, without those of files.
func (s *Server) RSS() int { return s.Status("RssAnon") << 10 }

// ProcessorTime returns the processor time that the server has used, to 10 ms.
func (s *Server) ProcessorTime() time.Duration {
	s.T.Helper()
	text, err := os.ReadFile(s.Proc("stat"))
	Must(s.T, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	Must(s.T, err)
	system, err := strconv.Atoi(fields[12])
	Must(s.T, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// Threads returns the number of its OS threads.
func (s *Server) Threads() int { return s.Status("Threads") }

// Status returns a number from /proc/PID/status of the server, in kB where it is an amount of memory.
func (s *Server) Status(name string) int {
	s.T.Helper()
	text := Read(s.T, s.Proc("status"))
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			Must(s.T, err)
			return n
		}
	}
	s.T.Fatalf("no %s in %s", name, text)
	return 0
}

// Descriptors returns what its open files are.
func (s *Server) Descriptors() []string {
	s.T.Helper()
	return DescriptorsOf(s.T, s.Cmd.Process.Pid)
}

// DescriptorsOf returns what the open files of a process are.
func DescriptorsOf(t *testing.T, pid int) (open []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(dir)
	Must(t, err)
	for _, e := range entries {
		if target, err := os.Readlink(dir + e.Name()); err == nil {
			open = append(open, target)
		}
	}
	return open
}

// Proc returns the path of a file about the server in /proc.
func (s *Server) Proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", s.Cmd.Process.Pid, name)
}

// Handlers returns the processes that run handlers: the workers, if there are
// any, else the server itself.
func (s *Server) Handlers() (pids []int) {
	s.T.Helper()
	if !slices.Contains(s.Cmd.Args, "--workers") && !slices.Contains(s.Cmd.Args, "--fork") {
		return []int{s.Cmd.Process.Pid}
	}
	return s.Workers()
}

// Children returns the state ("S", "Z" ...) of each process that handlers have
// started.
func (s *Server) Children() map[int]string {
	s.T.Helper()
	return ChildrenOf(s.T, s.Handlers()...)
}

// ChildrenOf returns the state of each child of these processes, by its number.
func ChildrenOf(t *testing.T, parents ...int) map[int]string {
	t.Helper()
	states := map[int]string{}
	entries, err := os.ReadDir("/proc")
	Must(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // the name may have spaces
		f := strings.Fields(rest)
		if parent, err := strconv.Atoi(f[1]); err == nil && slices.Contains(parents, parent) {
			states[pid] = f[0]
		}
	}
	return states
}

// Runs reports whether a process exists and has not ended. One that has ended stays until its parent waits for it, and not every
// process 1 does.
func Runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// OpenFiles returns how many descriptors the processes have that run handlers.
func (s *Server) OpenFiles() (n int) {
	s.T.Helper()
	for _, pid := range s.Handlers() {
		n += len(DescriptorsOf(s.T, pid))
	}
	return n
}
