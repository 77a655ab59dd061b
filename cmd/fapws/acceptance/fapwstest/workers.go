package fapwstest

import (
	"fmt"
	"regexp"
	"slices"
	"syscall"
)

// Signaled sends a signal, and waits until the server has written one more match of pattern to stderr than before.
func (s *Server) Signaled(sig syscall.Signal, pattern string) {
	s.T.Helper()
	said := func() int { return len(regexp.MustCompile(pattern).FindAllString(s.Stderr.String(), -1)) }
	before := said()
	s.Signal(sig)
	Eventually(s.T, fmt.Sprintf("another %q after signal %d", pattern, sig), func() bool { return said() > before })
}

// Reload has new workers load the code again, and waits until they serve. The old ones may still be ending: see HasWorkers.
func (s *Server) Reload() { s.T.Helper(); s.Signaled(syscall.SIGHUP, "info reloaded") }

// Upgrade has the program that is installed now take over, and waits until its workers serve, as Reload does.
func (s *Server) Upgrade() { s.T.Helper(); s.Signaled(syscall.SIGUSR2, "info upgraded") }

// Workers returns the process numbers of the workers.
func (s *Server) Workers() (pids []int) {
	s.T.Helper()
	for pid := range ChildrenOf(s.T, s.Cmd.Process.Pid) {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// HasWorkers waits until there are n, none of which is among old.
func (s *Server) HasWorkers(n int, old ...int) {
	s.T.Helper()
	Eventually(s.T, fmt.Sprint(n, " workers, none of ", old), func() bool {
		now := s.Workers()
		return len(now) == n && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(old, pid) })
	})
}
