package upload

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// draft is a file that is being received. Its methods must be called on one goroutine at a time.
type draft struct {
	f        *os.File
	pieces   *pieces  // instead of f; or nil
	dir      *os.File // of temp and name; nil: f is written to as it is
	temp     string   // its name until commit
	name     string   // its name afterwards
	path     string   // the whole one, for the handler
	options  *Options
	hash     hash.Hash
	hashed   int64 // bytes that hash has got; with others before them it gets no more: see hashAll
	size     int64 // bytes in the file
	unsynced int64
	release  func() // gives f back, which others use, too; nil: it is the draft's own
}

// write appends a piece. The error is of the file system.
func (d *draft) write(piece []byte) error {
	var n int
	var err error
	if d.pieces != nil {
		n, err = d.pieces.Write(piece)
	} else {
		n, err = d.f.Write(piece)
	}
	if d.hashed == d.size {
		d.hash.Write(piece[:n])
		d.hashed += int64(n)
	}
	d.size += int64(n)
	d.unsynced += int64(n)
	if err == nil && d.options.Sync > 0 && d.f != nil && d.unsynced >= d.options.Sync {
		d.unsynced = 0
		err = syncData(d.f)
	}
	return err
}

// sum returns the SHA-256 of the bytes, in hexadecimal digits.
func (d *draft) sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }

// hashAll reads the file, unless hash has got all of it.
func (d *draft) hashAll() error {
	if d.hashed == d.size {
		return nil
	}
	d.hash.Reset()
	n, err := io.Copy(d.hash, io.NewSectionReader(d.f, 0, d.size))
	if err == nil && n != d.size {
		err = io.ErrUnexpectedEOF
	}
	d.hashed = n
	return err
}

// seal forces the bytes to the disk.
func (d *draft) seal() error {
	if d.options.Sync == SyncNone || d.pieces != nil {
		return nil
	}
	return ignoreUnsupported(d.f.Sync())
}

// commit gives the sealed file its name. Nothing of it is left if that fails. d must not be used afterwards.
func (d *draft) commit() (err error) {
	switch {
	case d.pieces != nil:
		return d.pieces.end()
	case d.dir == nil:
		return d.close()
	}
	if err = d.f.Chmod(os.FileMode(d.options.Mode)); err == nil {
		err = rename(int(d.dir.Fd()), d.temp, d.name, d.options.Replace)
	}
	switch {
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTEMPTY):
		err = errExists
	case err == nil && d.options.Sync != SyncNone:
		err = ignoreUnsupported(d.dir.Sync())
		d.temp = ""
	case err == nil:
		d.temp = ""
	}
	if err != nil {
		d.abort()
		return err
	}
	return d.close()
}

// abort removes the file. Bytes on a device stay. d must not be used afterwards.
func (d *draft) abort() {
	if d.pieces != nil {
		d.pieces.abort()
		return
	}
	if d.dir != nil && d.temp != "" {
		_ = unix.Unlinkat(int(d.dir.Fd()), d.temp, 0) // while it is locked: it is the same file
	}
	_ = d.close()
}

func (d *draft) close() error {
	if d.release != nil {
		d.release()
		return nil
	}
	if d.dir != nil {
		d.dir.Close()
	}
	return d.f.Close()
}

// ignoreUnsupported returns err, unless it says that a file cannot be synchronized, as pipes cannot.
func ignoreUnsupported(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// openLocked opens a file of the directory for writing, which is made if it does not exist, and locks it. The error is errBusy if
// another upload has it, also one of another process.
func openLocked(dir *os.File, name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		f := os.NewFile(uintptr(fd), name)
		if err := lock(f); err != nil {
			f.Close()
			return nil, err
		}
		// The upload that had it may have renamed or removed it since it was opened.
		var opened, named unix.Stat_t
		err = unix.Fstat(fd, &opened)
		if err == nil {
			err = unix.Fstatat(int(dir.Fd()), name, &named, unix.AT_SYMLINK_NOFOLLOW)
		}
		switch {
		case err == nil && opened.Ino == named.Ino && opened.Dev == named.Dev:
			if opened.Mode&unix.S_IFMT != unix.S_IFREG {
				f.Close()
				return nil, &os.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
			}
			return f, nil
		case err != nil && err != unix.ENOENT:
			f.Close()
			return nil, &os.PathError{Op: "stat", Path: name, Err: err}
		}
		f.Close()
		if flags&unix.O_CREAT == 0 {
			return nil, &os.PathError{Op: "open", Path: name, Err: unix.ENOENT}
		}
	}
}

// lock takes the lock of a file, which ends with its descriptor. The error is errBusy if another upload has it.
func lock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return errBusy
		default:
			return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

func newHash() hash.Hash { return sha256.New() }
