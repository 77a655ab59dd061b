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

	o       Options
	tree    *tree
	cwd     string
	changes chan Change
	stop    chan struct{}
	ended   sync.WaitGroup
	once    sync.Once

	kernel *fsnotify.Watcher // nil: it is polled
	dirty  map[string]bool   // files to look at when it is quiet
	found  map[string]string // files that have changed, not told yet: added, changed, removed
	since  time.Time         // of the first event for them
	told   bool              // that there are too many folders

	restless bool // the last event was about such files
}

// Start begins to watch; it reports changes made after it has returned. An error
// is one line: a folder is not there, or a pattern has no meaning.
func Start(o Options) (*Watcher, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("cannot watch: %w", err)
	}
	p, err := newPatterns(&o, cwd)
	if err != nil {
		return nil, err
	}
	var roots []string
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
		roots = append(roots, dir)
	}
	w := &Watcher{o: o, cwd: cwd, changes: make(chan Change, 1), stop: make(chan struct{}), dirty: map[string]bool{}, found: map[string]string{}}
	w.Changes = w.changes
	w.tree = &tree{patterns: p, roots: roots, enter: w.enter, leave: w.leave,
		folders: map[string]fileID{}, seen: map[fileID]string{}, files: map[string]stamp{}, single: map[string]bool{}}
	if why := w.mustPoll(); why != "" {
		w.poll(why)
	} else if w.kernel, err = fsnotify.NewBufferedWatcher(256); err != nil {
		w.poll(explain(err))
	}
	for _, path := range w.tree.scanAll() {
		w.tree.files[path] = take(path, stamp{})
	}
	w.tooMany()
	w.ended.Go(w.run)
	return w, nil
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

func (w *Watcher) run() {
	defer close(w.changes)
	defer func() {
		if w.kernel != nil {
			w.kernel.Close()
		}
	}()
	settled := time.NewTimer(longest)
	settled.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		var events chan fsnotify.Event
		var failures chan error
		if w.kernel != nil {
			events, failures = w.kernel.Events, w.kernel.Errors
		}
		select {
		case <-w.stop:
			return
		case e, ok := <-events:
			if !ok {
				w.poll("the kernel reports no more events")
				continue
			}
			w.happened(e)
		case err := <-failures:
			// fsnotify.ErrEventOverflow, or something else that was lost.
			w.o.Log(fmt.Sprintf("watching files: %v; checking all of them", err))
			w.everything()
		case <-tick.C:
			if w.kernel != nil {
				w.unreported()
				break
			}
			w.everything()
			w.restless = w.compare()
		case <-settled.C:
			if w.kernel == nil { // no event has reported that it is quiet now
				w.everything()
			}
			if again := w.compare(); again && w.kernel == nil && time.Since(w.since) < longest {
				w.restless = true
				break
			}
			w.tell()
			w.restless = false
		}
		if w.restless {
			w.restless = false
			settled.Reset(min(quiet, time.Until(w.since.Add(max(longest, quiet)))))
		}
	}
}

// happened notes which files an event may be about.
func (w *Watcher) happened(e fsnotify.Event) {
	t := w.tree
	if e.Op == fsnotify.Chmod {
		return
	}
	root, inside := t.rootOf(e.Name)
	if !inside || e.Op == fsnotify.Write && !t.patterns.file(root, e.Name) { // a database, a log
		return
	}
	_, folder := t.folders[e.Name]
	_, known := t.files[e.Name]
	_, watched := t.folders[filepath.Dir(e.Name)]
	info, err := os.Lstat(e.Name)
	isLink := err == nil && info.Mode()&os.ModeSymlink != 0
	if isLink {
		info, err = os.Stat(e.Name)
	}
	switch {
	case err != nil:
		if folder {
			t.forget(e.Name)
			w.suspect(t.below(e.Name)...)
		}
		if known {
			w.suspect(e.Name)
		}
	case info.IsDir():
		if e.Op&fsnotify.Create != 0 && watched && t.wanted(root, e.Name) {
			w.look(root, e.Name)
		}
	case watched && t.patterns.file(root, e.Name):
		if isLink {
			t.single[e.Name] = true
		}
		w.suspect(e.Name)
	}
}

// unreported looks at what the kernel may report nothing of: single files, and roots, which may be replaced.
func (w *Watcher) unreported() {
	t := w.tree
	for path := range t.single {
		if old := t.files[path]; !take(path, old).same(old) {
			w.suspect(path)
		}
	}
	for _, root := range t.roots {
		if info, err := os.Stat(root); err == nil && t.folders[root] != idOf(info) {
			w.look(root, root)
		}
	}
}

// look takes in a directory that has appeared; files known in it may be gone.
func (w *Watcher) look(root, dir string) {
	w.suspect(w.tree.below(dir)...)
	w.suspect(w.tree.scan(root, dir)...)
	w.tooMany()
}

// everything suspects all files.
func (w *Watcher) everything() {
	for path := range w.tree.files {
		w.suspect(path)
	}
	for dir := range w.tree.folders {
		if _, err := os.Stat(dir); err != nil {
			w.tree.forget(dir)
		}
	}
	w.suspect(w.tree.scanAll()...)
	w.tooMany()
}

func (w *Watcher) suspect(paths ...string) {
	for _, path := range paths {
		if len(w.dirty)+len(w.found) == 0 {
			w.since = time.Now()
		}
		w.dirty[path], w.restless = true, true
	}
}

// compare looks at the suspected files, and reports whether there are more changes.
func (w *Watcher) compare() (more bool) {
	found := w.tree.changed(w.dirty, w.kernel == nil)
	clear(w.dirty)
	for path, what := range found {
		if before := w.found[path]; before != "" && before != what {
			what = "changed"
		}
		w.found[path] = what
	}
	return len(found) > 0
}

// tell reports the changes that were found.
func (w *Watcher) tell() {
	if len(w.found) == 0 {
		return
	}
	rank := map[string]string{"changed": "1", "added": "2", "removed": "3"} // the name that says most
	paths := slices.SortedFunc(maps.Keys(w.found), func(a, b string) int {
		return strings.Compare(rank[w.found[a]]+a, rank[w.found[b]]+b)
	})
	c := Change{Path: w.shown(paths[0]), What: w.found[paths[0]], More: len(paths) - 1}
	clear(w.found)
	select {
	case w.changes <- c:
		return
	default:
	}
	// The waiting change is reported with this one; only run sends.
	select {
	case waiting := <-w.changes:
		c.More += waiting.More
		if waiting.Path != c.Path {
			c.More++
		}
	default:
	}
	w.changes <- c
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

func (w *Watcher) leave(dir string) {
	if w.kernel != nil {
		_ = w.kernel.Remove(dir) // the kernel may have done so itself
	}
}

func (w *Watcher) tooMany() {
	if w.tree.full && !w.told {
		w.told = true
		w.o.Log(fmt.Sprintf("watching only the %d nearest directories: name the important ones with --reload-dir, or exclude some with --reload-exclude",
			maxFolders))
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
