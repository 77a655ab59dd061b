package static

import (
	"bytes"
	_ "embed"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"fapws/runtime/system"
)

// Private is a set of files named in the configuration: logs, passwords, the pid file, scripts of applications, the
// configuration itself. No document root serves these files. Files are identified by device and inode, so that links
// and other spellings of the name are hidden, too. A nil Private is empty; a Private is safe for concurrent use.
type Private struct {
	paths []string
	real  []string
	files fileSet
}

// A fileSet is a periodically refreshed set of files, and is safe for concurrent use.
type fileSet struct {
	mu    sync.Mutex
	files map[identifier]bool
	until time.Time
}

// has reports whether a file is in the set. To refresh the set, has iterates over the files that find yields, but at
// most once a second and for at most 2 % of the time.
func (s *fileSet) has(info fs.FileInfo, find iter.Seq[fs.FileInfo]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.After(s.until) {
		s.files = map[identifier]bool{}
		for one := range find {
			s.files[identifierOf(one)] = true
		}
		s.until = time.Now().Add(max(time.Second, 50*time.Since(now)))
	}
	return s.files[identifierOf(info)]
}

type identifier struct{ dev, ino uint64 }

func identifierOf(info fs.FileInfo) identifier {
	st := info.Sys().(*syscall.Stat_t)
	return identifier{uint64(st.Dev), st.Ino}
}

// NewPrivate returns the set of the files with these paths, which may be "" or lead to no file.
func NewPrivate(paths ...string) *Private {
	p, known := &Private{}, map[string]bool{"": true}
	for _, one := range paths {
		if known[one] {
			continue
		}
		known[one] = true
		abs, err := filepath.Abs(one)
		if err != nil || abs != one && known[abs] {
			continue
		}
		known[abs] = true
		p.paths = append(p.paths, abs)
		real := system.RealPath(abs)
		if real == abs {
			real = filepath.Join(system.RealPath(filepath.Dir(abs)), filepath.Base(abs))
		}
		p.real = append(p.real, real)
	}
	return p
}

// has reports whether a file is private. has looks up the paths again once a second, because a path may refer to a new
// file after a log is rotated or an editor saves a file.
func (p *Private) has(info fs.FileInfo) bool {
	return p != nil && !info.IsDir() && p.files.has(info, func(yield func(fs.FileInfo) bool) {
		for _, one := range p.paths {
			if info, err := os.Stat(one); err == nil && !info.IsDir() {
				yield(info)
			}
		}
	})
}

// leftovers are patterns for names of files that are common in project directories but not intended for clients:
// sources, backup copies, databases, database dumps and keys. Case is ignored, and compressed files match, too.
var leftovers = strings.Fields(leftoverNames)

//go:embed leftovers.txt
var leftoverNames string

// keyNames are patterns for file names. A file with such a name is hidden if it contains a private key or is
// compressed. An exception is a name such as id_list.html.gz, which is probably a page.
var keyNames = []string{"*.pem", "*_key", "id_*"}

const maxKeyFile = 1 << 20 // in bytes

// within returns the names of private files below a root, which is a path without symbolic links.
func (p *Private) within(root string) (names map[string]bool) {
	if p == nil {
		return nil
	}
	names = map[string]bool{}
	root = strings.TrimSuffix(root, "/") + "/"
	for _, file := range p.real {
		if strings.HasPrefix(file, root) {
			names[filepath.Base(file)] = true
		}
	}
	return names
}

type guard struct {
	private *Private
	names   map[string]bool // of private files; nil if no file is hidden
	expose  []string
	// files below the root that have both a hidden name and another name
	links *fileSet
}

func (g *guard) hides(name string) bool {
	if g.names == nil {
		return false
	}
	name = path.Base(name)
	plain, compressed := strings.ToLower(name), false
	switch path.Ext(plain) {
	case ".br", ".bz2", ".gz", ".xz", ".zip", ".zst":
		plain, compressed = strings.TrimSuffix(plain, path.Ext(plain)), true
	}
	key := compressed && (FitsAny(keyNames[:2], plain) || path.Ext(plain) == "" && FitsAny(keyNames, plain))
	return (key || g.isPrivate(name) || plain != name && g.isPrivate(plain)) && !FitsAny(g.expose, name)
}

// isPrivate reports whether a name is the name of a private file, of a file derived from one (error.log.1.gz, app.py~), or
// of a leftover.
func (g *guard) isPrivate(name string) bool {
	if g.names[name] || g.names[strings.TrimSuffix(name, "~")] {
		return true
	}
	if inner, ok := strings.CutSuffix(name, "#"); ok && inner != "" && inner[0] == '#' && g.names[inner[1:]] {
		return true
	}
	for i := range len(name) {
		if name[i] == '.' && g.names[name[:i]] {
			return true
		}
	}
	return FitsAny(leftovers, name)
}

// hidesFile reports whether a file that view.walk opened is hidden from clients. Checking the requested name is not
// sufficient, because the file may be the target of a symbolic link, or hidden because of its content.
func (g *guard) hidesFile(file *os.File, info fs.FileInfo) bool {
	if g.private.has(info) {
		return true
	}
	if g.names == nil || info.IsDir() {
		return false
	}
	name := file.Name()
	return g.hides(name) || g.mayBeKey(name) && hasKey(file)
}

func (g *guard) mayBeKey(name string) bool {
	return g.names != nil && FitsAny(keyNames, strings.ToLower(name)) && !FitsAny(g.expose, name)
}

func hasKey(file *os.File) bool {
	var beginning [512]byte
	if n, _ := file.ReadAt(beginning[:], 0); bytes.IndexByte(beginning[:n], 0) >= 0 {
		// A private key in PEM format is text, so do not read the rest of binary files, such as thousands of pictures.
		return false
	}
	text, err := io.ReadAll(io.NewSectionReader(file, 0, maxKeyFile))
	return err != nil || bytes.Contains(text, []byte("PRIVATE KEY-----"))
}

const maxWalk = 50_000

// hasHiddenName reports whether a file with several hard links has a hidden name. The search walks through the whole
// root, so it is done only for files with several hard links.
func (t *view) hasHiddenName(info fs.FileInfo) bool {
	if t.guard.links == nil || info.Sys().(*syscall.Stat_t).Nlink < 2 || !info.Mode().IsRegular() {
		return false
	}
	return t.guard.links.has(info, func(yield func(fs.FileInfo) bool) {
		left := maxWalk
		_ = fs.WalkDir(t, ".", func(name string, entry fs.DirEntry, err error) error {
			if left--; left < 0 {
				return fs.SkipAll
			}
			if err != nil || !entry.Type().IsRegular() || !t.guard.hides(entry.Name()) && !t.guard.mayBeKey(entry.Name()) {
				return nil
			}
			if file, info, err := t.walk(name, toRead); err == nil {
				if info.Sys().(*syscall.Stat_t).Nlink > 1 && t.guard.hidesFile(file, info) {
					yield(info)
				}
				file.Close()
			}
			return nil
		})
	})
}
