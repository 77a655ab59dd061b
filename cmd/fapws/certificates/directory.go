package certificates

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

// A directory is a locked directory for certificates. Links that lead out of it are not followed, because root may use
// the directory of another user.
type directory struct {
	name     string
	root     *os.Root
	lock     *os.File
	uid, gid int
}

// openDirectory opens and locks a directory. It waits while another process has locked the directory.
func openDirectory(name string) (*directory, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, CannotUse(name, err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, CannotUse(name, err)
	}
	d := &directory{name: name, root: root}
	info, err := root.Stat(".")
	if err == nil {
		st := info.Sys().(*syscall.Stat_t)
		d.uid, d.gid = int(st.Uid), int(st.Gid)
		d.lock, err = d.create(".lock", os.O_CREATE, 0o600) // a read-only file system allows this if the file exists
	}
	if err == nil {
		err = system.Flock(int(d.lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		d.close()
		return nil, CannotUse(name, err)
	}
	return d, nil
}

// ErrStateDir is in the chain of each error of CannotUse.
var ErrStateDir = errors.New("name another one with --state-dir")

// CannotUse returns an error for the user, with the cause of err and the advice to choose another state directory.
func CannotUse(name string, err error) error {
	return fmt.Errorf("cannot use the directory %s: %w; it must be writable and have room, or %w", name,
		system.Cause(err), ErrStateDir)
}

func (d *directory) close() {
	if d.lock != nil {
		d.lock.Close()
	}
	d.root.Close()
}

func (d *directory) path(file string) string { return filepath.Join(d.name, file) }

// create creates a file that belongs to the owner of the directory.
func (d *directory) create(file string, flags int, mode os.FileMode) (*os.File, error) {
	f, err := d.root.OpenFile(file, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, mode)
	if err == nil && os.Geteuid() == 0 {
		if err = f.Chown(d.uid, d.gid); errors.Is(err, unix.EROFS) {
			err = nil
		} else if err != nil {
			f.Close()
		}
	}
	return f, err
}

func (d *directory) read(file string) ([]byte, error) {
	f, err := d.root.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// put stores a file in the directory dir, which it makes if necessary. It is for the directory of one process, which
// needs no lock.
func put(dir, file string, text []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return CannotUse(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return CannotUse(dir, err)
	}
	d := &directory{name: dir, root: root, uid: os.Geteuid(), gid: os.Getegid()}
	defer d.close()
	return d.write(file, text, 0o600)
}

// write replaces a file atomically, even if the power fails. When it returns, the new file is on the disk.
func (d *directory) write(file string, text []byte, mode os.FileMode) error {
	next := file + ".new"
	_ = d.root.Remove(next)
	f, err := d.create(next, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return CannotUse(d.name, err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = d.root.Rename(next, file)
	}
	if err == nil {
		err = d.sync()
	}
	if err != nil {
		return CannotUse(d.name, err)
	}
	return nil
}

func (d *directory) sync() error {
	names, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer names.Close()
	return system.IgnoreUnsupported(names.Sync())
}
