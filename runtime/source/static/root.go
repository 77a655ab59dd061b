package static

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// freshFor is how long the state of the disk is trusted without looking again, in nanoseconds.
const freshFor = int64(time.Second)

// root is the document root. All access to files goes through os.Root, which walks a path one directory descriptor at
// a time and so cannot be led outside, however quickly symbolic links are swapped.
type root struct {
	path   string // absolute
	policy Symlinks
	guard  guard

	mu      sync.Mutex
	now     *view
	info    fs.FileInfo // of its directory
	checked int64       // when path was last seen to be that
}

func openRoot(path string, policy Symlinks, private *Private, expose []string) (*root, error) {
	if path == "" {
		return nil, errors.New("no directory given")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	g := guard{private: private, names: private.within(abs), expose: expose, links: new(hardLinks)}
	t, info, err := openView(abs, policy, g)
	if err != nil {
		return nil, fmt.Errorf("cannot serve %s: %w", abs, system.Cause(err))
	}
	return &root{path: abs, policy: policy, guard: g, now: t, info: info}, nil
}

func openView(path string, policy Symlinks, g guard) (*view, fs.FileInfo, error) {
	dir, err := system.OpenRoot(path)
	if err != nil {
		return nil, nil, err
	}
	self, err := dir.Open(".")
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	info, err := self.Stat()
	if err != nil {
		dir.Close()
		self.Close()
		return nil, nil, err
	}
	t := &view{dir: dir, self: self, fd: int(self.Fd()), prefix: []string{strings.TrimRight(path, "/")}, policy: policy, guard: g}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		t.prefix = append(t.prefix, strings.TrimRight(real, "/"))
	}
	return t, info, nil
}

// OpenTree opens a directory for a source that does not send its files. stat describes the file of a name below it, a path without "." and
// ".." segments, and follows symbolic links as for clients of Files; a link that is not followed may be the result. Any goroutine may call it.
func OpenTree(path string, policy Symlinks) (dir *os.Root, stat func(name string) (fs.FileInfo, error), err error) {
	t, _, err := openView(path, policy, guard{})
	if err != nil {
		return nil, nil, err
	}
	return t.dir, t.statAny, nil
}

func (t *view) close() error {
	t.self.Close()
	return t.dir.Close()
}

// at returns the directory that the root's path names now, give or take a
// second.
func (r *root) at(now int64) *view {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now - r.checked; age >= 0 && age < freshFor {
		return r.now
	}
	r.checked = now
	info, err := os.Stat(r.path)
	if err != nil || os.SameFile(info, r.info) {
		return r.now // a root that is gone, or out of reach after a chroot, stays as it was
	}
	if t, info, err := openView(r.path, r.policy, r.guard); err == nil {
		// The old one is left to its finalizers: another goroutine may be
		// about to use it.
		r.now, r.info = t, info
	}
	return r.now
}

func (r *root) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.close()
}

// Root is the document root as it was given, without a slash at its end. Any
// goroutine.
func (f *Files) Root() string { return f.name }

// Send answers with the file that a name below the root means to the file
// system: hidden names and ".." are names like others (os.Root keeps them
// inside), and there are no variants, as the names are not the client's but
// those of an application, in whose folder x and x.gz may be two things.
// mediaType "" is found by name. Nothing is filled in when there is an error.
//
// Any goroutine may call it; it may wait for the disk.
func (f *Files) Send(name, mediaType string, req *Request, out *Response) error {
	file, err := f.root.at(f.clock()).openAny(name)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || f.opt.Private.has(info)) {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return err
	}
	if mediaType == "" {
		mediaType = f.types.of(name)
	}
	c := ReadConditions(req.Head, req.Parsed.Fields)
	r := newRepresentation(description{name: name, mediaType: mediaType}, StampOf(info), f.wall())
	open := newOpenFile(file)
	r.answer(req, &c, out, open)
	open.release()
	return nil
}

// Symlinks says which symbolic links are followed.
type Symlinks uint8

// The policies.
const (
	LinksInside Symlinks = iota // those that stay below the root
	LinksOwner                  // of these, those of the owner of their target
	LinksNo                     // none
)

// ParseSymlinks reads Options.Symlinks.
func ParseSymlinks(s string) (Symlinks, error) {
	switch s {
	case "", "inside":
		return LinksInside, nil
	case "owner":
		return LinksOwner, nil
	case "no":
		return LinksNo, nil
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
	policy Symlinks
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
	return follow(t, name, t.statPlain, t.dir.Stat)
}

// follow calls plain, which follows no links, or inside, which follows those that stay below the root, for a name, as the policy has it.
func follow[T any](t *view, name string, plain, inside func(name string) (T, error)) (result T, err error) {
	switch t.policy {
	case LinksNo:
		return plain(name)
	case LinksOwner:
		if name, err = t.resolve(name); err != nil {
			return result, err
		}
		return plain(name)
	}
	result, err = inside(name)
	if err != nil && unwrap(err) == 0 { // os.Root has no public error for a path that leads outside, and only there is a second look needed
		if name, rerr := t.resolve(name); rerr == nil {
			return inside(name)
		}
	}
	return result, err
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

// openRegular is open for regular files; others do not exist.
func (t *view) openRegular(name string) (*os.File, fs.FileInfo, error) {
	file, err := t.open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// openAny opens a file for reading, never waiting: a FIFO without a writer
// opens at once, and it is for the caller to see that it is no regular file.
func (t *view) openAny(name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
	return follow(t, name,
		func(name string) (*os.File, error) { return t.openPlain(name, flags) },
		func(name string) (*os.File, error) { return t.dir.OpenFile(name, flags, 0) })
}

// shows returns an error if clients may not see the regular file of a name, which has to be opened to find out.
func (t *view) shows(name string) error {
	file, err := t.open(name)
	if err != nil {
		return err
	}
	return file.Close()
}

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
		if t.policy == LinksOwner {
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
		fd, err := system.OpenAt(dir, part, how|unix.O_NOFOLLOW, 0)
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
