package watch

import (
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A tree is the state of the watched files at the last scan: files in and below the roots, and named files elsewhere.
type tree struct {
	patterns patterns
	roots    []string
	files    map[string]stamp
	full     bool              // the number of folders exceeds maxFolders
	kernel   *fsnotify.Watcher // nil if only the interval starts scans
}

// look scans all files, nearest directories first, and returns the files that have changed since the last scan, with a
// word for the change. Each directory gets a kernel watch before its files are examined.
func (t *tree) look() map[string]string {
	old := t.files
	t.files, t.full = map[string]stamp{}, false
	// Scan each directory only once: a symbolic link to a parent directory would lead to an endless scan.
	seen := map[fileID]bool{}
	for queue := slices.Clone(t.roots); len(queue) > 0; queue = queue[1:] {
		dir := queue[0]
		info, err := os.Stat(dir)
		if err != nil || seen[idOf(info)] {
			continue
		}
		if len(seen) == maxFolders {
			t.full = true
			break
		}
		seen[idOf(info)] = true
		if t.kernel != nil {
			_ = t.kernel.Add(dir)
		}
		entries, _ := os.ReadDir(dir) // the directory may be missing or unreadable
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			isDir := e.IsDir()
			if e.Type()&os.ModeSymlink != 0 {
				info, err := os.Stat(path)
				isDir = err == nil && info.IsDir()
			}
			switch {
			case isDir:
				if t.wanted(path) {
					queue = append(queue, path)
				}
			case t.patterns.file(path):
				t.note(path, old)
			}
		}
	}
	for _, path := range t.patterns.named {
		t.note(path, old)
	}
	return t.changes(old)
}

func (t *tree) note(path string, old map[string]stamp) {
	if now, there := take(path, old[path]); there {
		t.files[path] = now
	}
}

func (t *tree) changes(old map[string]stamp) map[string]string {
	found := map[string]string{}
	for path, now := range t.files {
		if before, there := old[path]; !there {
			found[path] = "added"
		} else if !now.same(before) {
			found[path] = "changed"
		}
	}
	for path := range old {
		if _, there := t.files[path]; !there {
			found[path] = "removed"
		}
	}
	return found
}

// wanted reports whether a folder below a root is watched. A virtual environment (PEP 405) has thousands of files that
// are not the application.
func (t *tree) wanted(dir string) bool {
	if matches(t.patterns.exclude, dir) {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "pyvenv.cfg"))
	return err != nil
}

// hashedSize is the size, in bytes, above which files are compared by size and time only.
const hashedSize = 256 << 10

var seed = maphash.MakeSeed()

type stamp struct {
	size  int64
	time  time.Time
	id    fileID
	hash  uint64
	plain bool // the content was hashed
}

type fileID struct{ dev, ino uint64 }

func idOf(info os.FileInfo) fileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(st.Dev), st.Ino}
	}
	return fileID{}
}

// racy is the age below which a file may still change without a new size or time.
const racy = 2 * time.Second

// If the metadata of the file is the same as in the stamp old, and no change is likely, take returns old without
// reading the file.
func take(path string, old stamp) (s stamp, exists bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return stamp{}, false
	}
	s = stamp{size: info.Size(), time: info.ModTime(), id: idOf(info)}
	if s.looksLike(old) && (old.plain || s.size > hashedSize) && time.Since(s.time) > racy {
		return old, true
	}
	if s.size <= hashedSize {
		text, err := os.ReadFile(path)
		s.hash, s.plain = maphash.Bytes(seed, text), err == nil
	}
	return s, true
}

func (s stamp) looksLike(o stamp) bool {
	return s.size == o.size && s.time.Equal(o.time) && s.id == o.id
}

// same reports whether both stamps are of the same content. It returns false if the file became readable or unreadable.
func (s stamp) same(o stamp) bool {
	if s.size != o.size || s.plain != o.plain {
		return false
	}
	if s.plain {
		return s.hash == o.hash
	}
	return s.looksLike(o)
}

// AlwaysInclude and AlwaysExclude are used in addition to the patterns of Options.
var (
	AlwaysInclude = []string{"*.py"}
	AlwaysExclude = []string{".*", "*~", "__pycache__", "node_modules"}
)

// patterns selects the watched files. A pattern without a slash matches base names. A pattern that begins with a slash
// matches whole paths. Other patterns with a slash match paths relative to the working directory or to the watched
// folder; newPatterns makes them absolute. The syntax is the same as for path/filepath.Match.
type patterns struct {
	include, exclude []string
	exact            []string // patterns in Options.Include without wildcards, which override exclude
	// absolute paths of files from patterns with a slash and without wildcards, in any directory
	named []string
}

var escapes = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func newPatterns(o *Options, base string, roots []string) (p patterns, err error) {
	var exact []string
	for _, text := range o.Include {
		if strings.ContainsAny(text, `*?[\`) {
			continue
		}
		exact = append(exact, text)
		if strings.Contains(text, "/") {
			p.named = append(p.named, absolute(base, text))
		}
	}
	from := append([]string{base}, roots...)
	p.exact, _ = parsePatterns(exact, from) // without wildcards, every pattern is valid
	if p.include, err = parsePatterns(slices.Concat(AlwaysInclude, o.Include), from); err == nil {
		p.exclude, err = parsePatterns(slices.Concat(AlwaysExclude, o.Exclude), from)
	}
	return p, err
}

// parsePatterns checks patterns. It joins relative patterns with a slash to each directory in from.
func parsePatterns(texts, patterns []string) (list []string, err error) {
	for _, text := range texts {
		if _, err := filepath.Match(text, ""); err != nil {
			return nil, fmt.Errorf("the pattern %q is invalid: %w", text, err)
		}
		switch {
		case !strings.Contains(text, "/"):
			list = append(list, text)
		case filepath.IsAbs(text):
			list = append(list, filepath.Clean(text))
		default:
			for _, dir := range patterns {
				list = append(list, filepath.Join(escapes.Replace(dir), text))
			}
		}
	}
	return list, nil
}

func (p *patterns) file(path string) bool {
	return matches(p.exact, path) || matches(p.include, path) && !matches(p.exclude, path)
}

// matches reports whether path matches one of the patterns.
func matches(patterns []string, path string) bool {
	base := filepath.Base(path)
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		name := path
		if !strings.Contains(pattern, "/") {
			name = base
		}
		ok, _ := filepath.Match(pattern, name)
		return ok
	})
}
