package upload

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
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
	if d.options.Sync == SyncNone || d.pieces != nil {
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
	if d.options.Sync == SyncNone {
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

// device is a device or a FIFO, which is written to in place: from its beginning, where it has one.
type device struct {
	options *Options
	path    string
	block   bool // its size is known, and a file system on it may be mounted
}

func (t *device) begin(_ *backend.Response, _ string, file stored) (*draft, error) {
	flags := os.O_WRONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW
	if t.block {
		flags = os.O_WRONLY | os.O_EXCL | unix.O_NOFOLLOW // O_EXCL: not if a file system on it is mounted
	}
	f, err := os.OpenFile(t.path, flags, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, refuse(423, "the device is in use")
	case errors.Is(err, unix.ENXIO):
		return nil, refuse(503, "no program reads the uploads")
	case err != nil:
		return nil, err
	}
	d := &draft{f: f, path: t.path, options: t.options, hash: sha256.New()}
	if err := t.ready(f, file); err != nil {
		d.abort()
		return nil, err
	}
	return d, nil
}

// ready locks the device, or the bytes of two uploads would mix, and returns an error if it has no room for a file.
func (t *device) ready(f *os.File, file stored) error {
	if err := lock(f); err != nil || !t.block {
		return ignoreUnsupported(err)
	}
	room, err := f.Seek(0, io.SeekEnd)
	if err == nil && file.announced() > room {
		return errNoSpace
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return err
}

// single is a target that one upload at a time is written to: a descriptor that the script has opened, whose position all uploads
// share, or else the handler, for memory that is not a file: flash that is erased and written in blocks (MTD). The handler is asked with a
// line of JSON (inquiry) and, behind that, a piece.
type single struct {
	options *Options
	f       *os.File // nil: the handler
	busy    atomic.Bool
}

func newDescriptor(o *Options) (target, error) {
	fd, err := unix.FcntlInt(uintptr(o.Descriptor), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", o.Descriptor, err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE == unix.O_RDONLY {
		unix.Close(fd)
		return nil, fmt.Errorf("descriptor %d is not open for writing", o.Descriptor)
	}
	return &single{options: o, f: os.NewFile(uintptr(fd), fmt.Sprintf("descriptor %d", o.Descriptor))}, nil
}

func (t *single) begin(w *backend.Response, id string, file stored) (*draft, error) {
	if t.busy.Swap(true) {
		return nil, errBusy
	}
	d := &draft{f: t.f, options: t.options, hash: sha256.New(), release: func() { t.busy.Store(false) }}
	if t.f == nil {
		d.pieces = &pieces{w: w, id: id, key: t.options.Key, size: t.options.Pieces}
		d.pieces.full = bufio.NewWriterSize(d.pieces, t.options.Pieces)
		if err := d.pieces.ask(inquiry{Op: opBegin, File: &file}, nil); err != nil {
			d.release()
			return nil, err
		}
	}
	return d, nil
}

// maxPiece is the largest piece of Options.Pieces, in bytes.
const maxPiece = 1 << 20

// inquiry is a question to the handler. contrib/fapws/_upload.py reads it.
type inquiry struct {
	Op   string  `json:"op"`
	ID   string  `json:"id"`  // of the upload
	Key  string  `json:"key"` // Options.Key
	File *stored `json:"file,omitempty"`
}

// The values of inquiry.Op: a file begins, a piece of it, all pieces were taken, there will be no more.
const (
	opBegin = "begin"
	opPiece = "piece"
	opEnd   = "end"
	opAbort = "abort"
)

// pieces gives the bytes of a file to the handler.
type pieces struct {
	w    *backend.Response
	id   string
	key  string
	size int           // bytes of a piece
	full *bufio.Writer // of that size, to Write
}

// add gathers bytes until a piece is full.
func (p *pieces) add(data []byte) (n int, err error) {
	for part := range slices.Chunk(data, p.size) { // of more, the Writer would make one piece
		if k, err := p.full.Write(part); err != nil {
			return n + k, err
		}
		n += len(part)
	}
	return n, nil
}

// Write implements io.Writer: it gives a piece to the handler.
func (p *pieces) Write(piece []byte) (int, error) {
	return len(piece), p.ask(inquiry{Op: opPiece}, piece)
}

// end gives the rest to the handler, and tells it that the file is complete.
func (p *pieces) end() error {
	if err := p.full.Flush(); err != nil {
		return err
	}
	return p.ask(inquiry{Op: opEnd}, nil)
}

func (p *pieces) ask(what inquiry, piece []byte) error {
	what.ID, what.Key = p.id, p.key
	line, _ := json.Marshal(what)
	return answered(p.w.Ask(slices.Concat(line, []byte{'\n'}, piece)))
}

// answered returns the error of a handler: its client gets that.
func answered(status int, text []byte) error {
	if status >= 200 && status < 300 {
		return nil
	}
	line, _, _ := strings.Cut(strings.ToValidUTF8(string(text), "?"), "\n")
	if status < 400 || strings.Contains(line, "<") { // not a refusal, or a page: its status says enough
		line = ""
	}
	return &refusal{status: max(status, 400), text: line}
}
