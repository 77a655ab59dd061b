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

// pipeBuf is how much a write to a pipe can have without being mixed with the output of others (PIPE_BUF of Linux;
// POSIX promises 512).
const pipeBuf = 4096

// fileMode is that of a new file; one that follows another has the other's.
const fileMode = 0o640

// sink is where lines go. It uses the descriptor itself, because a write of os.File to a standard output without a
// reader ends the process (SIGPIPE).
type sink struct {
	o        *Options
	fd       int
	file     *os.File // nil: standard output, which is not ours to close
	standard bool     // it is standard error: see Errors
	regular  bool     // a regular file that a path leads to
	whole    bool     // one write appends any number of lines at once
	archive  archive
	said     string // the last complaint about the path: it is said once
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

// open opens the path, in place of the open file.
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

// openPath opens a log for appending. A new one gets exactly that mode where it
// is not fileMode, of which umask may take away.
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
			_ = file.Chmod(mode) // failing, it has what umask leaves
		}
	}
	if err == nil && o.Plain && !o.at(file) { // there was a link meanwhile
		file.Close()
		return nil, o.notPlain()
	}
	return file, err
}

func (o *Options) notPlain() error {
	return fmt.Errorf("%s must be a regular file and no symbolic link, because the application can write to its directory", o.Path)
}

func (s *sink) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// complain reports an error about the path, once.
func (s *sink) complain(format string, err error) {
	if said := format + err.Error(); said != s.said {
		s.said = said
		s.o.report(format, err)
	}
}

// look makes sure that the path leads to the open file.
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

// lock takes the lock on the file that the path leads to. Where that cannot be
// had (a folder that is gone, a file system without locks), it is done without.
func (s *sink) lock() {
	for range 100 { // others may rotate at the same time, but not indefinitely
		if system.Flock(s.fd, unix.LOCK_EX) != nil || s.o.at(s.file) {
			return
		}
		file := s.file
		s.look()
		if s.file == file {
			return // with the old one, still locked
		}
	}
}

func (s *sink) unlock() { _ = system.Flock(s.fd, unix.LOCK_UN) }

// write writes lines and returns how many bytes the kernel took.
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

// errNoRoom is for a line of which a part was written; the kernel reports an error only when it takes nothing at all.
var errNoRoom = errors.New("no space left for a whole line")

// append writes some of the lines to a regular file: as many as fit in it, and
// at least one. The last may be without its end.
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
			return 0, nil // and once more, to the next file
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
		// The disk is full. Others may append before we can: take the piece of a
		// line back.
		if s.shorten(int64(n - cut)) {
			n = cut
		}
		if err == nil {
			err = errNoRoom
		}
	}
	return n, err
}

// shorten takes the last bytes off the file, and reports whether they are gone. A process that
// made room by emptying the file may have been quicker: so the size is checked first, or
// the file would grow, by zeros.
func (s *sink) shorten(bytes int64) bool {
	var st unix.Stat_t
	if unix.Fstat(s.fd, &st) != nil {
		return false
	}
	return st.Size < bytes || unix.Ftruncate(s.fd, st.Size-bytes) == nil
}

// full says whether a file has to make room for the first of the lines.
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

// rotate renames the file, which is locked, and opens the next one.
func (s *sink) rotate() error {
	if err := s.archive.rename(); err != nil {
		return err
	}
	s.unlock()
	s.look()
	s.archive.start()
	return nil
}

// pass writes some of the lines to a pipe, a terminal or a device.
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
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, 1000) // until it takes more
		err = nil
	}
	return n, err
}

// firstLines returns as many whole lines as fit in max bytes, at least one.
func firstLines(lines []byte, max int) []byte {
	if len(lines) <= max {
		return lines
	}
	if end := bytes.LastIndexByte(lines[:max], '\n'); end >= 0 {
		return lines[:end+1]
	}
	return lines[:firstLine(lines)]
}

// firstLine returns how long the first line is, which may be without its end.
func firstLine(lines []byte) int {
	if end := bytes.IndexByte(lines, '\n'); end >= 0 {
		return end + 1
	}
	return len(lines)
}

// folder opens the directory of the log, again for each use: it may have been renamed or made again. The caller closes it.
func (o *Options) folder() (*os.Root, error) {
	dir, err := system.OpenRoot(filepath.Dir(o.Path))
	var failed *fs.PathError
	if errors.As(err, &failed) {
		failed.Path = o.Path // which is what the settings name
	}
	return dir, err
}

// at reports whether the path leads to a file that is open.
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
