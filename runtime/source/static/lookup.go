package static

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"
	"syscall"

	"fapws/runtime/route"
)

// sighting is a file and its variants as they were seen on disk.
type sighting struct {
	name   string // of the original, below the root
	has    [Codings]bool
	stamps [Codings]Stamp
}

// errDirectory says that a path names a directory and has to be asked for
// with a slash at its end.
var errDirectory = errors.New("is a directory")

// errListing says that a path names a directory without an index.
var errListing = errors.New("is a directory without index")

// look finds the file for a clean path, clean. It opens nothing: opening some
// devices does things.
func (f *Files) look(t *view, clean string) (s sighting, err error) {
	slash := strings.HasSuffix(clean, "/")
	name := cmp.Or(strings.Trim(clean, "/"), ".")
	info, err := t.stat(name)
	if err != nil {
		return s, err
	}
	switch {
	case info.Mode().IsRegular() && !slash && f.isProgram(name):
		return s, fs.ErrNotExist
	case info.Mode().IsRegular() && !slash:
		return f.lookAround(t, name, info), nil
	case !info.IsDir():
		return s, fs.ErrNotExist
	case !slash && !f.opt.Fall && (f.opt.SPA == "" && len(f.opt.Index) > 0 || f.opt.SPA != "" && name == "."):
		return s, errDirectory // whatever is in it
	}
	index, info, err := f.index(t, name)
	switch {
	case err == nil && slash && (f.isProgram(index) || FitsAny(f.opt.Routed, index)):
		return s, program(path.Base(index))
	case err == nil && slash:
		return f.lookAround(t, index, info), nil
	case errors.Is(err, fs.ErrNotExist) && !f.opt.Listing || err != nil && !errors.Is(err, fs.ErrNotExist):
		return s, err
	case !slash:
		return s, errDirectory
	}
	return s, errListing
}

// isProgram says whether Options.Programs has the name.
func (f *Files) isProgram(name string) bool { return FitsAny(f.opt.Programs, name) }

// FitsAny says whether the last segment of a name fits one of the patterns (path.Match).
func FitsAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, _ := path.Match(pattern, path.Base(name)); ok {
			return true
		}
	}
	return false
}

// program is the error that the index of a folder, of this name, is a program, or
// has rules of its own.
type program string

func (p program) Error() string { return string(p) + " is asked for by its name" }

// Is makes it one more way for a file not to exist.
func (p program) Is(target error) bool { return target == fs.ErrNotExist }

// index returns the first index of a directory that there is.
func (f *Files) index(t *view, dir string) (name string, info fs.FileInfo, err error) {
	for _, name := range f.opt.Index {
		if dir != "." {
			name = dir + "/" + name
		}
		stat := t.stat
		if f.isProgram(name) { // another source may run what clients must not read
			stat = t.statAny
		}
		info, err := stat(name)
		if err == nil && info.Mode().IsRegular() {
			return name, info, nil
		}
		if err != nil && StatusOf(err) != 404 {
			return "", nil, err
		}
	}
	return "", nil, fs.ErrNotExist
}

// lookAround looks for variants beside a file.
func (f *Files) lookAround(t *view, name string, info fs.FileInfo) sighting {
	s := sighting{name: name}
	s.has[Identity], s.stamps[Identity] = true, StampOf(info)
	for c := Gzip; c < Codings; c++ {
		info, err := t.stat(name + suffixes[c])
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if s.stamps[c] = StampOf(info); s.stamps[c].notBefore(&s.stamps[Identity]) {
			s.has[c] = true
		}
	}
	return s
}

// matches reports whether variants, except those made here, are those that were seen.
func (s *sighting) matches(v *variants) bool {
	for c, r := range v {
		if r != nil && r.made {
			r = nil
		}
		if s.has[c] != (r != nil) || r != nil && (r.stamp != s.stamps[c] || r.name != s.name+suffixes[c]) {
			return false
		}
	}
	return true
}

