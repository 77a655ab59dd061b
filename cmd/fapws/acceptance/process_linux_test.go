package acceptance

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The figures of the server's process, as the kernel has them.

// rss returns the bytes of memory that are its own, without those of files.
func (s *server) rss() int { return s.status("RssAnon") << 10 }

// threads returns the number of its OS threads.
func (s *server) threads() int { return s.status("Threads") }

// pythonThreads returns how many threads for handlers were started. Those of Go
// come when it likes and never go.
func (s *server) pythonThreads() (n int) {
	s.t.Helper()
	tasks, err := os.ReadDir(s.proc("task"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, task := range tasks {
		name, _ := os.ReadFile(s.proc("task/" + task.Name() + "/comm"))
		if strings.HasPrefix(string(name), "fapws-py-") {
			n++
		}
	}
	return n
}

func (s *server) status(name string) int {
	s.t.Helper()
	text, err := os.ReadFile(s.proc("status"))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	s.t.Fatalf("no %s in %s", name, text)
	return 0
}

// descriptors returns what its open files are, by number.
func (s *server) descriptors() map[string]string {
	s.t.Helper()
	dir := s.proc("fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	open := map[string]string{}
	for _, e := range entries {
		if target, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			open[e.Name()] = target
		}
	}
	return open
}

// connections returns how many established connections its port has.
func (s *server) connections() (n int) {
	s.t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		s.t.Fatal(err)
	}
	_, port, _ := strings.Cut(s.address, ":")
	number, _ := strconv.Atoi(port)
	local := fmt.Sprintf("0100007F:%04X", number)
	const established = "01"
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == local && f[3] == established {
			n++
		}
	}
	return n
}

// socketOf returns the server's socket of a client on IPv4 as descriptors has it. The kernel forgets a
// connection before the server has heard that its client has gone.
func (s *server) socketOf(client net.Addr) string {
	s.t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		s.t.Fatal(err)
	}
	remote := fmt.Sprintf("0100007F:%04X", client.(*net.TCPAddr).Port)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 9 && f[2] == remote {
			return "socket:[" + f[9] + "]"
		}
	}
	s.t.Fatalf("no socket of %v", client)
	return ""
}

func (s *server) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name)
}

// handlers returns the processes that run handlers: the workers, if there are
// any, else the server itself.
func (s *server) handlers() (pids []int) {
	s.t.Helper()
	if !slices.Contains(s.cmd.Args, "--workers") {
		return []int{s.cmd.Process.Pid}
	}
	for pid := range childrenOf(s.t, s.cmd.Process.Pid) {
		pids = append(pids, pid)
	}
	return pids
}

// children returns the state ("S", "Z" ...) of each process that handlers have
// started.
func (s *server) children() map[int]string {
	s.t.Helper()
	return childrenOf(s.t, s.handlers()...)
}

func childrenOf(t *testing.T, parents ...int) map[int]string {
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

// openFiles returns how many descriptors the processes have that run handlers.
func (s *server) openFiles() (n int) {
	s.t.Helper()
	for _, pid := range s.handlers() {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			s.t.Fatal(err)
		}
		n += len(entries)
	}
	return n
}
