package upload

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
	"fapws/runtime/system"
)

// target is where files go. Its methods are safe for concurrent use.
type target interface {
	// begin opens a file, of which name, type, field and size (below 0: unknown) are set, as the client has them, for the upload id. The
	// error is a *refusal or of the file system.
	begin(w *backend.Response, id string, file stored) (*draft, error)
}

// newTarget returns the kind of target that o.Path or o.Descriptor names. The error is one line.
func newTarget(o *Options) (target, error) {
	switch {
	case o.Pieces > 0:
		return &single{options: o}, nil
	case o.Path == "":
		return newDescriptor(o)
	}
	if strings.ContainsRune(o.Path, 0) {
		return nil, fmt.Errorf("the path has a NUL: %q", o.Path)
	}
	full, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	full = resolved(full)
	st, err := os.Stat(full)
	switch {
	case err == nil && st.IsDir():
		path, err := o.inside(full)
		return &directory{options: o, path: path}, err
	case err == nil && st.Mode()&(fs.ModeDevice|fs.ModeNamedPipe) != 0:
		path, err := o.inside(full)
		return &device{options: o, path: path, block: st.Mode()&fs.ModeDevice != 0 && st.Mode()&fs.ModeCharDevice == 0}, err
	case err == nil && !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a directory nor a file nor a device", o.Path)
	case err != nil && (!errors.Is(err, fs.ErrNotExist) || strings.HasSuffix(o.Path, "/")):
		return nil, fmt.Errorf("directory %s: %w", o.Path, errors.Unwrap(err))
	}
	dir, name := filepath.Split(full)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, fmt.Errorf("%s: directory %s not found", o.Path, filepath.Clean(dir))
	}
	path, err := o.inside(filepath.Clean(dir))
	return &directory{options: o, path: path, only: name}, err
}

// Place returns the directory or device that uploads to a path are written to.
func Place(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = resolved(full)
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return path
	}
	return filepath.Dir(path)
}

// resolved returns the file that a link leads to, because a rename replaces a link. A link that an application in the sandbox can have made
// stays as it is: opening the directory reports it.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil && !system.Replaceable(path) {
		return real
	}
	return path
}

// inside returns a path as it is when the process has entered o.Root.
func (o *Options) inside(full string) (string, error) {
	if o.Root == "" {
		return full, nil
	}
	root, err := filepath.Abs(o.Root)
	if real, e := filepath.EvalSymlinks(root); err == nil && e == nil {
		root = real
	}
	below, ok := strings.CutPrefix(full, strings.TrimSuffix(root, "/"))
	if err != nil || !ok || below != "" && below[0] != '/' {
		return "", fmt.Errorf("%s is outside of --chroot %s", o.Path, o.Root)
	}
	return "/" + strings.TrimPrefix(below, "/"), nil
}

// directory is a directory, or one file of it. It is opened for each upload: so it may be mounted, and unmounted, while the server runs.
type directory struct {
	options *Options
	path    string
	only    string // the name of the file; "": clients choose
	swept   atomic.Bool
	looks   atomic.Bool // for expired uploads, later

	creating   sync.Mutex   // held while an upload is created that may be continued, as it guards what follows
	unfinished []unfinished // the other ones
	until      time.Time    // when they are looked for again in the whole directory
}

// Names of files that are not complete: a prefix, digits that follow from the real name, a suffix.
const (
	hiddenPrefix = ".fapws-"
	partSuffix   = ".part" // of one request
)

// temporary returns the name of a file until it is complete.
func temporary(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hiddenPrefix + hex.EncodeToString(sum[:12]) + partSuffix
}

// open opens the directory, and, the first time, removes files that a killed server has left in it.
func (t *directory) open() (*os.Root, error) {
	dir, err := system.OpenRoot(t.path)
	if err == nil && !t.swept.Swap(true) {
		sweep(dir)
		t.expire(dir)
	}
	return dir, err
}

