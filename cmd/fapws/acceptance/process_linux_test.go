package acceptance

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// The figures of the server's process, as the kernel has them.

// rss returns the bytes of memory that are its own, without those of files.
func (s *server) rss() int { return s.status("RssAnon") << 10 }

// threads returns the number of its OS threads.
func (s *server) threads() int { return s.status("Threads") }

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

func (s *server) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name)
}

// children returns the state of each of its child processes: "S", "Z" ...
func (s *server) children() map[int]string {
	s.t.Helper()
	states := map[int]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.t.Fatal(err)
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
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(s.cmd.Process.Pid) {
			states[pid] = f[0]
		}
	}
	return states
}
