package fapwstest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func (s *Server) Family() []int {
	s.T.Helper()
	return append([]int{s.Cmd.Process.Pid}, s.Workers()...)
}

// RSS returns the resident memory of the server in bytes, without mapped files.
func (s *Server) RSS() int { return s.Status("RssAnon") << 10 }

// GrownAtMost fails if the server has more memory than base and this number of bytes.
func (s *Server) GrownAtMost(base, bytes int) {
	s.T.Helper()
	grown := s.RSS() - base
	Truef(s.T, grown <= bytes, "the server has %d MiB more", grown>>20)
}

// statOf returns the fields of /proc/PID/stat from the state on, or nil if the process does not exist.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

// ProcessorTime returns the CPU time that the server has used, in steps of 10 ms.
func (s *Server) ProcessorTime() time.Duration {
	s.T.Helper()
	fields := statOf(s.Cmd.Process.Pid)
	user, system := Try(strconv.Atoi(fields[11])).Must(s.T), Try(strconv.Atoi(fields[12])).Must(s.T)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// MinorFaults returns how many pages the kernel has mapped for the server without reading a file.
func (s *Server) MinorFaults() int {
	s.T.Helper()
	return Try(strconv.Atoi(statOf(s.Cmd.Process.Pid)[7])).Must(s.T)
}

func (s *Server) Threads() int { return s.Status("Threads") }

// Switches returns how often the threads of the server have given up a processor, which counts their sleeps.
func (s *Server) Switches() (n int) {
	s.T.Helper()
	threads := Try(filepath.Glob(s.Proc("task/*/status"))).Must(s.T)
	for _, name := range threads {
		text, _ := os.ReadFile(name) // fails if the thread has ended
		_, rest, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:\t")
		count, _, _ := strings.Cut(rest, "\n")
		switches, _ := strconv.Atoi(count)
		n += switches
	}
	return n
}

// Status returns a number from /proc/PID/status. Sizes of memory are in kB.
func (s *Server) Status(name string) int {
	s.T.Helper()
	text := Read(s.T, s.Proc("status"))
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			return Try(strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))).Must(s.T)
		}
	}
	s.T.Fatalf("no %s in %s", name, text)
	return 0
}

func (s *Server) Descriptors() []string {
	s.T.Helper()
	return DescriptorsOf(s.T, s.Cmd.Process.Pid)
}

func DescriptorsOf(t *testing.T, pid int) (open []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	for _, e := range Try(os.ReadDir(dir)).Must(t) {
		// The server reads files of /proc now and then.
		if target, err := os.Readlink(dir + e.Name()); err == nil && !strings.HasPrefix(target, "/proc/") {
			open = append(open, target)
		}
	}
	return open
}

func (s *Server) Proc(name string) string { return fmt.Sprintf("/proc/%d/%s", s.Cmd.Process.Pid, name) }

// Handlers returns the processes that run handlers: the workers, or the server itself if it has no workers.
func (s *Server) Handlers() (pids []int) {
	s.T.Helper()
	if !slices.Contains(s.Cmd.Args, "--workers") && !slices.Contains(s.Cmd.Args, "--fork") {
		return []int{s.Cmd.Process.Pid}
	}
	return s.Workers()
}

// Children returns the processes that handlers have started, with their states ("S", "Z" ...).
func (s *Server) Children() map[int]string {
	s.T.Helper()
	return ChildrenOf(s.T, s.Handlers()...)
}

func ChildrenOf(t *testing.T, parents ...int) map[int]string {
	t.Helper()
	states := map[int]string{}
	for _, e := range Try(os.ReadDir("/proc")).Must(t) {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		f := statOf(pid)
		if f == nil {
			continue
		}
		if parent, err := strconv.Atoi(f[1]); err == nil && slices.Contains(parents, parent) {
			states[pid] = f[0]
		}
	}
	return states
}

// Kill sends a signal to each process.
func Kill(t *testing.T, sig syscall.Signal, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		Mustf(t, syscall.Kill(pid, sig), "%v for process %d", sig, pid)
	}
}

// Runs reports whether a process exists and is not a zombie. In some containers, process 1 (init) does not reap
// orphans, so zombies may remain.
func Runs(pid int) bool {
	f := statOf(pid)
	return f != nil && f[0] != "Z"
}

// HaveEnded waits until none of the processes runs. subject names them in the message of an error.
func HaveEnded(t *testing.T, subject string, pids ...int) {
	t.Helper()
	Eventually(t, fmt.Sprint(subject, ": ", pids), func() bool { return !slices.ContainsFunc(pids, Runs) })
}

// OpenFiles counts the descriptors of the processes that run handlers.
func (s *Server) OpenFiles() (n int) {
	s.T.Helper()
	for _, pid := range s.Handlers() {
		n += len(DescriptorsOf(s.T, pid))
	}
	return n
}
