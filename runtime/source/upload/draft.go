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

// draft is a file that is being received. Its methods must be called on one goroutine at a time.
type draft struct {
	file     stored // as the client has it
	f        *os.File
	pieces   *pieces  // instead of f; or nil
	dir      *os.Root // of temp and name; nil: f is written to as it is
	temp     string   // its name until commit
	name     string   // its name afterwards
	path     string   // the whole one, for the handler
	options  *Options
	hash     hash.Hash
	hashed   int64 // bytes that hash has got; with others before them it gets no more: see hashAll
	size     int64 // bytes in the file
	unsynced int64
	release  func() // ends the use of a single target, whose f stays open; nil: f is the draft's own
}

// write appends a piece. The error is of the file system.
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
		err = ignoreUnsupported(d.f.Sync())
	}
	return err
}

// stored describes the whole file.
func (d *draft) stored() stored {
	file := d.file
	file.Path, file.Size, file.SHA256 = d.path, d.size, d.sum()
	return file
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
	if d.options.Sync == syncNone || d.pieces != nil {
		return nil
	}
	return ignoreUnsupported(d.f.Sync())
}

// commit gives the sealed file its name. Nothing of it is left if that fails. d must not be used afterwards.
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

// publish renames the file.
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
	return ignoreUnsupported(dir.Sync())
}

// abort removes the file. Bytes on a device stay. d must not be used afterwards.
func (d *draft) abort() {
	switch {
	case d.pieces != nil:
		_ = d.pieces.ask(inquiry{Op: opAbort}, nil) // its own errors are in the log
	case d.dir != nil && d.temp != "":
		_ = d.dir.Remove(d.temp) // while it is locked: it is the same file
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
func openLocked(dir *os.Root, name string, flags int) (*os.File, error) {
	for {
		f, err := dir.OpenFile(name, flags|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		// The upload that had it may have renamed or removed it since it was opened.
		var opened, named fs.FileInfo
		if err = lock(f); err == nil {
			opened, err = f.Stat()
		}
		if err == nil {
			named, err = dir.Lstat(name)
		}
		switch {
		case err == nil && !named.Mode().IsRegular(): // or a link
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

// lock takes the lock of a file, which ends with its descriptor. The error is errBusy if another upload has it.
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
