package watch

import (
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tree is the watched files: roots with the directories below them, the files in them that count, and single files
// elsewhere.
type tree struct {
	patterns patterns
	roots    []string // absolute

	folders map[string]fileID // by path
	seen    map[fileID]string // the same the other way round: a link to a folder above ends there
	files   map[string]stamp
	single  map[string]bool // files that are symbolic links or named by path: the kernel may report nothing of them
	full    bool            // there are more folders than maxFolders

	// enter is called for each folder before its files are looked at.
	enter func(folder string)
	leave func(folder string)
}

// scanAll takes in all there is and returns the files that count.
func (t *tree) scanAll() (files []string) {
	for _, root := range t.roots {
		files = append(files, t.scan(root, root)...)
	}
	for _, name := range t.patterns.named() {
		t.single[name] = true
		files = append(files, name)
	}
	return files
}

// scan takes in the folder dir, those below it, the nearest first, and returns the files that count. Known files are
// looked at again.
func (t *tree) scan(root, dir string) (files []string) {
	for queue := []string{dir}; len(queue) > 0; queue = queue[1:] {
		dir := queue[0]
		if !t.take(dir) {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it may be gone, or not ours to read
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			isLink := e.Type()&os.ModeSymlink != 0
			isDir := e.IsDir()
			if isLink {
				info, err := os.Stat(path)
				isDir = err == nil && info.IsDir()
			}
			switch {
			case isDir:
				if t.wanted(root, path) {
					queue = append(queue, path)
				}
			case t.patterns.file(root, path):
				if isLink {
					t.single[path] = true
				}
				files = append(files, path)
			}
		}
	}
	return files
}

// wanted reports whether a folder below root is watched. A virtual environment
// (PEP 405) has thousands of files that are not the application.
func (t *tree) wanted(root, dir string) bool {
	if t.patterns.excluded(root, dir) {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "pyvenv.cfg"))
	return err != nil
}

// take notes a folder; false when it was reached on another way, or is one too
// many.
func (t *tree) take(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	id := idOf(info)
	if old, known := t.folders[dir]; known {
		if old == id {
			t.enter(dir)
			return true
		}
		t.forget(dir)
	}
	if other, known := t.seen[id]; known && other != dir {
		if now, err := os.Stat(other); err == nil && idOf(now) == id {
			return false
		}
		t.forget(other)
	}
	if len(t.folders) >= maxFolders {
		t.full = true
		return false
	}
	t.folders[dir], t.seen[id] = id, dir
	t.enter(dir)
	return true
}

// forget drops a folder, with those below it, that is not there any more.
func (t *tree) forget(dir string) {
	for path, id := range t.folders {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			delete(t.folders, path)
			delete(t.seen, id)
			t.leave(path)
		}
	}
}

// rootOf returns the watched folder that path lies in.
func (t *tree) rootOf(path string) (root string, ok bool) {
	for _, root := range t.roots {
		if path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/") {
			return root, true
		}
	}
	return "", false
}

// below returns the known files in dir and below it.
func (t *tree) below(dir string) (files []string) {
	for path := range t.files {
		if strings.HasPrefix(path, dir+"/") {
			files = append(files, path)
		}
	}
	return files
}

// changed looks at files and describes those that differ from before. With trust, one that looks as before is not
// read.
func (t *tree) changed(files map[string]bool, trust bool) map[string]string {
	found := map[string]string{}
	for path := range files {
		old := t.files[path]
		known := stamp{}
		if trust {
			known = old
		}
		now := take(path, known)
		if now.there {
			t.files[path] = now
		} else {
			delete(t.files, path)
		}
		switch {
		case now.same(old):
		case !now.there:
			found[path] = "removed"
		case !old.there:
			found[path] = "added"
		default:
			found[path] = "changed"
		}
	}
	return found
}

// hashedSize is up to which size, in bytes, the content of a file is compared;
// of a larger one size and time count.
const hashedSize = 256 << 10

var seed = maphash.MakeSeed()

// stamp is the state of a file. The zero stamp is that of a missing file.
type stamp struct {
	there bool
	size  int64
	time  time.Time // of its last modification
	id    fileID
	hash  uint64 // of the content, if hashed
	plain bool   // hashed
}

// fileID tells one file or folder of the machine from all others.
type fileID struct{ dev, ino uint64 }