// entries yields what stands between the prefix of hidden names and a suffix. The directory may have a million files.
func entries(dir *os.Root, suffix string) iter.Seq[string] {
	return func(yield func(string) bool) {
		d, err := dir.Open(".")
		if err != nil {
			return
		}
		defer d.Close()
		for err == nil {
			var names []string
			names, err = d.Readdirnames(1000)
			for _, name := range names {
				id, isHidden := strings.CutPrefix(name, hiddenPrefix)
				if id, fits := strings.CutSuffix(id, suffix); isHidden && fits && !yield(id) {
					return
				}
			}
		}
	}
}

// sweep removes the files of dir that uploads have left, and that no process writes.
func sweep(dir *os.Root) {
	for id := range entries(dir, partSuffix) {
		name := hiddenPrefix + id + partSuffix
		if f, err := openLocked(dir, name, 0); err == nil {
			_ = dir.Remove(name)
			f.Close()
		}
	}
}

func (t *directory) begin(_ *backend.Response, _ string, file stored) (*draft, error) {
	name := cmp.Or(t.only, file.Name)
	if wrong := checkName(name); wrong != "" && t.only == "" {
		return nil, refuse(400, "%s", wrong)
	}
	d, err := t.draft(name, temporary(name), os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err = d.f.Truncate(0); err == nil { // a killed server has left it
		err = d.room(file)
	}
	if err != nil {
		d.abort()
		return nil, err
	}
	return d, nil
}

// draft opens the file temp, which is to get a name; with O_CREATE the name must be one that it can get.
func (t *directory) draft(name, temp string, flags int) (*draft, error) {
	dir, err := t.open()
	if err != nil {
		return nil, err
	}
	d := &draft{dir: dir, temp: temp, options: t.options, hash: sha256.New()}
	t.call(d, name)
	if flags&os.O_CREATE != 0 {
		err = t.vacant(dir, name)
	}
	if err == nil {
		d.f, err = openLocked(dir, temp, flags)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return d, nil
}

// call gives a draft the name that it gets.
func (t *directory) call(d *draft, name string) { d.name, d.path = name, filepath.Join(t.path, name) }

// vacant returns an error if an upload cannot have a name.
func (t *directory) vacant(dir *os.Root, name string) error {
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ENAMETOOLONG):
		return refuse(400, "the file name is too long")
	case err != nil:
		return err
	case !t.options.Replace, info.IsDir():
		return errExists
	}
	return nil
}

// room returns an error if there is no room for a file. Nothing is reserved: an announcement costs a client nothing.
func (d *draft) room(file stored) error {
	if free, ok := system.FreeSpaceOf(d.f); ok && file.announced() > free {
		return errNoSpace
	}
	return nil
}

// maxName is the longest name of a file, in bytes: most file systems take 255.
const maxName = 255

// checkName returns why a file may not have a name that a client has chosen; "": it may. A name is that of an entry of the
// directory itself, and not one of those that are hidden: partial uploads have such names.
func checkName(name string) (wrong string) {
	switch {
	case name == "":
		return "the file has no name"
	case len(name) > maxName:
		return "the file name is too long"
	case !utf8.ValidString(name):
		return "the file name is not UTF-8"
	case strings.ContainsAny(name, `/\`):
		return "the file name must not have slashes"
	case name[0] == '.':
		return "the file name must not begin with a dot"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "the file name must not have control characters"
	}
	return ""
}

// renameNew gives a file of a directory another name there. The error is EEXIST where that name exists.
func renameNew(dir int, from, to string) error {
	err := unix.Renameat2(dir, from, dir, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS { // not on this file system
		return renameByLink(dir, from, to)
	}
	return err
}

// renameByLink gives a file of a directory another name there, if that does not exist.
func renameByLink(dir int, from, to string) error {
	if err := unix.Linkat(dir, from, dir, to, 0); err != nil {
		return err
	}
	return unix.Unlinkat(dir, from, 0)
}
