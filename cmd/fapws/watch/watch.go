package watch

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"fapws/runtime/system"

	"github.com/fsnotify/fsnotify"
)

// Options names the files to watch.
type Options struct {
	// Dirs are folders, watched with all below them.
	Dirs []string

	// Include are patterns of files that count in addition to AlwaysInclude: *.html, templates/*.txt, or paths. One
	// without wildcards wins over Exclude, and one with a slash and without wildcards need not be in Dirs.
	// Symbolic links to that file, or to a directory on the way to it, may be replaced; it is looked at every second.
	Include []string

	// Exclude are patterns of files and directories that do not count, in addition to AlwaysExclude. Virtual
	// environments below Dirs never do.
	Exclude []string

	// Poll looks at all files every second, also where the kernel would report changes.
	Poll bool

	// Log gets lines for the user, one at a time, on any goroutine.
	Log func(line string)
}

// Tests change these.
var (
	maxFolders = 4096 // that are watched
	interval   = time.Second

	// quiet is the time without another change after which a change is reported: an editor takes some steps to save, a checkout many.
	quiet = 50 * time.Millisecond
)

// longest is how long quiet is waited for.
const longest = time.Second

// Change lists the changes of files since the previous Change.
type Change struct {
	Path string // of one of them, as the user would write it
	What string // changed, added or removed
	More int    // others
}

// String is "app.py changed", as the log says it.
func (c Change) String() string {
	switch c.More {
	case 0:
		return c.Path + " " + c.What
	case 1:
		return c.Path + " and 1 other file changed"
	}
	return fmt.Sprintf("%s and %d other files changed", c.Path, c.More)
}

// Watcher watches until Close.
type Watcher struct {
	// Changes receives the changes. A reader that is late finds one Change
	// for all of it. It is closed by Close.
	Changes <-chan Change

	o     Options
	tree  tree
	cwd   string
	stop  chan struct{}
	ended sync.WaitGroup
	once  sync.Once

	kernel *fsnotify.Watcher // nil: it is polled
	found  map[string]string // files that have changed, not told yet: added, changed, removed
	told   bool              // that there are too many folders
}

// Start begins to watch; it reports changes made after it has returned. An error
// is one line: a folder is not there, or a pattern has no meaning.
func Start(o Options) (*Watcher, error) {
	w, err := newWatcher(o)
	if err != nil {
		return nil, err
	}
	if why := w.mustPoll(); why != "" {
		w.poll(why)
	} else if w.kernel, err = fsnotify.NewBufferedWatcher(256); err != nil {
		w.poll(explain(err))
	}
	w.look()
	clear(w.found)
	changes := make(chan Change)
	w.Changes = changes
	w.ended.Go(func() { w.run(changes) })
	return w, nil
}

// newWatcher returns a Watcher that has not looked yet.
func newWatcher(o Options) (*Watcher, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("cannot watch: %w", err)
	}
	w := &Watcher{o: o, cwd: cwd, stop: make(chan struct{}), found: map[string]string{}}
	for _, dir := range o.Dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, fmt.Errorf("cannot watch %s: %w", dir, system.Cause(err))
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("cannot watch %s: it is not a directory", dir)
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return nil, fmt.Errorf("cannot watch: %w", err)
		}
		w.tree.roots = append(w.tree.roots, dir)
	}
	w.tree.patterns, err = newPatterns(&o, cwd, w.tree.roots)
	return w, err
}

// Close ends the watching. It is safe for concurrent use and may be called again; a nil Watcher
// has nothing to end.
func (w *Watcher) Close() {
	if w == nil {
		return
	}
	w.once.Do(func() { close(w.stop) })
	w.ended.Wait()
}

func (w *Watcher) run(changes chan<- Change) {
	defer close(changes)
	defer func() {
		if w.kernel != nil {
			w.kernel.Close()
		}
	}()
	settled := time.NewTimer(longest)
	settled.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var since time.Time // of the first sign of a change that has not been looked at; zero: there is none
	for {
		var events chan fsnotify.Event
		var failures chan error
		if w.kernel != nil {
			events, failures = w.kernel.Events, w.kernel.Errors
		}
		var to chan<- Change
		var change Change
		if since.IsZero() && len(w.found) > 0 {
			to, change = changes, w.change()
		}
		sign := false
		select {
		case <-w.stop:
			return
		case to <- change:
			clear(w.found)
		case e, ok := <-events:
			if !ok {
				w.poll("the kernel reports no more events")
				break
			}
			sign = w.tree.concerns(e)
		case err := <-failures:
			// fsnotify.ErrEventOverflow, or something else that was lost.
			w.o.Log(fmt.Sprintf("watching files: %v; checking all of them", err))
			sign = true
		case <-tick.C:
			if w.kernel != nil {
				sign = w.tree.unreported()
			} else {
				sign = w.look()
			}
		case <-settled.C:
			// Polled, no event has reported that it is quiet now.
			sign = w.look() && w.kernel == nil && time.Since(since) < longest
			if !sign {
				since = time.Time{}
			}
		}
		if sign {
			if since.IsZero() {
				since = time.Now()
			}
			settled.Reset(min(quiet, time.Until(since.Add(max(longest, quiet)))))
		}
	}
}

// look compares all files with what they were at the last look, and reports whether there are more changes.
func (w *Watcher) look() (more bool) {
	if w.kernel != nil {
		for _, dir := range w.tree.moved() {
			_ = w.kernel.Remove(dir) // the kernel may have done so itself
		}
	}
	found := w.tree.look(w.enter)
	for path, what := range found {
		if before := w.found[path]; before != "" && before != what {
			what = "changed"
		}
		w.found[path] = what
	}
	if w.tree.full && !w.told {
		w.told = true
		w.o.Log(fmt.Sprintf("watching only the %d nearest directories: name the important ones with --reload-dir, or exclude some with --reload-exclude",
			maxFolders))
	}
	return len(found) > 0
}

// change is the difference between two walks.
func (w *Watcher) change() Change {
	rank := map[string]string{"changed": "1", "added": "2", "removed": "3"} // the name that says most
	path := slices.MinFunc(slices.Collect(maps.Keys(w.found)), func(a, b string) int {
		return strings.Compare(rank[w.found[a]]+a, rank[w.found[b]]+b)
	})
	return Change{Path: w.shown(path), What: w.found[path], More: len(w.found) - 1}
}

// shown is a path as short as it can be.
func (w *Watcher) shown(path string) string {
	for _, from := range append([]string{w.cwd}, w.tree.roots...) {
		if rest, below := strings.CutPrefix(path, strings.TrimSuffix(from, "/")+"/"); below {
			return rest
		}
	}
	return path
}

// enter has the kernel tell of a folder.
func (w *Watcher) enter(dir string) {
	if w.kernel == nil {
		return
	}
	err := w.kernel.Add(dir)
	if err != nil && !os.IsNotExist(err) && !os.IsPermission(err) {
		w.poll(explain(err))
	}
}

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
	w.o.Log(fmt.Sprintf("polling files every %v: %s", interval, why))
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