func idOf(info os.FileInfo) fileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(st.Dev), st.Ino}
	}
	return fileID{}
}

// racy is how young a file must be for a later change to have left size and
// time as they are.
const racy = 2 * time.Second

// take looks at the file now. old saves the reading of a file that looks as it
// did; without a reason to think that it has changed, or has become readable.
func take(path string, old stamp) stamp {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return stamp{}
	}
	s := stamp{there: true, size: info.Size(), time: info.ModTime(), id: idOf(info)}
	if s.looksLike(old) && (old.plain || s.size > hashedSize) && time.Since(s.time) > racy {
		return old
	}
	if s.size <= hashedSize {
		s.hash, s.plain = hash(path)
	}
	return s
}

// looksLike reports whether everything but the content is the same.
func (s stamp) looksLike(o stamp) bool {
	return s.there == o.there && s.size == o.size && s.time.Equal(o.time) && s.id == o.id
}

// same reports whether the content is the same, as far as it was read. That of a file that was not readable is another one.
func (s stamp) same(o stamp) bool {
	if s.there != o.there || s.size != o.size || s.plain != o.plain {
		return false
	}
	if s.plain {
		return s.hash == o.hash
	}
	return s.looksLike(o)
}

func hash(path string) (sum uint64, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	var h maphash.Hash
	h.SetSeed(seed)
	n, err := io.Copy(&h, io.LimitReader(f, hashedSize+1))
	return h.Sum64(), err == nil && n <= hashedSize
}

// AlwaysInclude and AlwaysExclude are the patterns that count in addition to those of Options.
var (
	AlwaysInclude = []string{"*.py"}
	AlwaysExclude = []string{".*", "*~", "__pycache__", "node_modules"}
)

// patterns decides which files count. A pattern without a slash is compared
// with base names; one with a slash with the whole path, or if it does not
// begin with a slash, with the path from the working directory and from the
// watched folder. The wildcards are those of path/filepath.Match.
type patterns struct {
	include, exclude []string
	cwd              string
}

func newPatterns(o *Options, cwd string) (patterns, error) {
	p := patterns{cwd: cwd}
	for _, list := range []struct {
		to           *[]string
		always, more []string
	}{{&p.include, AlwaysInclude, o.Include}, {&p.exclude, AlwaysExclude, o.Exclude}} {
		*list.to = append(*list.to, list.always...)
		for _, one := range list.more {
			if _, err := filepath.Match(one, ""); err != nil {
				return p, fmt.Errorf("the pattern %q is invalid: %w", one, err)
			}
			if strings.Contains(one, "/") {
				one = filepath.Clean(one)
			}
			*list.to = append(*list.to, one)
		}
	}
	return p, nil
}

// file reports whether a file counts. One that is named without wildcards counts
// whatever is excluded.
func (p *patterns) file(root, path string) bool {
	included := false
	for _, one := range p.include {
		if !p.match(one, root, path) {
			continue
		}
		if !wild(one) {
			return true
		}
		included = true
	}
	return included && !p.excluded(root, path)
}

// excluded reports whether a file or folder does not count.
func (p *patterns) excluded(root, path string) bool {
	for _, one := range p.exclude {
		if p.match(one, root, path) {
			return true
		}
	}
	return false
}

func (p *patterns) match(pattern, root, path string) bool {
	if !strings.Contains(pattern, "/") {
		ok, _ := filepath.Match(pattern, filepath.Base(path))
		return ok
	}
	if filepath.IsAbs(pattern) {
		ok, _ := filepath.Match(pattern, path)
		return ok
	}
	for _, from := range []string{root, p.cwd} {
		if rest, below := strings.CutPrefix(path, strings.TrimSuffix(from, "/")+"/"); below {
			if ok, _ := filepath.Match(pattern, rest); ok {
				return true
			}
		}
	}
	return false
}

// named returns the absolute paths of the files that are named by patterns with a slash and
// without wildcards: they are watched wherever they are.
func (p *patterns) named() (paths []string) {
	for _, one := range p.include {
		if wild(one) || !strings.Contains(one, "/") {
			continue
		}
		if !filepath.IsAbs(one) {
			one = filepath.Join(p.cwd, one)
		}
		paths = append(paths, one)
	}
	return paths
}

func wild(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }
