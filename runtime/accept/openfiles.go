package accept

import (
	"fmt"

	"golang.org/x/sys/unix"

	"fapws/runtime/listen"
	"fapws/runtime/loglevel"
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

// hint returns the end of a line about an error of accept: the limit that was reached, and how to raise it.
func hint(err error) string {
	if err != unix.EMFILE {
		return ""
	}
	return fmt.Sprintf(" (ulimit -n %d); raise LimitNOFILE of systemd or ulimit -n, or lower --max-clients", openFiles())
}

// warnFull logs that clients at ln do not get in because of Config.MaxClients, whose default follows from the limit of open files.
func (a *Acceptor) warnFull(ln *listen.Listener) {
	if !a.Full() || !ln.Queued() || !a.fullWarnings.Once(warnsEvery) {
		return
	}
	fate := "wait"
	if a.cfg.Refuse {
		fate = "get 503"
	}
	a.Log(loglevel.Warning, "max-clients reached: %d connections are open, further clients %s; raise --max-clients, or the limit of open files "+
		"that its default follows from (ulimit -n %d, LimitNOFILE of systemd)", a.clients, fate, openFiles())
}
