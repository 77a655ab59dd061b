package system

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

func Flock(fd, operation int) error {
	for {
		if err := unix.Flock(fd, operation); err != unix.EINTR {
			return err
		}
	}
}

// OpenAt is openat(2), repeated after EINTR.
func OpenAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
	}
	return fd, err
}

// distrusted contains the directories that a sandboxed application may change.
var distrusted atomic.Pointer[[]string]

// Distrust replaces the list of directories that a sandboxed application may change; the paths are absolute. Below
// these directories, Open and OpenRoot follow no symbolic links in a process outside of the sandbox, because the
// application could have made the links. If the name of a directory in the list ends with a slash, the directory itself
// may be a symbolic link.
func Distrust(directories []string) { distrusted.Store(&directories) }

// border returns the first directory in path that the application may change, and the rest of path; "" if there is no
// such directory. The application cannot replace anything above the returned directory.
func border(path string) (directory, rest string) {
	list := distrusted.Load()
	if list == nil {
		return "", ""
	}
	path = filepath.Clean(path)
	for _, one := range *list {
		top := strings.TrimSuffix(one, "/")
		if !strings.HasPrefix(path+"/", top+"/") {
			continue
		}
		if top == one {
			top = strings.TrimSuffix(filepath.Dir(top), "/")
		}
		if below, ok := strings.CutPrefix(path, top+"/"); ok && below != "" && (rest == "" || len(below) > len(rest)) {
			directory, rest = top+"/", below
		}
	}
	return directory, rest
}

// RealPath returns path with all symbolic links resolved, or path itself if it does not exist.
func RealPath(path string) string {
	if filepath.IsAbs(path) && filepath.Clean(path) == path && hasNoLinks(path) {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// hasNoLinks reports whether an existing path contains no symbolic links. The result is false if the kernel, before
// Linux 5.6, or a sandbox has no openat2.
func hasNoLinks(path string) bool {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

// Steps returns the path of each directory, symbolic link and file through which the kernel opens the absolute path.
func Steps(path string) (steps []string) {
	at := "/"
	for rest := path; rest != "" && len(steps) < unix.PathMax; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		step := filepath.Join(at, name)
		steps = append(steps, step)
		target, err := os.Readlink(step)
		switch {
		case err != nil:
			at = step
		case filepath.IsAbs(target):
			at = "/"
			fallthrough
		default:
			rest = target + "/" + rest
		}
	}
	return steps
}

// Replaceable reports whether a sandboxed application can replace the file at path, or a directory above the file, by a
// symbolic link.
func Replaceable(path string) bool {
	directory, _ := border(path)
	return directory != ""
}

// Open opens an absolute path with O_PATH. The caller must close fd.
func Open(path string) (fd int, err error) {
	directory, rest := border(path)
	if directory == "" {
		return open(unix.AT_FDCWD, path, path, 0)
	}
	if fd, err = open(unix.AT_FDCWD, directory, directory, 0); err != nil {
		return -1, err
	}
	for name := range strings.SplitSeq(rest, "/") {
		next, err := open(fd, name, path, unix.O_NOFOLLOW)
		unix.Close(fd)
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

func open(dir int, name, path string, flags int) (fd int, err error) {
	fd, err = OpenAt(dir, name, unix.O_PATH|flags, 0)
	var st unix.Stat_t
	if err == nil && flags&unix.O_NOFOLLOW != 0 {
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			err = unix.ELOOP
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	switch {
	case err == unix.ELOOP && flags&unix.O_NOFOLLOW != 0:
		return -1, fmt.Errorf("%s leads through a symbolic link that the application can have made; name the "+
			"directory itself", path)
	case err != nil:
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// MayCreate returns an error if this process has no permission to create or replace the file at path. The error wraps
// its cause, such as unix.EACCES, unix.EROFS or, if the directory is missing, fs.ErrNotExist.
func MayCreate(path string) error {
	return unix.Faccessat(unix.AT_FDCWD, filepath.Dir(path), unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

func OpenRoot(path string) (*os.Root, error) {
	if directory, _ := border(path); directory == "" {
		return os.OpenRoot(path)
	}
	fd, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return os.OpenRoot("/proc/self/fd/" + strconv.Itoa(fd))
}

// OpenDirectory opens a directory at an absolute path for reading. The caller must close fd.
func OpenDirectory(path string) (fd int, err error) {
	if directory, _ := border(path); directory == "" {
		if fd, err = OpenAt(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return fd, nil
	}
	at, err := Open(path)
	if err != nil {
		return -1, err
	}
	defer unix.Close(at)
	if fd, err = OpenAt(at, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// IgnoreUnsupported returns err, or nil if err says that a file, such as a pipe, does not support the operation.
func IgnoreUnsupported(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

func UnnamedFile(dir string) (fd int, err error) {
	fd, err = unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return fd, nil
	}
	f, err := os.CreateTemp(dir, "fapws-") // some file systems (overlay, NFS) do not support O_TMPFILE
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, err
	}
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}
