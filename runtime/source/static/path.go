package static

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"strings"
)

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
		segment := rest
		slash := bytes.IndexByte(rest, '/')
		if slash >= 0 {
			segment, rest = rest[:slash], rest[slash+1:]
		} else {
			rest = nil
		}
		if len(segment) == 0 {
			continue
		}
		if !allowed(segment, dotFiles) && !(len(clean) == 1 && string(segment) == ".well-known") {
			return nil, false
		}
		clean = append(clean, segment...)
		if slash >= 0 {
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
		dst = append(dst, '/')
		dst = append(dst, (&url.URL{Path: prefix}).EscapedPath()...)
	}
	for len(rawPath) > 0 && (rawPath[0] == '/' || rawPath[0] == '\\') {
		rawPath = rawPath[1:]
	}
	dst = append(dst, '/')
	dst = appendURI(dst, rawPath)
	if n := len(dst); dst[n-1] != '/' {
		dst = append(dst, '/')
	}
	if len(query) > 0 {
		dst = append(dst, '?')
		dst = appendURI(dst, query)
	}
	return dst
}

func appendURI(dst, s []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range s {
		switch {
		case c <= ' ' || c >= 0x7f, c == '"', c == '<', c == '>', c == '\\':
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

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
