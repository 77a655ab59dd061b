package certificates

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// maxFile bounds a file of certificates, in bytes. The certificates of all authorities that browsers trust take 250 KB.
const maxFile = 1 << 20

var errTooLarge = fmt.Errorf("larger than %d MiB, so not a file of certificates or keys", maxFile>>20)

// ReadFile reads a regular file of certificates or keys, and returns its permissions, too. It does not wait for a
// FIFO. The error is the cause alone.
func ReadFile(name string) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, cause(err)
	case info.IsDir():
		return nil, 0, errors.New("is a directory; name the file in it")
	case !info.Mode().IsRegular():
		return nil, 0, errors.New("is not a regular file")
	case info.Size() > maxFile:
		return nil, 0, errTooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, cause(err)
	}
	if len(data) > maxFile {
		return nil, 0, errTooLarge
	}
	return data, info.Mode().Perm(), nil
}

// cause is the last part of an error of a system call: "permission denied".
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
