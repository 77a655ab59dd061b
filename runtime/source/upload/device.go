package upload

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
	"fapws/runtime/system"
)

// A device is a target that is a FIFO or a device file. A device file is written in place from its beginning.
type device struct {
	options *Options
	path    string
	block   bool // path is a block device, which has a known size and may be mounted
}

func (t *device) begin(_ *backend.ResponseWriter, _ string, file stored) (*draft, error) {
	flags := os.O_WRONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW
	if t.block {
		flags = os.O_WRONLY | os.O_EXCL | unix.O_NOFOLLOW // O_EXCL fails if a file system on the device is mounted
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

// ready locks the device, so that the bytes of two uploads do not mix, and returns an error if the device is too small
// for the file.
func (t *device) ready(f *os.File, file stored) error {
	if err := lock(f); err != nil || !t.block {
		return system.IgnoreUnsupported(err)
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

// A single is a target for one upload at a time: a descriptor that the application's script has opened, or the handler.
// A handler can write to storage without a file, such as flash memory that is erased and written in blocks (MTD). It
// receives a line of JSON (inquiry), followed by a piece of the upload.
type single struct {
	options *Options
	f       *os.File // nil if the target is the handler
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

func (t *single) begin(w *backend.ResponseWriter, id string, file stored) (*draft, error) {
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

const maxPiece = 1 << 20 // in bytes

// An inquiry is the line of JSON before a piece of an upload. The module contrib/fapws/_upload.py parses this line.
type inquiry struct {
	Op   string  `json:"op"`
	ID   string  `json:"id"`
	Key  string  `json:"key"`
	File *stored `json:"file,omitempty"`
}

const (
	opBegin = "begin"
	opPiece = "piece"
	opEnd   = "end"
	opAbort = "abort"
)

// pieces passes the bytes of a file to the handler.
type pieces struct {
	w    *backend.ResponseWriter
	id   string
	key  string
	size int // in bytes
	full *bufio.Writer
}

func (p *pieces) add(data []byte) (n int, err error) {
	for part := range slices.Chunk(data, p.size) { // split data, because bufio.Writer passes on a large slice unsplit
		if k, err := p.full.Write(part); err != nil {
			return n + k, err
		}
		n += len(part)
	}
	return n, nil
}

func (p *pieces) Write(piece []byte) (int, error) {
	return len(piece), p.ask(inquiry{Op: opPiece}, piece)
}

// end passes the rest of the file to the handler, and tells the handler that the file is complete.
func (p *pieces) end() error {
	if err := p.full.Flush(); err != nil {
		return err
	}
	return p.ask(inquiry{Op: opEnd}, nil)
}

func (p *pieces) ask(question inquiry, piece []byte) error {
	question.ID, question.Key = p.id, p.key
	line, _ := json.Marshal(question)
	return answered(p.w.Ask(slices.Concat(line, []byte{'\n'}, piece)))
}

func answered(status int, text []byte) error {
	if status >= 200 && status < 300 {
		return nil
	}
	line, _, _ := strings.Cut(strings.ToValidUTF8(string(text), "?"), "\n")
	if status < 400 || strings.Contains(line, "<") {
		line = ""
	}
	return &refusal{status: max(status, 400), text: line}
}
