package watch

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"fapws/runtime/system"

	"github.com/fsnotify/fsnotify"
)

type Options struct {
	// Base is the absolute path of the directory to which relative paths refer. If a part of Base is a symbolic link
	// and gets a new target, the Watcher uses the new target.
	Base string

	// Dirs are watched with all directories below them.
	Dirs []string

	// Include are patterns of files to watch in addition to AlwaysInclude: *.html, templates/*.txt, or paths. A pattern
	// without wildcards overrides Exclude. If such a pattern contains a slash, the file may be outside of Dirs. If the
	// file or a directory in its path is a symbolic link, the link may get a new target.
	Include []string

	// Exclude are patterns of files and directories that are not watched, in addition to AlwaysExclude. Virtual
	// environments below Dirs are never watched.
	Exclude []string

	// Log is called on any goroutine, one call at a time.
	Log func(line string)
}

var (
	maxFolders = 4096

	// interval is the minimum pause between scans. To limit the CPU time, a pause is also at least restsPerLook times
	// as long as a scan.
	interval = 500 * time.Millisecond

	// A change is reported when no file has changed for the time quiet, because an editor or a checkout changes files
	// in several steps.
	quiet = 50 * time.Millisecond
)

const (
	restsPerLook = 50

	// longest limits how long a report is delayed while files continue to change.
	longest = time.Second
)

type Watcher struct {
	log   func(line string)
	tree  tree
	base  string
	roots chan []string
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	ended sync.WaitGroup

	// state of the changed files that were not reported yet: added, changed or removed
	found map[string]string
	told  bool // the warning about too many folders was logged
}

// Start scans the files for the first time. The error is one line: a folder is missing, or a pattern is invalid.
func Start(o Options) (*Watcher, error) {
	w, err := newWatcher(o)
	if err != nil {
		return nil, err
	}
	// An error means that the inotify watches of the user are exhausted.
	w.tree.kernel, _ = fsnotify.NewBufferedWatcher(256)
	w.look()
	clear(w.found)
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w, nil
}

// Report calls the function changed, on a separate goroutine, with a description of the files that have changed since
// Start, such as "app.py changed". Changes during a call are reported together in the next call. A nil Watcher does
// nothing.
func (w *Watcher) Report(changed func(subject string)) {
	if w != nil {
		w.ended.Go(func() { w.run(changed) })
	}
}

func newWatcher(o Options) (*Watcher, error) {
	var err error
	w := &Watcher{log: o.Log, base: filepath.Clean(o.Base), roots: make(chan []string, 1),
		found: map[string]string{}}
	for _, dir := range o.Dirs {
		root := absolute(w.base, dir)
		info, err := os.Stat(root)
		if err != nil {
			return nil, fmt.Errorf("cannot watch %s: %w", dir, system.Cause(err))
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("cannot watch %s: it is not a directory", dir)
		}
		w.tree.roots = append(w.tree.roots, root)
	}
	w.tree.patterns, err = newPatterns(&o, w.base, w.tree.roots)
	return w, err
}

func absolute(base, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}

// Watch replaces the watched directories without waiting. Only one goroutine may call Watch.
func (w *Watcher) Watch(dirs []string) {
	for i, dir := range dirs {
		dirs[i] = absolute(w.base, dir)
	}
	select {
	// Replace the directories of a previous call that are not watched yet.
	case <-w.roots:
	default:
	}
	w.roots <- dirs
}

// Close is safe for concurrent use and may be called again. A nil Watcher does nothing.
func (w *Watcher) Close() {
	if w != nil {
		w.stop()
		w.ended.Wait()
	}
}

func (w *Watcher) run(changed func(subject string)) {
	var events <-chan fsnotify.Event
	var failures <-chan error
	if kernel := w.tree.kernel; kernel != nil {
		defer kernel.Close()
		events, failures = kernel.Events, kernel.Errors
	}
	next := time.NewTimer(interval)
	defer next.Stop()
	// time of the first change in an unfinished series of changes; zero if no file is changing
	var since time.Time
	soon := false // the next scan is due within the time quiet
	for {
		select {
		case <-w.ctx.Done():
			return
		case roots := <-w.roots:
			if !slices.Equal(roots, w.tree.roots) {
				found := maps.Clone(w.found)
				w.tree.roots = roots
				// Record the state of files that were not watched before, without reporting changes.
				w.look()
				w.found = found
			}
		case e := <-events:
			if !soon && w.concerns(e) {
				soon = true
				next.Reset(quiet)
			}
		// Kernel events were lost, so the periodic scan finds the changes.
		case <-failures:
		case now := <-next.C:
			more := w.look()
			pause := max(interval, restsPerLook*time.Since(now))
			if more && (since.IsZero() || now.Sub(since) < longest) {
				if since.IsZero() {
					since = now
				}
				pause = quiet
			} else {
				since = time.Time{}
				w.tell(changed)
			}
			next.Reset(pause)
			soon = pause == quiet
		}
	}
}

// concerns reports whether an event is about a watched file. Files that are not watched, such as a database or a log,
// may change often.
func (w *Watcher) concerns(e fsnotify.Event) bool {
	if w.tree.patterns.file(e.Name) {
		return e.Op != fsnotify.Chmod
	}
	info, err := os.Stat(e.Name)
	return err == nil && info.IsDir() && e.Has(fsnotify.Create)
}

func (w *Watcher) look() (changed bool) {
	found := w.tree.look()
	for path, what := range found {
		if before := w.found[path]; before != "" && before != what {
			what = "changed"
		}
		w.found[path] = what
	}
	if w.tree.full && !w.told {
		w.told = true
		w.log(fmt.Sprintf("watching only the %d nearest directories: name the important ones with --reload-dir, or "+
			"exclude some with --reload-exclude", maxFolders))
	}
	return len(found) > 0
}

// tell reports the changes in w.found, if any.
func (w *Watcher) tell(changed func(subject string)) {
	if len(w.found) == 0 {
		return
	}
	rank := map[string]string{"changed": "1", "added": "2", "removed": "3"} // the most informative file comes first
	path := slices.MinFunc(slices.Collect(maps.Keys(w.found)), func(a, b string) int {
		return strings.Compare(rank[w.found[a]]+a, rank[w.found[b]]+b)
	})
	text := w.shown(path)
	switch others := len(w.found) - 1; others {
	case 0:
		text += " " + w.found[path]
	case 1:
		text += " and 1 other file changed"
	default:
		text += fmt.Sprintf(" and %d other files changed", others)
	}
	clear(w.found)
	changed(text)
}

func (w *Watcher) shown(path string) string {
	for _, from := range append([]string{w.base}, w.tree.roots...) {
		if rest, below := strings.CutPrefix(path, strings.TrimSuffix(from, "/")+"/"); below {
			return rest
		}
	}
	return path
}
