package static

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// sighting is a file and its variants as they were seen on disk.
type sighting struct {
	name   string // of the original, below the root
	has    [codings]bool
	stamps [codings]stamp
}

// errDirectory says that a path names a directory and has to be asked for
// with a slash at its end.
var errDirectory = errors.New("is a directory")

// errListing says that a path names a directory without an index.
var errListing = errors.New("is a directory without index")

// look finds the file for a clean path. It opens nothing: opening some
// devices does things.
func (f *Files) look(dir *os.Root, path string) (s sighting, err error) {
	slash := strings.HasSuffix(path, "/")
	name := strings.Trim(path, "/")
	if name == "" {
		name = "."
	}
	info, err := dir.Stat(name)
	if err != nil {
		return s, err
	}
	switch {
	case info.Mode().IsRegular() && !slash:
		return f.lookAround(dir, name, info), nil
	case !info.IsDir():
		return s, fs.ErrNotExist
	case !slash:
		if len(f.opt.Index) == 0 && !f.opt.Listing {
			return s, fs.ErrNotExist
		}
		return s, errDirectory
	}
	for _, index := range f.opt.Index {
		indexName := index
		if name != "." {
			indexName = name + "/" + index
		}
		info, err := dir.Stat(indexName)
		if err == nil && info.Mode().IsRegular() {
			return f.lookAround(dir, indexName, info), nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
	}
	if f.opt.Listing {
		return s, errListing
	}
	return s, fs.ErrNotExist
}

// lookAround looks for variants beside a file.
func (f *Files) lookAround(dir *os.Root, name string, info fs.FileInfo) sighting {
	s := sighting{name: name}
	s.has[identity], s.stamps[identity] = true, stampOf(info)
	for c := gzipped; c < codings; c++ {
		info, err := dir.Stat(name + suffixes[c])
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if s.stamps[c] = stampOf(info); s.stamps[c].notBefore(&s.stamps[identity]) {
			s.has[c] = true
		}
	}
	return s
}

// matches tells whether variants are what was seen.
func (s *sighting) matches(v *variants) bool {
	for c, r := range v {
		if s.has[c] != (r != nil) || r != nil && (r.stamp != s.stamps[c] || r.name != s.name+suffixes[c]) {
			return false
		}
	}
	return true
}

// describe makes the representations of what was seen.
func (f *Files) describe(s *sighting, now int64) (v variants) {
	mediaType := TypeByName(s.name)
	varies := s.has[gzipped] || s.has[brotli]
	for c := range codings {
		if s.has[c] {
			d := description{s.name + suffixes[c], mediaType, c, varies, f.opt.MaxAge}
			v[c] = newRepresentation(d, s.stamps[c], now)
		}
	}
	return v
}

// statusOf turns an error of the file system into a status. That a path leads
// outside the root (os.Root has no public error for it) is for the client as
// if there was nothing.
func statusOf(err error) int {
	var reason syscall.Errno
	switch {
	case errors.Is(err, fs.ErrPermission):
		return 403
	case errors.Is(err, fs.ErrNotExist), !errors.As(err, &reason):
		return 404
	}
	switch reason {
	case syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EINVAL, syscall.EXDEV:
		return 404
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN:
		return 503
	}
	return 500
}
