package static

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fapws/runtime/system"
)

// freshFor is how long the state of the disk is trusted without looking again, in nanoseconds.
const freshFor = int64(time.Second)

// root is the document root. All access to files goes through os.Root, which walks a path one directory descriptor at
// a time and so cannot be led outside, however quickly symbolic links are swapped.
type root struct {
	path   string // absolute
	policy symlinks
	guard  guard

	mu      sync.Mutex
	now     *view
	info    fs.FileInfo // of its directory
	checked int64       // when path was last seen to be that
}

func openRoot(path string, policy symlinks, private *Private, expose []string) (*root, error) {
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
		return nil, fmt.Errorf("cannot serve %s: %w", abs, reason(err))
	}
	return &root{path: abs, policy: policy, guard: g, now: t, info: info}, nil
}

func openView(path string, policy symlinks, g guard) (*view, fs.FileInfo, error) {
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
func (f *Files) Root() string { return strings.TrimRight(f.opt.Root, "/") }

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
	fields := readFields(req)
	r := newRepresentation(description{name: name, mediaType: mediaType}, stampOf(info), f.wall())
	open := newOpenFile(file)
	r.answer(req, &fields, out, open)
	open.release()
	return nil
}
