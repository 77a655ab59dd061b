package http1

import (
	"bytes"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// The same resource has many spellings: "/a/b", "//a/b", "/a/./b", "/%61/b", "/a%2fb". All code that depends on the
// path (routes, rules, files, programs) must use the canonical form of the path. Otherwise a request could circumvent a
// rule with a different spelling. The canonical form is computed in three steps:
//
// 1. percent-encoding is decoded once, including "%2F" (PEP 3333; RFC 3986 §6.2.2.2);
// 2. dot segments are resolved (RFC 3986 §6.2.2.3), which gives the resolved form;
// 3. empty segments are removed, which gives the canonical form.
//
// Applications receive the resolved form, because an application may distinguish "//" from "/" (RFC 3986 §3.3), as in
// "/go/http://example.org". Servers agree on steps 1 and 2; nginx (merge_slashes), Apache (MergeSlashes) and Go's
// ServeMux also perform step 3.
//
// An ambiguous path has no canonical form and results in a 400:
//
//  - a path that leads above the root, such as "/../a", which nginx and Apache also reject;
//  - ".." after an empty segment: "/a//.." is "/a/" according to RFC 3986, but "/" if "//" is merged first;
//  - dot segments between backslashes, "/a/..\b", because some servers treat backslashes as slashes;
//  - dot segments with parameters, "/a/..;x/b", because some servers remove parameters first.
//
// Any other backslash or semicolon is an ordinary character (RFC 3986 §3.3).

// ResolvePath appends the resolved form of a raw path, which begins with a slash, to dst. The result begins with a
// slash, has no dot segments, and is not longer than raw. If raw has no canonical form, ok is false and the result is
// invalid.
func ResolvePath(dst, raw []byte) (path []byte, ok bool) {
	start := len(dst)
	dst = DecodePath(dst, raw)
	decoded := dst[start:]
	if !bytes.Contains(decoded, []byte("/.")) && bytes.IndexByte(decoded, '\\') < 0 {
		return dst, true
	}
	// The output can overwrite the input, because the output is never longer than the input that has already been read.
	out := decoded[:0]
	folder := false
	for rest := decoded; len(rest) > 0; {
		segment := rest[1:]
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
				return nil, false // ".." leads above the root or follows an empty segment
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

// hidesDots reports whether segment would be or contain a dot segment for a server that treats backslashes as slashes
// or removes parameters.
func hidesDots(segment []byte) bool {
	for part := range bytes.SplitSeq(segment, []byte{'\\'}) {
		name, _, cut := bytes.Cut(part, []byte{';'})
		if (cut || len(part) < len(segment)) && (string(name) == "." || string(name) == "..") {
			return true
		}
	}
	return false
}

// MergeSlashes removes the empty segments of a path, but keeps a trailing slash. MergeSlashes returns path itself if it
// has no empty segments; otherwise it builds the result in buf. If path has the resolved form, the result is canonical.
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

// IsCanonicalPath reports whether path begins with a slash and is not changed by ResolvePath and MergeSlashes.
func IsCanonicalPath(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	raw := strings.ReplaceAll(path, "%", "%25")
	resolved, ok := ResolvePath(nil, []byte(raw))
	return ok && string(MergeSlashes(nil, resolved)) == path
}

// IsCanonicalPrefix reports whether canonical paths can begin with prefix. If not, a mount at this prefix would never
// match.
func IsCanonicalPrefix(prefix string) bool { return prefix == "" || IsCanonicalPath(prefix+"x") }

// IsBelow reports whether path equals root or is below root. root must not end with a slash.
func IsBelow(path []byte, root string) bool {
	n := len(root)
	return len(path) >= n && string(path[:n]) == root && (len(path) == n || path[n] == '/')
}

// DecodePath decodes the percent-encoding of raw and appends the result to dst, as PEP 3333 requires for SCRIPT_NAME
// and PATH_INFO: "%2F" becomes "/", and dot segments and double slashes remain. DecodePath copies invalid encodings
// unchanged; a path from Parse has neither invalid encodings nor "%00".
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

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
}

// ValidHost reports whether b is a nonempty host with an optional port (RFC 9110 §7.2). The only permitted IP literals
// are IPv6 addresses; IPvFuture and zones are rejected. ValidHost checks only the characters of an IPv6 address.
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

// validPort reports whether b is empty or a port number (RFC 3986 §3.2.3).
func validPort(b []byte) bool {
	_, err := strconv.ParseUint(string(b), 10, 16)
	return len(b) == 0 || err == nil
}

// LocalHost reports whether host, with or without a port, always means this machine: localhost, a name that ends with
// ".localhost", or a loopback address. DNS cannot assign these names to a different machine. LocalHost also accepts "",
// which browsers never send.
func LocalHost(host string) bool {
	host = strings.ToLower((&url.URL{Host: host}).Hostname())
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// ParsePort parses a decimal number without leading zeros.
func ParsePort(s string) (uint16, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}
