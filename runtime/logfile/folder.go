package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// folder is the open directory of a log. Names are of files in it.
type folder struct {
	fd   int
	path string
}

// folder opens the directory of the log, again for each use: it may have been renamed or made again. The caller closes it.
func (o *Options) folder() (folder, error) {
	path := filepath.Dir(o.Path)
	fd, err := system.Open(path)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		failed.Path = o.Path // which is what the settings name
	}
	return folder{fd, path}, err
}

func (f folder) close() { unix.Close(f.fd) }

// fails returns an error about a file, nil for nil.
func (f folder) fails(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: filepath.Join(f.path, name), Err: err}
}

func (f folder) open(name string, flags int, mode fs.FileMode) (*os.File, error) {
	for {
		fd, err := unix.Openat(f.fd, name, flags|unix.O_CLOEXEC, uint32(mode.Perm()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, f.fails("open", name, err)
		}
		return os.NewFile(uintptr(fd), filepath.Join(f.path, name)), nil
	}
}

func (f folder) rename(from, to string) error {
	return f.fails("rename", from, unix.Renameat(f.fd, from, f.fd, to))
}

func (f folder) remove(name string) error {
	return f.fails("remove", name, unix.Unlinkat(f.fd, name, 0))
}

func (f folder) stat(name string, flags int) (st unix.Stat_t, err error) {
	err = f.fails("stat", name, unix.Fstatat(f.fd, name, &st, flags))
	return st, err
}

// holds reports whether a name leads to the file that is open as fd.
func (f folder) holds(name string, fd int) bool {
	var here unix.Stat_t
	there, err := f.stat(name, 0)
	return err == nil && unix.Fstat(fd, &here) == nil && there.Ino == here.Ino && there.Dev == here.Dev
}

// list returns the files whose names begin with prefix.
func (f folder) list(prefix string) (list []fs.DirEntry) {
	dir, err := f.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil // what cannot be read cannot be compressed either
	}
	defer dir.Close()
	entries, _ := dir.ReadDir(-1)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			list = append(list, e)
		}
	}
	return list
}
