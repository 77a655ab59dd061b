// Package limits ends the process with one line if a limit of the process (ulimit, setrlimit(2), pids
// cgroup) leaves too little for Go's runtime and Python, which would end in a dump of all threads or a
// traceback. It has no functions: limits.c checks the limits before Go's runtime starts.
package limits

import "C"
