package fapwstest

import (
	"fmt"
	"regexp"
	"slices"
	"syscall"
)

// Signaled sends a signal and waits until the server's stderr has more matches of pattern than before.
func (s *Server) Signaled(sig syscall.Signal, pattern string) {
	s.T.Helper()
	said := func() int { return len(regexp.MustCompile(pattern).FindAllString(s.Stderr.String(), -1)) }
	before := said()
	s.Signal(sig)
	Eventually(s.T, fmt.Sprintf("another %q after signal %d", pattern, sig), func() bool { return said() > before })
}

// Reload reloads the server and returns when the new workers serve. The old workers may still be ending (see
// HasWorkers).
func (s *Server) Reload() { s.T.Helper(); s.Signaled(syscall.SIGHUP, "info reloaded") }

func (s *Server) Upgrade() { s.T.Helper(); s.Signaled(syscall.SIGUSR2, "info upgraded") }

func (s *Server) Workers() (pids []int) {
	s.T.Helper()
	for pid := range ChildrenOf(s.T, s.Cmd.Process.Pid) {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// HasWorkers waits until there are n workers, none of which is in the list old.
func (s *Server) HasWorkers(n int, old ...int) {
	s.T.Helper()
	Eventually(s.T, fmt.Sprint(n, " workers, none of ", old), func() bool {
		now := s.Workers()
		return len(now) == n && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(old, pid) })
	})
}
