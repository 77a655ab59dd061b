package conn

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxSocketPath is what fits into a unix address with its final NUL, unix(7).
const maxSocketPath = 107

// unixSocket makes one listening socket at a path or an abstract name.
func unixSocket(path string, o ListenOptions) (_ int, err error) {
	if len(path) > maxSocketPath {
		return -1, fmt.Errorf("the path has %d bytes; the maximum for a socket is %d", len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return -1, err
	}
	fd, err := newSocket(unix.AF_UNIX)
	if err != nil {
		return -1, err
	}
	made := false
	defer func() {
		if err != nil {
			unix.Close(fd)
			if made {
				unix.Unlink(path)
			}
		}
	}()
	// The file gets the socket's own mode less the umask: it never allows more
	// than was asked for, not even before dress.
	if o.Mode >= 0 {
		if err := unix.Fchmod(fd, uint32(o.Mode)); err != nil {
			return -1, err
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return -1, err
	}
	if !isAbstract(path) {
		made = true
		if err := dress(path, o); err != nil {
			return -1, err
		}
	}
	// No client could connect until here.
	if err := listen(fd, o); err != nil {
		return -1, err
	}
	return fd, nil
}

// RemoveSocketFile removes the file of a socket that Sockets made, if addr has
// one. Call it when no process serves it any more.
func RemoveSocketFile(addr string) error {
	path, ok := strings.CutPrefix(addr, "unix:")
	if !ok || isAbstract(path) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", path, cause(err))
	}
	return nil
}

// isAbstract says whether a unix address is a name of Linux's own without file.
func isAbstract(path string) bool { return path == "" || path[0] == '@' }

// removeStale removes a socket file without a listener.
func removeStale(path string) error {
	if isAbstract(path) {
		return nil
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return cause(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the file exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return unix.EADDRINUSE
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return cause(err)
	}
	return cause(os.Remove(path))
}
