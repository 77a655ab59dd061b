package static

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

const freshFor = int64(time.Second) // in nanoseconds

// A root is a document root. All of its files are opened by view.walk.
type root struct {
	path string

	mu      sync.Mutex
	now     *view
	checked int64
}

func openRoot(path string, policy Symlinks, private *Private, expose []string) (*root, error) {
	if path == "" {
		return nil, errors.New("no directory given")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t, err := openView(abs, policy, guard{private: private, expose: expose, links: new(fileSet)})
	if err != nil {
		return nil, fmt.Errorf("cannot serve %s: %w", abs, system.Cause(err))
	}
	t.guard.names = private.within(t.prefix[len(t.prefix)-1])
	return &root{path: abs, now: t}, nil
}

func openView(path string, policy Symlinks, g guard) (t *view, err error) {
	t = &view{prefix: []string{strings.TrimRight(path, "/")}, policy: policy, guard: g}
	t.dir = &directory{path: path, fd: -1}
	fd, err := t.dir.use()
	if err != nil {
		return nil, err
	}
	defer t.dir.done()
	if err := unix.Fstat(fd, &t.self); err != nil {
		return nil, err
	}
	if real := system.RealPath(path); real != path {
		t.prefix = append(t.prefix, strings.TrimRight(real, "/"))
	}
	return t, nil
}

// OpenTree opens a directory for a source that needs information about files but does not send them. The returned
// function stat returns information about the file at a path below the directory, and follows symbolic links like
// Files. The path must not have "." or ".." segments. OpenTree is safe for concurrent use.
func OpenTree(path string, policy Symlinks) (dir *os.Root, stat func(name string) (fs.FileInfo, error), err error) {
	t, err := openView(path, policy, guard{})
	if err != nil {
		return nil, nil, err
	}
	dir, err = system.OpenRoot(path)
	return dir, t.statAny, err
}

func (r *root) at(now int64) *view {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now - r.checked; age >= 0 && age < freshFor {
		return r.now
	}
	r.checked = now
	var st unix.Stat_t
	if err := unix.Stat(r.path, &st); err != nil || st.Dev == r.now.self.Dev && st.Ino == r.now.self.Ino {
		// Continue to use the open directory if its path was removed or is unreachable after a chroot.
		return r.now
	}
	if t, err := openView(r.path, r.now.policy, r.now.guard); err == nil {
		r.now.dir.close() // another goroutine can still use the view
		r.now = t
	}
	return r.now
}

func (r *root) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.dir.close()
}

type Symlinks uint8

const (
	LinksInside Symlinks = iota // follow links that stay below the root
	LinksOwner                  // follow links only if link and target have the same owner
	LinksNo
)

func ParseSymlinks(s string) (Symlinks, error) {
	policy := slices.Index([]string{LinksInside: "inside", LinksOwner: "owner", LinksNo: "no"}, cmp.Or(s, "inside"))
	if policy < 0 {
		return 0, fmt.Errorf("must be inside, owner or no, not %q", s)
	}
	return Symlinks(policy), nil
}

// A view is a document root at a point in time, with the policy for symbolic links. No system call follows a link, so
// files outside the root cannot be reached even while links change.
type view struct {
	dir  *directory
	self unix.Stat_t // the directory when the view was made
	// the configured and the resolved path of the root: absolute, without a trailing slash
	prefix []string
	policy Symlinks
	guard  guard
}

// The name is a path without "." and ".." segments, or "." itself; hidden files count as missing.
func (t *view) stat(name string) (fs.FileInfo, error) {
	if t.guard.hides(name) {
		return nil, hidden(name)
	}
	info, err := t.statAny(name)
	if err == nil && t.guard.private.has(info) {
		return nil, hidden(name)
	}
	return info, err
}

func hidden(name string) error { return &fs.PathError{Op: "open", Path: name, Err: syscall.ENOENT} }

func (t *view) statAny(name string) (fs.FileInfo, error) {
	// O_PATH requires no read permission, and opens a symbolic link itself.
	file, info, err := t.walk(name, unix.O_PATH)
	if err == nil {
		file.Close()
	}
	return info, err
}

// toRead opens a file for reading without blocking. toRead can also open a FIFO or a device, so the caller must check
// that the file is regular.
const toRead = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY

// open opens a file for reading; hidden files count as missing.
func (t *view) open(name string) (*os.File, fs.FileInfo, error) {
	if t.guard.hides(name) {
		return nil, nil, hidden(name)
	}
	file, info, err := t.walk(name, toRead)
	if err == nil && t.guard.private != nil && (t.guard.hidesFile(file, info) || t.hasHiddenName(info)) {
		file.Close()
		err = hidden(name)
	}
	return file, info, err
}

