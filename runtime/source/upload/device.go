package upload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
)

// device is a device or a FIFO, which is written to in place: from its beginning, where it has one.
type device struct {
	options *Options
	path    string
	block   bool // its size is known, and a file system on it may be mounted
}

func (t *device) named() bool { return false }

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
	d := &draft{f: f, path: t.path, options: t.options, hash: newHash()}
	if !t.block {
		return d, nil
	}
	if err := t.ready(f, file); err != nil {
		d.abort()
		return nil, err
	}
	return d, nil
}

// ready locks a block device and returns an error if it has no room for a file.
func (t *device) ready(f *os.File, file stored) error {
	if err := lock(f); err != nil {
		return err
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

// descriptor is one that the script has opened. All uploads share its position.
type descriptor struct {
	options *Options
	f       *os.File
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
	return &descriptor{options: o, f: os.NewFile(uintptr(fd), fmt.Sprintf("descriptor %d", o.Descriptor))}, nil
}

func (t *descriptor) named() bool { return false }

func (t *descriptor) begin(*backend.Response, string, stored) (*draft, error) {
	if t.busy.Swap(true) {
		return nil, errBusy
	}
	return &draft{f: t.f, options: t.options, hash: newHash(), release: func() { t.busy.Store(false) }}, nil
}
