package fapwstest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Family returns the numbers of the server's process and its children.
func (s *Server) Family() []int {
	s.T.Helper()
	pid := s.Cmd.Process.Pid
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		s.T.Fatal(err)
	}
	all := []int{pid}
	for _, name := range threads { // a child is that of the thread that started it
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(field)
			all = append(all, n)
		}
	}
	return all
}

// RSS returns the bytes of memory that are its own, without those of files.
func (s *Server) RSS() int { return s.Status("RssAnon") << 10 }

// Threads returns the number of its OS threads.
func (s *Server) Threads() int { return s.Status("Threads") }

// Status returns a number from /proc/PID/status of the server, in kB where it is an amount of memory.
func (s *Server) Status(name string) int {
	s.T.Helper()
	text, err := os.ReadFile(s.Proc("status"))
	if err != nil {
		s.T.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				s.T.Fatal(err)
			}
			return n
		}
	}
	s.T.Fatalf("no %s in %s", name, text)
	return 0
}

// Descriptors returns what its open files are, by number.
func (s *Server) Descriptors() map[string]string {
	s.T.Helper()
	dir := s.Proc("fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.T.Fatal(err)
	}
	open := map[string]string{}
	for _, e := range entries {
		if target, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			open[e.Name()] = target
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
	for pid := range ChildrenOf(s.T, s.Cmd.Process.Pid) {
		pids = append(pids, pid)
	}
	return pids
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
	if err != nil {
		t.Fatal(err)
	}
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
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			s.T.Fatal(err)
		}
		n += len(entries)
	}
	return n
}
