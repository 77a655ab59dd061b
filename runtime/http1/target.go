package http1

import (
	"bytes"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// One resource has many spellings: "/a/b", "//a/b", "/a/./b", "/%61/b", "/a%2fb". What
// decides about a request by its path (routes, rules, files, programs) compares the one
// canonical form of all of them, or a request gets past a rule by another spelling:
//
//  1. percent-encoding is undone, once, "%2F" included (PEP 3333; RFC 3986 §6.2.2.2);
//  2. dot segments are resolved (RFC 3986 §6.2.2.3), which gives the resolved form;
//  3. empty segments are removed, which gives the canonical form.
//
// Applications get the resolved form: to them "//" may mean something else than "/" (RFC
// 3986 §3.3), as in "/go/http://example.org". Servers agree on 1 and 2, and nginx
// (merge_slashes), Apache (MergeSlashes) and Go's ServeMux on 3 as well.
//
// A path with more than one reading has no canonical form, and is for 400:
//
//   - one that leads above the root, as "/../a" (nginx and Apache refuse it as well);
//   - ".." after an empty segment: of "/a//..", RFC 3986 makes "/a/", and merging "//"
//     first makes "/";
//   - dot segments between backslashes, "/a/..\b", which are slashes to some servers;
//   - dot segments with parameters, "/a/..;x/b", which some servers remove first.
//
// Any other backslash or semicolon is a character like others (RFC 3986 §3.3).

// ResolvePath appends the resolved form of a raw path, which begins with a slash, to dst.
// The result begins with a slash and has no dot segment; it is never longer than raw. ok is
// false, and the result without meaning, if raw has no canonical form. It is pure.
func ResolvePath(dst, raw []byte) (path []byte, ok bool) {
	start := len(dst)
	dst = DecodePath(dst, raw)
	decoded := dst[start:]
	if !bytes.Contains(decoded, []byte("/.")) && bytes.IndexByte(decoded, '\\') < 0 {
		return dst, true
	}
	out := decoded[:0] // never ahead of what is read
	folder := false    // the last segment was a dot segment
	for rest := decoded; len(rest) > 0; {
		segment := rest[1:] // behind its slash
		if i := bytes.IndexByte(segment, '/'); i >= 0 {
			segment = segment[:i]
		}
		rest = rest[1+len(segment):]
		folder = true
		switch {
		case string(segment) == ".":
		case string(segment) == "..":
			last := bytes.LastIndexByte(out, '/')
			if last < 0 || last == len(out)-1 {
				return nil, false // above the root, or behind an empty segment
			}
			out = out[:last]
		case hidesDots(segment):
			return nil, false
		default:
			folder = false
			out = append(append(out, '/'), segment...)
		}
	}
	if folder {
		out = append(out, '/')
	}
	return dst[:start+len(out)], true
}

// hidesDots reports whether another server may find a dot segment in a segment, because it
// takes backslashes for slashes, or removes parameters.
func hidesDots(segment []byte) bool {
	for part := range bytes.SplitSeq(segment, []byte{'\\'}) {
		name, _, cut := bytes.Cut(part, []byte{';'})
		if (cut || len(part) < len(segment)) && (string(name) == "." || string(name) == "..") {
			return true
		}
	}
	return false
}

// MergeSlashes returns a path without its empty segments, but for the one that makes the
// slash at its end. That is path itself if it has none, else it is built in buf. It is pure;
// of a resolved path it makes the canonical form.
func MergeSlashes(buf, path []byte) []byte {
	if !bytes.Contains(path, []byte("//")) {
		return path
	}
	buf = buf[:0]
	for i, c := range path {
		if c != '/' || i == 0 || path[i-1] != '/' {
			buf = append(buf, c)
		}
	}
	return buf
}

// IsCanonicalPath reports whether a decoded path is in canonical form.
func IsCanonicalPath(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	raw := strings.ReplaceAll(path, "%", "%25")
	resolved, ok := ResolvePath(nil, []byte(raw))
	return ok && string(MergeSlashes(nil, resolved)) == path
}

// IsCanonicalPrefix reports whether paths in canonical form can begin with a prefix: if not, a mount there would
// never be asked.
func IsCanonicalPrefix(prefix string) bool { return prefix == "" || IsCanonicalPath(prefix+"x") }

// IsBelow reports whether a path is root, which has no slash at its end, or something in it.
func IsBelow(path []byte, root string) bool {
	n := len(root)
	return len(path) >= n && string(path[:n]) == root && (len(path) == n || path[n] == '/')
}

// DecodePath appends raw to dst with percent-encoding undone, as PEP 3333 has it for SCRIPT_NAME and PATH_INFO: "%2F"
// becomes "/", dot segments and double slashes stay. An invalid encoding is copied; a path that Parse let through has
// none, and no "%00".
func DecodePath(dst, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, '%')
		if i < 0 || i+2 >= len(raw) {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:i]...)
		if class[raw[i+1]]&class[raw[i+2]]&isHex == 0 {
			dst = append(dst, '%')
			raw = raw[i+1:]
			continue
		}
		dst = append(dst, unhex(raw[i+1])<<4|unhex(raw[i+2]))
		raw = raw[i+3:]
	}
}

// unhex returns the value of a HEXDIG.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
}

// ValidHost reports whether b is uri-host [":" port] (RFC 9110 §7.2) with a
// host that is not empty. An IP literal is an IPv6 address; it is judged by
// its characters, IPvFuture and zones are refused.
func ValidHost(b []byte) bool {
	i := 0
	if len(b) > 0 && b[0] == '[' {
		for i = 1; i < len(b) && (class[b[i]]&isHex != 0 || b[i] == ':' || b[i] == '.'); i++ {
		}
		if i < 3 || i == len(b) || b[i] != ']' {
			return false
		}
		i++
	} else {
		for ; i < len(b) && b[i] != ':'; i++ {
			if class[b[i]]&isHost != 0 {
				continue
			}
			if b[i] != '%' || i+2 >= len(b) || class[b[i+1]]&class[b[i+2]]&isHex == 0 {
				return false
			}
		}
		if i == 0 {
			return false
		}
	}
	return i == len(b) || b[i] == ':' && validPort(b[i+1:])
}

// validPort reports whether b is a port number or empty (RFC 3986 §3.2.3).
func validPort(b []byte) bool {
	_, err := strconv.ParseUint(string(b), 10, 16)
	return len(b) == 0 || err == nil
}

// LocalHost reports whether a host, perhaps with a port, is a name of this machine that no name server can give to it: localhost, a name
// below that, or a loopback address; also "", of a request that names none, which no browser sends.
func LocalHost(host string) bool {
	host = strings.ToLower((&url.URL{Host: host}).Hostname())
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// ParsePort reads a port as URIs and PROXY lines have it.
func ParsePort(s string) (uint16, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}
