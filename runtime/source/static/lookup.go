package static

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"
	"syscall"

	"fapws/runtime/compress"
	"fapws/runtime/route"
)

// errDirectory means that the client must request the path with a trailing slash.
var errDirectory = errors.New("is a directory")

var errListing = errors.New("is a directory without index")

// look finds the file for a clean path and returns its name. look does not open the file, because opening a device may
// have side effects.
func (f *Files) look(t *view, clean string) (name string, info fs.FileInfo, err error) {
	slash := strings.HasSuffix(clean, "/")
	name = cmp.Or(strings.Trim(clean, "/"), ".")
	info, err = t.stat(name)
	if err != nil {
		return "", nil, err
	}
	switch {
	case info.Mode().IsRegular() && !slash && !f.opt.isProgram(name):
		return name, info, nil
	case !info.IsDir():
		return "", nil, fs.ErrNotExist
	case !slash && !f.opt.Fall && (f.opt.SPA == "" && len(f.opt.Index) > 0 || f.opt.SPA != "" && name == "."):
		return "", nil, errDirectory
	}
	name, info, err = f.index(t, name)
	switch {
	case err == nil && slash && (f.opt.isProgram(name) || f.opt.Routed.Fit(path.Base(name))):
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

func (o *Options) isProgram(name string) bool { return o.Programs.Fit(path.Base(name)) }

// FitsAny reports whether one of the patterns matches the last segment of name (path.Match).
func FitsAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, _ := path.Match(pattern, path.Base(name)); ok {
			return true
		}
	}
	return false
}

// A program is the error for a directory whose index file is a program or has its own rules. The value is the name of
// the index file.
type program string

func (p program) Error() string { return string(p) + " is asked for by its name" }

func (p program) Is(target error) bool { return target == fs.ErrNotExist }

func (f *Files) index(t *view, dir string) (name string, info fs.FileInfo, err error) {
	for _, name := range f.opt.Index {
		if dir != "." {
			name = dir + "/" + name
		}
		stat := t.stat
		// A program may be a private file, because another source runs it, and only statAny finds private files.
		if f.opt.isProgram(name) {
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

// around returns the representations of a file: the file itself, its compressed variants on disk, and the variants that
// the server can compress.
func (f *Files) around(t *view, name string, info fs.FileInfo, now int64) variants {
	original := StampOf(info)
	if info.Sys().(*syscall.Stat_t).Blocks == 0 {
		if file, info, err := t.openRegular(name); err == nil {
			original = stampOf(file, info)
			file.Close()
		}
	}
	stamps := [compress.Codings]*Stamp{compress.Identity: &original}
	for c := compress.Gzip; c < compress.Codings; c++ {
		info, err := t.stat(name + suffixes[c])
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if s := StampOf(info); s.notBefore(&original) {
			stamps[c] = &s
		}
	}
	return f.represent(description{name: name, mediaType: f.types.of(name), control: f.controls.of(name),
		extra: f.extra, common: t.hasCommonTime(name, &original)}, stamps, now)
}

// list returns the page of a directory, in the order that the query of req selects.
func (f *Files) list(t *view, path string, req *FileRequest) (v variants, err error) {
	name := cmp.Or(strings.Trim(path, "/"), ".")
	order := orderOf(req)
	entries, more, err := t.readDirectory(name, &f.opt, order, maxListed)
	if err != nil {
		return v, err
	}
	page := listing(string(req.appendShown(nil)), name != ".", entries, more, order)
	sum := sha256.Sum256(page)
	d := description{name: name, mediaType: "text/html; charset=utf-8", control: "no-cache",
		extra: f.extra + listingFields, tag: hex.EncodeToString(sum[:8])}
	v = f.represent(d, [compress.Codings]*Stamp{compress.Identity: {size: int64(len(page))}}, 0)
	v[compress.Identity] = v[compress.Identity].withBody(page)
	return v, nil
}

func (f *Files) represent(d description, stamps [compress.Codings]*Stamp, now int64) (v variants) {
	var made compress.CodingSet
	if f.opt.Compress && !stamps[compress.Identity].unsized && f.opt.CacheBytes > 0 && compress.Worth(d.mediaType,
		stamps[compress.Identity].size) {
		made = compress.Made
	}
	for c := compress.Gzip; c < compress.Codings; c++ {
		d.varies = d.varies || stamps[c] != nil || made[c]
	}
	for c, state := range stamps {
		of := d
		of.coding = compress.Coding(c)
		switch {
		case state != nil:
			of.name += suffixes[c]
		case made[c]:
			of.made, state = true, stamps[compress.Identity]
		default:
			continue
		}
		v[c] = newRepresentation(of, *state, now)
	}
	return v
}

func (v *variants) isLike(w *variants) bool {
	for c := range v {
		a, b := v[c].onDisk(), w[c].onDisk()
		if a != b && (a == nil || b == nil || a.stamp != b.stamp || a.name != b.name || a.common != b.common) {
			return false
		}
	}
	return true
}

func (r *representation) onDisk() *representation {
	if r == nil || r.made {
		return nil
	}
	return r
}

// StatusOf returns the HTTP status for a file system error. An error without an errno results in 404, because os.Root
// returns such an error for a path that leads outside the root.
func StatusOf(err error) int {
	reason, _ := errors.AsType[syscall.Errno](err) // 0 if the error contains no errno
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

// cleanPath converts a decoded PATH_INFO to a name below the root. The result is also the key in the cache: it has
// one leading slash, no empty segments, and a trailing slash if path has one. An empty path, which is the root
// without a slash, remains empty. The result is built in buf.
//
// ok is false if the path contains NUL, a backslash, or a segment "." or "..", because the file system or another
// program could interpret such a path differently. ok is also false for hidden names unless dotFiles is set.
// "/.well-known" (RFC 8615) is not hidden.
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

// slashLocation appends a Location field that redirects to a directory's path with a trailing slash. slashLocation
// keeps the spelling of the raw path. Several leading slashes are replaced by one, because a browser would interpret
// "//evil.example/" as the URL of another host. Backslashes, which browsers treat like slashes, and all characters that
// are invalid in URIs are percent-encoded. The decoded prefix precedes the path.
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

// OpenPath opens the regular file at a decoded path below the root, for other sources that send files. As for requests
// of clients, hidden names, dot segments and files outside the root are errors. OpenPath is safe for concurrent use and
// may block for the disk.
func (f *Files) OpenPath(path string) (*os.File, fs.FileInfo, error) {
	clean, ok := cleanPath(nil, []byte(path), f.opt.DotFiles)
	if !ok || len(clean) < 2 || clean[len(clean)-1] == '/' {
		return nil, nil, fs.ErrNotExist
	}
	return f.root.at(f.clock()).openRegular(string(clean[1:]))
}
