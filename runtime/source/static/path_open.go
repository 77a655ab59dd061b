package static

import (
	"io/fs"
	"os"
)

// OpenPath opens the regular file that a decoded path below the root names,
// by the rules for a client's requests: no hidden names, no dot segments,
// nothing outside of the root. It is for others that make responses of files;
// StatusOf returns the status for an error. Any goroutine may call it; it may wait for
// the disk.
func (f *Files) OpenPath(path string) (*os.File, fs.FileInfo, error) {
	name, err := f.nameOf(path)
	if err != nil {
		return nil, nil, err
	}
	file, err := f.root.at(f.clock()).open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// nameOf returns the name below the root of the file that a path means.
func (f *Files) nameOf(path string) (string, error) {
	clean, ok := cleanPath(nil, []byte(path), f.opt.DotFiles)
	if !ok || len(clean) < 2 || clean[len(clean)-1] == '/' {
		return "", fs.ErrNotExist
	}
	return string(clean[1:]), nil
}

// StatusOf returns the status that an error of the file system is for a client.
func StatusOf(err error) int { return statusOf(err) }
