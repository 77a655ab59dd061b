package fapwstest

import (
	"fmt"
	"slices"
)

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
