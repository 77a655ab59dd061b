package remote

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// maxFiles bounds the descriptors in one call of sendmsg(2); Linux takes 253.
	maxFiles = 64

	// batch is how many bytes are written at once, if there are so many.
	batch = 128 << 10

	// readSize is the size of the buffer that frames are read into, while they are not larger.
	readSize = 64 << 10
)

// link is one end of the socket. Frames are sent in order, by a goroutine: nothing that sends one waits.
type link struct {
	conn *net.UnixConn

	mu      sync.Mutex
	changed *sync.Cond
	queue   []frame
	closing bool // no more frames, and the end when all were written
	closed  bool
}

// newLink makes a link of a socket, which belongs to it from now on.
func newLink(fd int) (*link, error) {
	f := os.NewFile(uintptr(fd), "application")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("not a unix socket")
	}
	l := &link{conn: conn}
	l.changed = sync.NewCond(&l.mu)
	go l.write()
	return l, nil
}

// send has a frame written, soon. It is safe for concurrent use.
func (l *link) send(f frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.closing {
		closeFiles(f.files)
		return
	}
	l.queue = append(l.queue, f)
	l.changed.Signal()
}

// finish closes the link when everything was written that was sent before. It is safe for concurrent use.
func (l *link) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
	l.changed.Signal()
}

// close closes the link. It is safe for concurrent use.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	for _, f := range l.queue {
		closeFiles(f.files)
	}
	l.queue = nil
	l.changed.Signal()
	l.conn.Close()
}

// write writes frames until the end of the link.
func (l *link) write() {
	var out []byte
	var files []int
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closed && !l.closing {
			l.changed.Wait()
		}
		if l.closed || len(l.queue) == 0 {
			l.mu.Unlock()
			l.close()
			return
		}
		n := 0
		out, files = out[:0], files[:0]
		for n < len(l.queue) && len(out) < batch && len(files)+len(l.queue[n].files) <= maxFiles {
			f := &l.queue[n]
			out = append(f.appendHead(out), f.data...)
			files = append(files, f.files...)
			n++
		}
		if l.queue = slices.Delete(l.queue, 0, n); len(l.queue) == 0 {
			l.queue = nil
		}
		l.mu.Unlock()
		err := l.writeAll(out, files)
		closeFiles(files)
		if err != nil {
			l.close()
			return
		}
		if cap(out) > 2*batch {
			out = nil
		}
	}
}

func (l *link) writeAll(out []byte, files []int) error {
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	n, _, err := l.conn.WriteMsgUnix(out, rights, nil)
	if err == nil && n < len(out) {
		_, err = l.conn.Write(out[n:])
	}
	return err
}

// read calls take with each frame, until the end of the link or an error of take. io.EOF is the end.
func (l *link) read(take func(f frame) error) error {
	var files []int
	defer func() { closeFiles(files) }()
	in, oob := make([]byte, 0, readSize), make([]byte, unix.CmsgSpace(4*maxFiles))
	for {
		n, on, _, _, err := l.conn.ReadMsgUnix(in[len(in):cap(in)], oob)
		if err == nil && n == 0 || errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil {
			return err
		}
		if files, err = appendFiles(files, oob[:on]); err != nil {
			return err
		}
		in = in[:len(in)+n]
		used, need, err := takeFrames(in, &files, take)
		if err != nil {
			return err
		}
		rest := in[used:]
		if room := max(need, readSize); room > cap(in) || room == readSize && cap(in) > readSize {
			in = append(make([]byte, 0, room), rest...)
		} else {
			in = append(in[:0], rest...)
		}
	}
}

// takeFrames takes the frames that are whole, and returns how many bytes these have, and how many the next one has.
func takeFrames(in []byte, files *[]int, take func(f frame) error) (used, need int, err error) {
	for {
		rest := in[used:]
		if len(rest) < headSize {
			return used, headSize, nil
		}
		f, size, n := readHead(rest)
		if size > maxFrame {
			return used, 0, errGarbled
		}
		if len(rest) < headSize+size {
			return used, headSize + size, nil
		}
		if n > len(*files) { // they come with the first byte at the latest
			return used, 0, errGarbled
		}
		f.data = slices.Clone(rest[headSize : headSize+size])
		f.files = slices.Clone((*files)[:n])
		*files = slices.Delete(*files, 0, n)
		used += headSize + size
		if err := take(f); err != nil {
			return used, 0, err
		}
	}
}

// appendFiles appends the descriptors of a control message.
func appendFiles(files []int, oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return files, nil
	}
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return files, err
	}
	for i := range all {
		fds, err := unix.ParseUnixRights(&all[i])
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
		files = append(files, fds...)
	}
	return files, nil
}

func closeFiles(files []int) {
	for _, fd := range files {
		unix.Close(fd)
	}
}
