package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// pipeBuf limits the size of a write to a pipe in bytes, so that the kernel does not interleave the bytes with output
// of other processes (PIPE_BUF of Linux; POSIX guarantees 512).
const pipeBuf = 4096

// fileMode is the mode of the first file; after a rotation, the new file has the mode of the rotated file.
const fileMode = 0o640

// sink writes lines to a file, a pipe or a terminal. sink uses the descriptor directly, because os.File would end the
// process with SIGPIPE if standard output has no reader.
type sink struct {
	o        *Options
	fd       int
	file     *os.File
	standard bool
	regular  bool
	whole    bool // a regular file, to which a single write can append any number of lines
	archive  archive
	said     string
}

func openSink(o *Options) (*sink, error) {
	s := &sink{o: o, fd: 1, archive: archive{o: o}}
	s.archive.keep.Store(int64(o.Keep))
	if o.Path == "-" {
		st, err := os.Stdout.Stat()
		s.whole = err == nil && st.Mode().IsRegular()
		return s, nil
	}
	return s, s.open(fileMode)
}

func (s *sink) open(mode fs.FileMode) error {
	file, err := openPath(s.o, mode)
	if err != nil {
		return err
	}
	if s.standard {
		defer file.Close()
		return makeStandardError(file)
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	s.close()
	s.file, s.fd = file, int(file.Fd())
	s.regular = st.Mode().IsRegular()
	s.whole = s.regular
	return nil
}

// openPath creates the file with the given mode if it is missing. The umask has an effect only if the mode is fileMode.
func openPath(o *Options, mode fs.FileMode) (*os.File, error) {
	open, name := os.OpenFile, o.Path
	if o.Plain {
		dir, err := o.folder()
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		open, name = dir.OpenFile, filepath.Base(o.Path)
		if st, err := dir.Lstat(name); err == nil && !st.Mode().IsRegular() {
			return nil, o.notPlain()
		}
	}
	// Without O_NONBLOCK, opening a FIFO would wait for its reader.
	const flags = os.O_WRONLY | os.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY
	file, err := open(name, flags, 0)
	if os.IsNotExist(err) {
		if file, err = open(name, flags|os.O_CREATE, mode); err == nil && mode != fileMode {
			_ = file.Chmod(mode) // if Chmod fails, the mode remains restricted by the umask
		}
	}
	if err == nil && o.Plain && !o.at(file) { // the path has become a symbolic link after Lstat
		file.Close()
		return nil, o.notPlain()
	}
	return file, err
}

func (o *Options) notPlain() error {
	return fmt.Errorf("%s must be a regular file and no symbolic link, because the application can write to "+
		"its directory", o.Path)
}

func (s *sink) close() {
	if s.file != nil {
		s.file.Close()
	}
}

func (s *sink) complain(format string, err error) {
	if said := format + err.Error(); said != s.said {
		s.said = said
		s.o.report(format, err)
	}
}

func (s *sink) look() {
	if s.file == nil || s.o.at(s.file) {
		return
	}
	mode := fs.FileMode(fileMode)
	if st, err := s.file.Stat(); err == nil {
		mode = st.Mode().Perm()
	}
	if err := s.open(mode); err != nil {
		s.complain("%v; still writing to the previous file", err)
	} else {
		s.said = ""
	}
}

// lock locks the file to which the path leads. After an error, lock returns without a lock, for example if the folder
// was removed or the file system has no locks.
func (s *sink) lock() {
	// Other processes may rotate the file during each attempt, so limit the number of attempts.
	for range 100 {
		if system.Flock(s.fd, unix.LOCK_EX) != nil || s.o.at(s.file) {
			return
		}
		file := s.file
		s.look()
		if s.file == file {
			// The path cannot be opened again, so continue to use the old file, which is locked.
			return
		}
	}
}

func (s *sink) unlock() { _ = system.Flock(s.fd, unix.LOCK_UN) }

func (s *sink) write(lines []byte) (n int, err error) {
	if !s.regular && s.file != nil {
		s.look()
	}
	for n < len(lines) {
		var k int
		if s.regular {
			k, err = s.append(lines[n:])
		} else {
			k, err = s.pass(lines[n:])
		}
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// errNoRoom is the error if the kernel has accepted only a part of a line. In this case, write(2) itself reports no
// error.
var errNoRoom = errors.New("no space left for a whole line")

// append appends as many lines to a regular file as fit, but at least one line. The last line may lack its line end.
func (s *sink) append(lines []byte) (n int, err error) {
	s.lock()
	defer s.unlock()
	var st unix.Stat_t
	if err := unix.Fstat(s.fd, &st); err != nil {
		return 0, err
	}
	size := st.Size
	if size > 0 && s.full(&st, lines) {
		err := s.rotate()
		if err == nil {
			return 0, nil // the next call writes to the new file
		}
		s.complain("not rotated: %v", err)
	}
	if limit := s.o.MaxSize - size; s.o.MaxSize > 0 && limit < int64(len(lines)) && s.archive.able() {
		lines = firstLines(lines, int(max(0, limit)))
	}
	n, err = unix.Write(s.fd, lines)
	if err == unix.EINTR || err == unix.EAGAIN {
		return max(n, 0), nil
	}
	n = max(n, 0)
	if cut := bytes.LastIndexByte(lines[:n], '\n') + 1; cut < n && n < len(lines) {
		// The disk is full. Remove the incomplete line before other processes append.
		if s.shorten(int64(n - cut)) {
			n = cut
		}
		if err == nil {
			err = errNoRoom
		}
	}
	return n, err
}

// shorten removes the given number of bytes from the end of the file, and reports whether it succeeded. Another process
// may have emptied the file to free space. shorten therefore checks the size first, because Ftruncate would otherwise
// extend the file with zeros.
func (s *sink) shorten(bytes int64) bool {
	var st unix.Stat_t
	if unix.Fstat(s.fd, &st) != nil {
		return false
	}
	return st.Size < bytes || unix.Ftruncate(s.fd, st.Size-bytes) == nil
}

func (s *sink) full(st *unix.Stat_t, lines []byte) bool {
	if !s.archive.able() {
		return false
	}
	if s.o.MaxSize > 0 && st.Size+int64(firstLine(lines)) > s.o.MaxSize {
		return true
	}
	sec, nsec := st.Mtim.Unix()
	return s.o.Every.between(time.Unix(sec, nsec), time.Now())
}

func (s *sink) rotate() error {
	if err := s.archive.rename(); err != nil {
		return err
	}
	s.unlock()
	s.look()
	s.archive.start()
	return nil
}

func (s *sink) pass(lines []byte) (n int, err error) {
	if !s.whole {
		lines = firstLines(lines, pipeBuf)
	}
	n, err = unix.Write(s.fd, lines)
	n = max(n, 0)
	switch err {
	case unix.EINTR:
		err = nil
	case unix.EAGAIN:
		// Wait until the descriptor is writable.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, 1000)
		err = nil
	}
	return n, err
}

// firstLines returns as many whole lines as fit into max bytes, but at least one line.
func firstLines(lines []byte, max int) []byte {
	if len(lines) <= max {
		return lines
	}
	if end := bytes.LastIndexByte(lines[:max], '\n'); end >= 0 {
		return lines[:end+1]
	}
	return lines[:firstLine(lines)]
}

func firstLine(lines []byte) int {
	if end := bytes.IndexByte(lines, '\n'); end >= 0 {
		return end + 1
	}
	return len(lines)
}

// folder opens the directory of the log. The directory may have been replaced since the last call of folder. The caller
// must close the result.
func (o *Options) folder() (*os.Root, error) {
	dir, err := system.OpenRoot(filepath.Dir(o.Path))
	var failed *fs.PathError
	if errors.As(err, &failed) {
		failed.Path = o.Path
	}
	return dir, err
}

func (o *Options) at(file *os.File) bool {
	there, err := os.Stat(o.Path)
	if o.Plain {
		dir, failed := o.folder()
		if failed != nil {
			return false
		}
		defer dir.Close()
		there, err = dir.Lstat(filepath.Base(o.Path))
	}
	here, failed := file.Stat()
	return err == nil && failed == nil && os.SameFile(here, there)
}