// describe makes the representations of a sighting.
func (f *Files) describe(s *sighting, now int64) (v variants) {
	d := description{name: s.name, mediaType: f.types.of(s.name), control: f.cacheControl(s.name), extra: f.extra}
	made := f.made(&d, s.stamps[Identity].size)
	for c := Gzip; c < Codings; c++ {
		d.varies = d.varies || s.has[c] || made[c]
	}
	for c := range Codings {
		of, state := d, s.stamps[c]
		of.coding = c
		switch {
		case s.has[c]:
			of.name += suffixes[c]
		case made[c]:
			of.made, state = true, s.stamps[Identity]
		default:
			continue
		}
		v[c] = newRepresentation(of, state, now)
	}
	return v
}

// made says in which codings something may be compressed here.
func (f *Files) made(d *description, size int64) (none CodingSet) {
	if f.opt.Compress && f.opt.CacheBytes > 0 && WorthCompressing(d.mediaType, size) {
		return Made
	}
	return none
}

// StatusOf turns an error of the file system into a status. That a path leads
// outside the root (os.Root has no public error for it) is for the client as
// if there was nothing.
func StatusOf(err error) int {
	reason := unwrap(err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return 403
	case errors.Is(err, fs.ErrNotExist), reason == 0:
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

// unwrap returns the kernel's reason for an error, or 0.
func unwrap(err error) (reason syscall.Errno) {
	errors.As(err, &reason)
	return reason
}

// cleanPath checks a decoded PATH_INFO and turns it into a name below the
// root, in the form that is also its key in the cache: one leading slash, no
// empty segments, a trailing slash exactly if path has one. An empty path, the
// root asked for without slash, stays empty. It is built in buf.
//
// It refuses (ok false, answered as if the file did not exist) paths that
// could mean something else to the file system or to another program than they
// say: NUL, backslash, "." and ".." segments; and hidden names unless
// dotFiles. "/.well-known" (RFC 8615) is not hidden, it is for the public.
func cleanPath(buf, path []byte, dotFiles bool) (clean []byte, ok bool) {
	if len(path) == 0 {
		return buf[:0], true
	}
	clean = append(buf[:0], '/')
	for rest := path; len(rest) > 0; {
		segment, after, slash := bytes.Cut(rest, []byte{'/'})
		rest = after
		if len(segment) == 0 {
			continue
		}
		if !allowed(segment, dotFiles) && !(len(clean) == 1 && string(segment) == ".well-known") {
			return nil, false
		}
		clean = append(clean, segment...)
		if slash {
			clean = append(clean, '/')
		}
	}
	return clean, true
}

func allowed(segment []byte, dotFiles bool) bool {
	if bytes.IndexByte(segment, 0) >= 0 || bytes.IndexByte(segment, '\\') >= 0 {
		return false
	}
	if segment[0] != '.' {
		return true
	}
	return dotFiles && string(segment) != "." && string(segment) != ".."
}

// slashLocation appends the Location of the redirect from a directory's path
// without trailing slash to the one with it. It is built from the raw path,
// which is how the client spelled it. A path such as "//evil.example" would be
// taken for another host's, so slashes at its beginning become one; a
// backslash is the same to browsers, and it and what else does not belong in
// a URI is percent-encoded. prefix, decoded, goes before it.
func slashLocation(dst []byte, prefix string, rawPath, query []byte) []byte {
	if prefix = strings.TrimLeft(prefix, `/\`); prefix != "" {
		dst = append(dst, "/"+(&url.URL{Path: prefix}).EscapedPath()...)
	}
	dst = route.AppendURL(append(dst, '/'), bytes.TrimLeft(rawPath, `/\`))
	if n := len(dst); dst[n-1] != '/' {
		dst = append(dst, '/')
	}
	if len(query) > 0 {
		dst = route.AppendURL(append(dst, '?'), query)
	}
	return dst
}

// OpenPath opens the regular file that a decoded path below the root names,
// by the rules for a client's requests: no hidden names, no dot segments,
// nothing outside of the root. It is for others that make responses of files;
// StatusOf returns the status for an error. Any goroutine may call it; it may wait for
// the disk.
func (f *Files) OpenPath(path string) (*os.File, fs.FileInfo, error) {
	clean, ok := cleanPath(nil, []byte(path), f.opt.DotFiles)
	if !ok || len(clean) < 2 || clean[len(clean)-1] == '/' {
		return nil, nil, fs.ErrNotExist
	}
	return f.root.at(f.clock()).openRegular(string(clean[1:]))
}
