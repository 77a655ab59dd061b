package programs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"fapws/runtime/backend"
	"fapws/runtime/system"
)

// Scripts finds the program that a path names. Any goroutine may use it.
type Scripts struct {
	root     *os.Root
	only     string
	folder   string // absolute
	patterns []string
	index    []string
	links    Links
	base     func(*backend.Request) int
}

// Links says which symbolic links are followed. None leads out of the root.
type Links uint8

// The policies.
const (
	LinksInside Links = iota // those that stay below the root
	LinksOwner               // of these, those that belong to the owner of their targets
	LinksNone
)

// ScriptOptions say which files of a folder are programs.
type ScriptOptions struct {
	// Root is the folder. Nothing outside it is found, by any path or link.
	Root string

	// Match are patterns (path.Match) for the names of programs: "*.php". None:
	// each file in the folder is one, as in a cgi-bin.
	Match []string

	// Only is the one program in Root there is; it answers for all paths, and its
	// name is that of the mount. "": any.
	Only string

	// Base returns how much of Request.Path stands for Root: the path below that is
	// looked for. nil: Request.Script, which is right for a mount without Match.
	Base func(*backend.Request) int

	// Index are names of programs that answer for a folder. None: 403.
	Index []string

	Links Links
}

// Script is a program that was found.
type Script struct {
	File string // absolute path
	Name string // path below the root, with a slash before: "/dir/a.cgi"
	Info string // the path behind it: "" or "/..."
	Base int    // length of the part before Name in Request.Path

	Executable bool
}

// NewScripts opens the folder.
func NewScripts(o ScriptOptions) (*Scripts, error) {
	folder, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	for _, pattern := range append(o.Match, o.Index...) {
		if _, err := path.Match(pattern, ""); err != nil || strings.Contains(pattern, "/") {
			return nil, fmt.Errorf("%q is not a file name pattern", pattern)
		}
	}
	root, err := system.OpenRoot(folder)
	if err != nil {
		if file := (*fs.PathError)(nil); errors.As(err, &file) {
			err = file.Err
		}
		return nil, fmt.Errorf("cannot run programs of %s: %w", folder, err)
	}
	return &Scripts{root: root, only: o.Only, folder: folder, patterns: o.Match, index: o.Index, links: o.Links, base: o.Base}, nil
}

// The errors of Find.
var (
	ErrNotFound  = errors.New("program not found")
	ErrForbidden = errors.New("not an executable program")
)

// Find walks down the percent-decoded path, which begins with a slash or is
// empty, to the first file on it: the rest is PATH_INFO. A program has to exist,
// so "/picture.jpg/x.php" never makes one of a picture. It reads the disk.
func (s *Scripts) Find(p string) (Script, error) {
	if s.only != "" {
		info, err := s.stat(s.only)
		if err != nil {
			return Script{}, err
		}
		script, err := s.program("/"+s.only, p, info)
		script.Name = ""
		return script, err
	}
	rest := p
	name := "" // the folder so far
	for {
		segment, ok := strings.CutPrefix(rest, "/")
		if !ok || segment == "" {
			return s.findIndex(name)
		}
		if i := strings.IndexByte(segment, '/'); i >= 0 {
			segment, rest = segment[:i], segment[i:]
		} else {
			rest = ""
		}
		// No ".." here, and names that begin with a dot are hidden (.git, .htaccess).
		if segment == "" || segment[0] == '.' || strings.ContainsRune(segment, 0) {
			return Script{}, ErrNotFound
		}
		name += "/" + segment
		info, err := s.stat(name[1:])
		if err != nil {
			return Script{}, err
		}
		if !info.IsDir() {
			return s.program(name, rest, info)
		}
	}
}

// Below is a Base: that of the folder which a path on the site stands for, "/x".
// "" is for a document root.
func Below(prefix string) func(*backend.Request) int {
	n := len(strings.TrimRight(prefix, "/"))
	return func(r *backend.Request) int { return min(r.Root+n, len(r.Path)) }
}

// For finds the program for a request. Where there is none it returns fallback,
// unless that is nil.
func (s *Scripts) For(r *backend.Request, fallback *Script) (Script, error) {
	base := r.Script
	if s.base != nil {
		base = s.base(r)
	}
	script, err := s.Find(r.Path[base:])
	if err != nil && fallback != nil {
		script, err = *fallback, nil
	}
	script.Base = base
	return script, err
}

// Root returns the absolute path of the folder.
func (s *Scripts) Root() string { return s.folder }

// findIndex finds the index program of a directory.
func (s *Scripts) findIndex(folder string) (Script, error) {
	for _, file := range s.index {
		name := folder + "/" + file
		if info, err := s.stat(name[1:]); err == nil && !info.IsDir() {
			return s.program(name, "", info)
		}
	}
	return Script{}, ErrForbidden
}

// program judges a file that was found.
func (s *Scripts) program(name, info string, file fs.FileInfo) (Script, error) {
	if !file.Mode().IsRegular() || !s.matches(path.Base(name)) {
		return Script{}, ErrForbidden
	}
	return Script{File: s.folder + name, Name: name, Info: info, Executable: file.Mode()&0o111 != 0}, nil
}

func (s *Scripts) matches(name string) bool {
	if len(s.patterns) == 0 {
		return true
	}
	for _, pattern := range s.patterns {
		if ok, _ := path.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// stat returns the file of a name, following a link if that is allowed.
func (s *Scripts) stat(name string) (fs.FileInfo, error) {
	info, err := s.root.Stat(name)
	if err == nil && s.links != LinksInside {
		err = s.allowed(name, info)
	}
	if err != nil { // also where a link leads outside
		return nil, ErrNotFound
	}
	return info, nil
}

// allowed applies the policy to the last segment of name.
func (s *Scripts) allowed(name string, target fs.FileInfo) error {
	link, err := s.root.Lstat(name)
	if err != nil || link.Mode()&fs.ModeSymlink == 0 {
		return err
	}
	mine, ok := link.Sys().(*syscall.Stat_t)
	its, ok2 := target.Sys().(*syscall.Stat_t)
	if s.links == LinksOwner && ok && ok2 && mine.Uid == its.Uid {
		return nil
	}
	return ErrNotFound
}
