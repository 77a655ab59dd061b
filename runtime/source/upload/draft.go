package upload

import (
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// A draft is a file that is being received, by one goroutine at a time.
type draft struct {
	file   stored
	f      *os.File
	pieces *pieces // passes the file to the handler; nil if the file is written to f
	// dir is the directory of the files temp and name. dir is nil if f is written in place.
	dir     *os.Root
	temp    string
	name    string
	path    string
	options *Options
	hash    hash.Hash
	// number of bytes written to hash; if it differs from size, hashAll reads the file
	hashed   int64
	size     int64
	unsynced int64
	// gives f back to the single that owns f; nil if the draft owns f
	release func()
}

func (d *draft) write(piece []byte) error {
	var n int
	var err error
	if d.pieces != nil {
		n, err = d.pieces.add(piece)
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
		err = system.IgnoreUnsupported(d.f.Sync())
	}
	return err
}

func (d *draft) stored() stored {
	file := d.file
	file.Path, file.Size, file.SHA256 = d.path, d.size, d.sum()
	return file
}

func (d *draft) sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }

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

func (d *draft) seal() error {
	if d.options.Sync == syncNone || d.pieces != nil {
		return nil
	}
	return system.IgnoreUnsupported(d.f.Sync())
}

// commit renames the sealed file to its final name. If renaming fails, commit removes the file. The draft d must not be
// used afterwards.
func (d *draft) commit() (err error) {
	switch {
	case d.pieces != nil:
		err = d.pieces.end()
	case d.dir != nil:
		err = d.publish()
	}
	if err != nil {
		d.abort()
		return err
	}
	return d.close()
}

func (d *draft) publish() error {
	dir, err := d.dir.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err = d.f.Chmod(os.FileMode(d.options.Mode)); err == nil {
		if d.options.Replace {
			err = d.dir.Rename(d.temp, d.name)
		} else {
			err = renameNew(int(dir.Fd()), d.temp, d.name)
		}
	}
	switch {
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTEMPTY):
		return errExists
	case err != nil:
		return err
	}
	d.temp = ""
	if d.options.Sync == syncNone {
		return nil
	}
	return system.IgnoreUnsupported(dir.Sync())
}

// abort removes the file. If the target is a device, the bytes already written remain. The draft d must not be used
// afterwards.
func (d *draft) abort() {
	switch {
	case d.pieces != nil:
		_ = d.pieces.ask(inquiry{Op: opAbort}, nil) // errors of the handler are already logged
	case d.dir != nil && d.temp != "":
		// remove the file while it is locked, because another upload may use the name as soon as the lock is released
		_ = d.dir.Remove(d.temp)
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

// openLocked opens and locks a file. openLocked returns errBusy if another upload holds the lock, in this process or
// another one.
func openLocked(dir *os.Root, name string, flags int) (*os.File, error) {
	for {
		f, err := dir.OpenFile(name, flags|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		// After the file was opened here, the upload that held the lock may have renamed or removed it.
		var opened, named fs.FileInfo
		if err = lock(f); err == nil {
			opened, err = f.Stat()
		}
		if err == nil {
			named, err = dir.Lstat(name)
		}
		switch {
		// The name may now belong to something else, for example to a symbolic link.
		case err == nil && !named.Mode().IsRegular():
			err = &os.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
		case err == nil && os.SameFile(opened, named):
			return f, nil
		case errors.Is(err, fs.ErrNotExist) && flags&os.O_CREATE != 0:
			err = nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// lock locks a file until the descriptor is closed. lock returns errBusy if another upload holds the lock.
func lock(f *os.File) error {
	switch err := system.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
		return nil
	case unix.EWOULDBLOCK:
		return errBusy
	default:
		return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
}