// openRegular opens a regular file; other files count as missing.
func (t *view) openRegular(name string) (*os.File, fs.FileInfo, error) {
	file, info, err := t.open(name)
	if err == nil && !info.Mode().IsRegular() {
		file.Close()
		err = fs.ErrNotExist
	}
	return file, info, err
}

// shows returns an error if a regular file is hidden. shows opens the file, because its content may have to be
// examined.
func (t *view) shows(name string) error {
	file, _, err := t.open(name)
	if err != nil {
		return err
	}
	return file.Close()
}

const maxLinks = 40

type followed struct {
	owner uint32
	left  int // number of segments of the name after the link
}

// walk opens a file segment by segment and returns information about it. walk follows links according to the policy.
// The target of an absolute link must be below the root. The name of the returned file is the last path segment after
// following links.
func (t *view) walk(name string, flags int) (*os.File, fs.FileInfo, error) {
	top, err := t.dir.use()
	if err != nil {
		return nil, nil, err
	}
	defer t.dir.done()
	way := []int{top}
	back := func(to int) {
		for _, fd := range way[to:] {
			unix.Close(fd)
		}
		way = way[:to]
	}
	defer func() { back(1) }()
	parts := strings.Split(name, "/")
	var links []followed
	for count := 0; count <= maxLinks; {
		for n := len(links) - 1; n >= 0 && links[n].left == len(parts); n-- {
			var st unix.Stat_t
			if err := unix.Fstat(way[len(way)-1], &st); err != nil || st.Uid != links[n].owner {
				return nil, nil, errOutside
			}
			links = links[:n]
		}
		part := cmp.Or(parts[0], ".")
		parts = parts[1:]
		if part == ".." {
			if len(way) == 1 {
				return nil, nil, errOutside
			}
			back(len(way) - 1)
			part = "."
		}
		dir, how := way[len(way)-1], flags
		if len(parts) > 0 {
			if part == "." {
				continue
			}
			how = unix.O_PATH | unix.O_DIRECTORY
		}
		fd, err := system.OpenAt(dir, part, how|unix.O_NOFOLLOW, 0)
		switch {
		case err == unix.ENOENT:
			return nil, nil, &fs.PathError{Op: "open", Path: name, Err: err}
		case err == nil && len(parts) > 0:
			way = append(way, fd)
			continue
		case err == nil:
			file := os.NewFile(uintptr(fd), part)
			info, err := file.Stat()
			if err == nil && info.Mode()&fs.ModeSymlink == 0 {
				if slices.ContainsFunc(links, func(l followed) bool { return l.owner != owner(info) }) {
					file.Close()
					return nil, nil, errOutside
				}
				return file, info, nil
			}
			file.Close()
		}
		var st unix.Stat_t
		noLink := unix.Fstatat(dir, part, &st, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case noLink != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK:
			return nil, nil, &fs.PathError{Op: "open", Path: name, Err: cmp.Or[error](err, noLink, unix.ELOOP)}
		case t.policy == LinksNo:
			return nil, nil, errOutside
		case t.policy == LinksOwner:
			links = append(links, followed{st.Uid, len(parts)})
		}
		target, err := readLink(dir, part)
		if err != nil {
			return nil, nil, err
		}
		if strings.HasPrefix(target, "/") {
			if target, err = t.below(target); err != nil {
				return nil, nil, err
			}
			back(1)
		}
		parts = append(strings.Split(target, "/"), parts...)
		count++
	}
	return nil, nil, &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
}

func readLink(dir int, name string) (string, error) {
	var target [unix.PathMax]byte
	n, err := unix.Readlinkat(dir, name, target[:])
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(target[:n]), nil
}

// Open and ReadDir make a view a file system that fs.WalkDir can walk through.
func (t *view) Open(name string) (fs.File, error) {
	file, _, err := t.walk(name, toRead)
	return file, err
}

func (t *view) ReadDir(name string) ([]fs.DirEntry, error) {
	file, _, err := t.walk(name, toRead|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.ReadDir(-1)
}

func (t *view) below(target string) (string, error) {
	for _, prefix := range t.prefix {
		if rest, ok := strings.CutPrefix(target, prefix); ok && (rest == "" || rest[0] == '/') {
			return strings.TrimLeft(rest, "/"), nil
		}
	}
	return "", errOutside
}

func owner(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

var errOutside = fmt.Errorf("not following the link: %w", fs.ErrNotExist)
