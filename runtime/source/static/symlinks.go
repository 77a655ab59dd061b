package static

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// symlinks says which symbolic links are followed.
type symlinks uint8

const (
	linksInside symlinks = iota // those that stay below the root
	linksOwner                  // of these, those of the owner of their target
	linksNo                     // none
)

func parseSymlinks(s string) (symlinks, error) {
	switch s {
	case "", "inside":
		return linksInside, nil
	case "owner":
		return linksOwner, nil
	case "no":
		return linksNo, nil
	}
	return 0, fmt.Errorf("must be inside, owner or no, not %q", s)
}

// maxLinks is how many links one name may lead through, as in the kernel.
const maxLinks = 40

// view is a document root as it is at a moment, seen through the policy for symbolic links. However the links change
// meanwhile, nothing outside is reached: either os.Root follows them, or they are not followed.
type view struct {
	dir    *os.Root
	self   *os.File // the directory itself
	fd     int      // of self
	prefix []string // the path of the root as configured and as resolved: absolute, without a slash at the end
	policy symlinks
	guard  guard
}

// stat describes the file of a name, a path without "." and ".." segments, or "." itself. Files that clients are not
// to see do not exist.
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

// hidden is the error of a file that clients are not to see.
func hidden(name string) error { return &fs.PathError{Op: "open", Path: name, Err: syscall.ENOENT} }

// statAny is stat for any file below the root.
func (t *view) statAny(name string) (fs.FileInfo, error) {
	switch t.policy {
	case linksNo:
		return t.statPlain(name)
	case linksOwner:
		name, err := t.resolve(name)
		if err != nil {
			return nil, err
		}
		return t.statPlain(name)
	}
	info, err := t.dir.Stat(name)
	if err != nil && !errno(err) {
		if name, rerr := t.resolve(name); rerr == nil {
			return t.dir.Stat(name)
		}
	}
	return info, err
}

// open is openAny for files that clients may see; the others do not exist.
func (t *view) open(name string) (*os.File, error) {
	if t.guard.hides(name) {
		return nil, hidden(name)
	}
	file, err := t.openAny(name)
	if err != nil || t.guard.private == nil {
		return file, err
	}
	info, err := file.Stat()
	if err == nil && (t.guard.hidesFile(file, info) || t.hasHiddenName(info)) {
		err = hidden(name)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// openAny opens a file for reading, never waiting: a FIFO without a writer
// opens at once, and it is for the caller to see that it is no regular file.
func (t *view) openAny(name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
	switch t.policy {
	case linksNo:
		return t.openPlain(name, flags)
	case linksOwner:
		name, err := t.resolve(name)
		if err != nil {
			return nil, err
		}
		return t.openPlain(name, flags)
	}
	file, err := t.dir.OpenFile(name, flags, 0)
	if err != nil && !errno(err) {
		if name, rerr := t.resolve(name); rerr == nil {
			return t.dir.OpenFile(name, flags, 0)
		}
	}
	return file, err
}

// shows returns an error if clients may not see the regular file of a name, which has to be opened to find out.
func (t *view) shows(name string) error {
	file, err := t.open(name)
	if err != nil {
		return err
	}
	return file.Close()
}

// errno tells whether an error is the kernel's. os.Root has no public error for
// a path that leads outside, and only there is a second look needed.
func errno(err error) bool { return unwrap(err) != 0 }

// resolve returns the name below the root, free of links, that a name leads to.
// An absolute link counts from the root if that is where it leads. The policy
// for owners is kept here.
func (t *view) resolve(name string) (string, error) {
	left := strings.Split(name, "/")
	at := "."
	for links := 0; len(left) > 0; {
		var part string
		part, left = left[0], left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." {
				return "", errOutside
			}
			at = path.Dir(at)
			continue
		}
		here := path.Join(at, part)
		info, err := t.statPlain(here)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = here
			continue
		}
		if links++; links > maxLinks {
			return "", syscall.ELOOP
		}
		target, err := t.dir.Readlink(here)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(target, "/") {
			if target, err = t.below(target); err != nil {
				return "", err
			}
			at = "."
		}
		if t.policy == linksOwner {
			aim, err := t.dir.Stat(at + "/" + target)
			if err != nil {
				return "", err
			}
			if owner(aim) != owner(info) {
				return "", errOutside
			}
		}
		left = append(strings.Split(target, "/"), left...)
	}
	return at, nil
}

// below turns an absolute path into one below the root.
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

// statPlain describes the file of a name without following links; for a link, the link itself.
func (t *view) statPlain(name string) (fs.FileInfo, error) {
	file, err := t.openPlain(name, statOnly)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.Stat()
}

// openPlain opens the file of a name without following any link: one that is on
// the way is no directory, and one at the end cannot be read.
func (t *view) openPlain(name string, flags int) (*os.File, error) {
	dir := t.fd
	for {
		part, rest, more := strings.Cut(name, "/")
		if part == ".." {
			return nil, errOutside
		}
		how := flags
		if more {
			how = statOnly | unix.O_DIRECTORY
		}
		fd, err := openat(dir, part, how|unix.O_NOFOLLOW|unix.O_CLOEXEC)
		if dir != t.fd {
			unix.Close(dir)
		}
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		if !more {
			return os.NewFile(uintptr(fd), part), nil
		}
		dir, name = fd, rest
	}
}

func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
