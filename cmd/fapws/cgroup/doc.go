// Package cgroup finds the control groups of this process (cgroups(7)), of version 1 and 2, and the processors that they let
// it use. Package memory reads the limits of memory in them. Its functions are safe for concurrent use.
package cgroup
