package accept

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openFiles returns the limit of open files of this process, 0 if it is not known.
func openFiles() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur)
}

// openFilesIntact returns an error, of one line, if no client can connect because the application has lowered the limit
// of open files. It is safe for concurrent use.
func (a *Acceptor) openFilesIntact() error {
	if now := openFiles(); a.short.Load() && now < a.openFiles {
		return fmt.Errorf("the application lowered the limit of open files (RLIMIT_NOFILE) from %d to %d, so no client can connect", a.openFiles, now)
	}
	return nil
}
