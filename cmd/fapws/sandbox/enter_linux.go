package sandbox

import "strings"

// Enter restricts this process, with all of its threads and the processes that they start, for good. What the kernel cannot
// restrict stays as it is: see Missing. The error is one line; the process must end then, since parts of the sandbox may
// be in force. It must be called once, on any goroutine.
func Enter(r *Rules) error {
	if err := restrict(r); err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	return filterSyscalls(r)
}

// Missing returns what Enter cannot restrict in this kernel, in words for one line, or "".
func Missing() string { return missing(landlockABI(), hasFilters()) }

func missing(abi int, filters bool) string {
	var without []string
	if abi < abiFiles {
		without = []string{"files, TCP ports and signals (no Landlock; Linux 5.13 or later, started with lsm=landlock,…)"}
	} else if abi < abiScopes {
		for _, part := range []struct {
			since int
			what  string
		}{
			{abiTruncate, "truncating files (Linux 6.2)"},
			{abiTCP, "TCP ports (Linux 6.7)"},
			{abiIoctl, "ioctl on devices (Linux 6.10)"},
			{abiScopes, "signals and abstract unix sockets (Linux 6.12)"},
		} {
			if abi < part.since {
				without = append(without, part.what)
			}
		}
	}
	if !filters {
		without = append(without, "system calls (no seccomp filters)")
	}
	return strings.Join(without, ", ")
}
