package static

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Private are files that no document root serves, whatever their path there: what the
// configuration names (logs, passwords, the pid file, scripts of applications, itself). They
// are told by device and inode, so a link or another case of the name shows them no more than
// the name does. nil: none. Its methods are safe for concurrent use.
type Private struct {
	paths []string // absolute
	real  []string // without links, as far as the folder exists

	mu    sync.Mutex
	files map[identifier]bool
	seen  time.Time // when files was right
}

// identifier tells a file from all others.
type identifier struct{ dev, ino uint64 }

func identifierOf(info fs.FileInfo) (id identifier, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return id, false
	}
	return identifier{uint64(st.Dev), st.Ino}, true
}

// NewPrivate returns the files with these paths, which need not exist yet. Empty ones do not
// count.
func NewPrivate(paths ...string) *Private {
	p := &Private{}
	for _, one := range paths {
		abs, err := filepath.Abs(one)
		if one == "" || err != nil || slices.Contains(p.paths, abs) {
			continue
		}
		p.paths = append(p.paths, abs)
		real, err := filepath.EvalSymlinks(abs)
		if err != nil {
			real = abs
			if folder, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
				real = filepath.Join(folder, filepath.Base(abs))
			}
		}
		p.real = append(p.real, real)
	}
	return p
}

// has reports whether a file is private. Which files the paths name is looked up again after
// a second: logs are rotated, and editors replace the files that they save.
func (p *Private) has(info fs.FileInfo) bool {
	if p == nil || info.IsDir() {
		return false
	}
	id, ok := identifierOf(info)
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.files == nil || now.Sub(p.seen) > time.Second {
		p.files, p.seen = map[identifier]bool{}, now
		for _, one := range p.paths {
			if info, err := os.Stat(one); err == nil && !info.IsDir() {
				if id, ok := identifierOf(info); ok {
					p.files[id] = true
				}
			}
		}
	}
	return ok && p.files[id]
}

// leftovers are names, in any case, in the folder of an application that are not for its clients, also
// compressed: sources, copies that editors and people leave, databases and dumps of them.
var leftovers = []string{
	"*.py", "*.py.[0-9]*", "*.pyc", "*.pyi", "*.pyo", "*.pyx", "__pycache__", "pyvenv.cfg",
	"*~", "#*#", "*.backup", "*.bak", "*.bak-*", "*.bak[.0-9]*", "*.bkp", "*.old", "*.orig", "*.rej", "*.save", "*.swp", "*.swo", "*.tmp",
	"*.db", "*.db3", "*.sqlite", "*.sqlite3", "*.db-*", "*.db3-*", "*.sqlite-*", "*.sqlite3-*",
	"*.db.[0-9]*", "*.db3.[0-9]*", "*.sqlite.[0-9]*", "*.sqlite3.[0-9]*", "*.dump", "*.sql", "*.sql.[0-9]*",
	".env", ".env.*", "*.env",
}

// within returns patterns for the names of files below a root that are private, too: the
// private files themselves, files derived from them (error.log.1.gz, app.py~), and, where an
// application has its script, leftovers.
func (p *Private) within(root string) (patterns []string) {
	if p == nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	script := false
	for _, file := range p.real {
		if !strings.HasPrefix(file, strings.TrimSuffix(root, "/")+"/") {
			continue
		}
		name := literally.Replace(filepath.Base(file))
		patterns = append(patterns, name, name+".*", name+"~", "#"+name+"#")
		script = script || strings.HasSuffix(file, ".py")
	}
	if script {
		patterns = append(patterns, leftovers...)
	}
	return patterns
}

var literally = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// guard decides whether a view may send a file.
type guard struct {
	private *Private
	names   []string // patterns of names that are not shown
	expose  []string // patterns of those that are nevertheless
}

// hides reports whether a file is not for clients by the last segment of its name.
func (g *guard) hides(name string) bool {
	if len(g.names) == 0 {
		return false
	}
	plain := strings.ToLower(name)
	switch path.Ext(plain) {
	case ".bz2", ".gz", ".xz", ".zip", ".zst":
		plain = strings.TrimSuffix(plain, path.Ext(plain))
	}
	return (fitsAny(g.names, name) || plain != name && fitsAny(g.names, plain)) && !fitsAny(g.expose, name)
}

// hidesFile reports whether an open file is not for clients: the target of a link has another
// name than the link.
func (g *guard) hidesFile(file *os.File, info fs.FileInfo) bool {
	if g.private.has(info) {
		return true
	}
	if len(g.names) == 0 || info.IsDir() {
		return false
	}
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
	return err == nil && g.hides(path.Base(real))
}
