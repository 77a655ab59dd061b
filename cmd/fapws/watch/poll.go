package watch

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// mustPoll says why the kernel cannot be relied on, or "".
func (w *Watcher) mustPoll() string {
	if w.o.Poll {
		return "as requested"
	}
	for _, root := range w.tree.roots {
		if name := silentFileSystem(root); name != "" {
			return fmt.Sprintf("%s is on a %s file system", root, name)
		}
	}
	return ""
}

// poll switches to polling for the rest of the time. It reports the reason once.
func (w *Watcher) poll(why string) {
	if w.kernel != nil {
		w.kernel.Close()
		w.kernel = nil
	}
	w.o.Log(fmt.Sprintf("polling files every %v: %s", w.o.Interval, why))
}

// explain returns advice for an error of inotify (inotify_init1(2),
// inotify_add_watch(2)).
func explain(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "the limit of watches is reached (sysctl fs.inotify.max_user_watches)"
	case errors.Is(err, syscall.EMFILE):
		return "the limit of watchers is reached (sysctl fs.inotify.max_user_instances)"
	}
	return err.Error()
}

// errno returns the part of an error that does not repeat the path.
func errno(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
