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

// target is a destination for files. target is safe for concurrent use.
type target interface {
	// begin opens a file for the upload id. file contains the name, type, form field and size from the client; a
	// negative size means that the size is unknown. The error is a *refusal or an error of the file system.
	begin(w *backend.ResponseWriter, id string, file stored) (*draft, error)
}

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
	dir, only := full, ""
	switch {
	case err == nil && st.IsDir():
	case err == nil && st.Mode()&(fs.ModeDevice|fs.ModeNamedPipe) != 0:
		path, err := o.inside(full)
		return &device{options: o, path: path, block: st.Mode()&fs.ModeDevice != 0 && st.Mode()&fs.ModeCharDevice == 0},
			err
	case err == nil && !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a directory nor a file nor a device", o.Path)
	case err != nil && (!errors.Is(err, fs.ErrNotExist) || strings.HasSuffix(o.Path, "/")):
		return nil, fmt.Errorf("directory %s: %w", o.Path, errors.Unwrap(err))
	default:
		dir, only = filepath.Dir(full), filepath.Base(full)
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return nil, fmt.Errorf("%s: directory %s not found", o.Path, dir)
		}
	}
	path, err := o.inside(dir)
	return &directory{options: o, path: path, only: only}, err
}

// Place returns the directory in which the uploads for Options.Path are stored, or the device to which these uploads
// are written.
func Place(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = resolved(full)
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return path
	}
	return filepath.Dir(path)
}

// resolved returns the target of a symbolic link, because a rename would replace the link itself. A link that an
// application in the sandbox could have created is not followed, so that opening the directory fails.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil && !system.Replaceable(path) {
		return real
	}
	return path
}

// inside converts a path for use after the chroot to o.Root.
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

// directory is a target for files in a directory, or for a single file. The directory is opened for each upload,
// because a file system may be mounted on it while the server runs.
type directory struct {
	options *Options
	path    string
	only    string // name of the single file; empty if clients choose names
	swept   atomic.Bool
	looks   atomic.Bool // a removal of expired uploads is scheduled

	// creating is held while a resumable upload is created, and guards unfinished and until.
	creating   sync.Mutex
	unfinished []unfinished
	until      time.Time
}

// The name of an incomplete file consists of hiddenPrefix, digits derived from the final name, and partSuffix.
const (
	hiddenPrefix = ".fapws-"
	partSuffix   = ".part"
)

func temporary(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hiddenPrefix + hex.EncodeToString(sum[:12]) + partSuffix
}

// open opens the directory, and at the first call removes incomplete files that a killed server has left.
func (t *directory) open() (*os.Root, error) {
	dir, err := system.OpenRoot(t.path)
	if err == nil && !t.swept.Swap(true) {
		sweep(dir)
		t.expire(dir)
	}
	return dir, err
}

// For each file name that begins with hiddenPrefix and ends with the suffix, entries yields the part between them.
// entries is an iterator, because the directory may contain a million files.
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

func sweep(dir *os.Root) {
	for id := range entries(dir, partSuffix) {
		name := hiddenPrefix + id + partSuffix
		if f, err := openLocked(dir, name, 0); err == nil {
			_ = dir.Remove(name)
			f.Close()
		}
	}
}

func (t *directory) begin(_ *backend.ResponseWriter, _ string, file stored) (*draft, error) {
	name := cmp.Or(t.only, file.Name)
	if wrong := checkName(name); wrong != "" && t.only == "" {
		return nil, refuse(400, "%s", wrong)
	}
	d, err := t.draft(name, temporary(name), os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err = d.f.Truncate(0); err == nil { // remove content that a killed server may have left
		err = d.room(file)
	}
	if err != nil {
		d.abort()
		return nil, err
	}
	return d, nil
}

// draft opens and locks the temporary file of an upload. If flags contains O_CREATE, draft also checks that the final
// name is available.
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

func (t *directory) call(d *draft, name string) { d.name, d.path = name, filepath.Join(t.path, name) }

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

// room returns an error if there is not enough space for a file. room does not reserve the space, because clients could
// announce any size.
func (d *draft) room(file stored) error {
	if free, ok := system.FreeSpaceOf(d.f); ok && file.announced() > free {
		return errNoSpace
	}
	return nil
}

const maxName = 255 // in bytes; most file systems support 255

// checkName returns why a file name from a client is invalid, or "". A path is invalid, and so is a hidden name,
// because partial uploads have hidden names.
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

// renameNew renames a file, or returns EEXIST if the new name exists.
func renameNew(dir int, source, to string) error {
	err := unix.Renameat2(dir, source, dir, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL { // some file systems, such as NFS, do not support the flag
		if err = unix.Linkat(dir, source, dir, to, 0); err == nil {
			err = unix.Unlinkat(dir, source, 0)
		}
	}
	return err
}
