package accesslog

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// pipeBuf is how much a write to a pipe can have without being mixed with
// what others write (PIPE_BUF of Linux; POSIX promises 512).
const pipeBuf = 4096

// sink is where lines go. It uses the descriptor itself, because a write of
// os.File to a standard output that nobody reads ends the process (SIGPIPE).
type sink struct {
	fd    int
	file  *os.File // nil: standard output, which is not ours to close
	whole bool     // a regular file: one write appends any number of lines at once
}

func openSink(path string) (*sink, error) {
	s := &sink{fd: 1}
	if path != "-" {
		// Without O_NONBLOCK, opening a FIFO would wait for its reader.
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, 0o640)
		if err != nil {
			return nil, err
		}
		s.fd, s.file = int(file.Fd()), file
	}
	var st unix.Stat_t
	s.whole = unix.Fstat(s.fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
	return s, nil
}

func (s *sink) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// write writes lines and returns how many bytes the kernel took.
func (s *sink) write(lines []byte) (n int, err error) {
	for n < len(lines) {
		piece := lines[n:]
		if !s.whole {
			piece = firstLines(piece, pipeBuf)
		}
		k, err := unix.Write(s.fd, piece)
		if k > 0 {
			n += k
		}
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN:
			s.wait()
		default:
			return n, err
		}
	}
	return n, nil
}

// wait waits until a pipe or terminal takes more.
func (s *sink) wait() {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, 1000)
}

// firstLines returns as many whole lines as fit in max bytes, at least one.
func firstLines(lines []byte, max int) []byte {
	if len(lines) <= max {
		return lines
	}
	if end := bytes.LastIndexByte(lines[:max], '\n'); end >= 0 {
		return lines[:end+1]
	}
	if end := bytes.IndexByte(lines, '\n'); end >= 0 {
		return lines[:end+1]
	}
	return lines
}
