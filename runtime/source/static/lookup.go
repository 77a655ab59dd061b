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

// errDirectory says that a path names a directory and has to be asked for
// with a slash at its end.
var errDirectory = errors.New("is a directory")

// errListing says that a path names a directory without an index.
var errListing = errors.New("is a directory without index")

// look finds the file for a clean path, clean, and returns its name. It opens nothing: opening some
// devices does things.
func (f *Files) look(t *view, clean string) (name string, info fs.FileInfo, err error) {
	slash := strings.HasSuffix(clean, "/")
	name = cmp.Or(strings.Trim(clean, "/"), ".")
	info, err = t.stat(name)
	if err != nil {
		return "", nil, err
	}
	switch {
	case info.Mode().IsRegular() && !slash && !f.isProgram(name):
		return name, info, nil
	case !info.IsDir():
		return "", nil, fs.ErrNotExist
	case !slash && !f.opt.Fall && (f.opt.SPA == "" && len(f.opt.Index) > 0 || f.opt.SPA != "" && name == "."):
		return "", nil, errDirectory // whatever is in it
	}
	name, info, err = f.index(t, name)
	switch {
	case err == nil && slash && (f.isProgram(name) || FitsAny(f.opt.Routed, name)):
		return "", nil, program(path.Base(name))
	case err == nil && slash:
		return name, info, nil
	case errors.Is(err, fs.ErrNotExist) && !f.opt.Listing || err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", nil, err
	case !slash:
		return "", nil, errDirectory
	}
	return "", nil, errListing
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

// program is the error that the index of a directory, of this name, is a program, or
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

// around makes the representations of the file of a name: itself, the variants beside it, and those to be made here.
func (f *Files) around(t *view, name string, info fs.FileInfo, now int64) variants {
	original := StampOf(info)
	if info.Sys().(*syscall.Stat_t).Blocks == 0 {
		if file, info, err := t.openRegular(name); err == nil {
			original = stampOf(file, info)
			file.Close()
		}
	}
	stamps := [Codings]*Stamp{Identity: &original}
	for c := Gzip; c < Codings; c++ {
		info, err := t.stat(name + suffixes[c])
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if s := StampOf(info); s.notBefore(&original) {
			stamps[c] = &s
		}
	}
	return f.represent(description{name: name, mediaType: f.types.of(name), control: f.cacheControl(name), extra: f.extra}, stamps, now)
}

// represent makes the representations of what d describes: those that have a stamp, and those to be made here.
func (f *Files) represent(d description, stamps [Codings]*Stamp, now int64) (v variants) {
	var made CodingSet
	if f.opt.Compress && !stamps[Identity].unsized && f.opt.CacheBytes > 0 && WorthCompressing(d.mediaType, stamps[Identity].size) {
		made = Made
	}
	for c := Gzip; c < Codings; c++ {
		d.varies = d.varies || stamps[c] != nil || made[c]
	}
	for c, state := range stamps {
		of := d
		of.coding = Coding(c)
		switch {
		case state != nil:
			of.name += suffixes[c]
		case made[c]:
			of.made, state = true, stamps[Identity]
		default:
			continue
		}
		v[c] = newRepresentation(of, *state, now)
	}
	return v
}

// isLike reports whether v has the same files in the same states as w.
func (v *variants) isLike(w *variants) bool {
	for c := range v {
		a, b := v[c].onDisk(), w[c].onDisk()
		if a != b && (a == nil || b == nil || a.stamp != b.stamp || a.name != b.name) {
			return false
		}
	}
	return true
}

// onDisk returns r, or nil if it is made here.
func (r *representation) onDisk() *representation {
	if r == nil || r.made {
		return nil
	}
	return r
}

// StatusOf turns an error of the file system into a status. That a path leads
// outside the root (os.Root has no public error for it, if a caller uses that)
// is for the client as if there was nothing.
func StatusOf(err error) int {
	var reason syscall.Errno // the kernel's, or 0
	errors.As(err, &reason)
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
