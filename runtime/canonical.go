package runtime

import "bytes"

// unambiguous sees to it that no request gets past a mount by another spelling
// of its path, "//private/x" or "/a/../private/x": what comes behind may
// take both for the same. Where mounts of the site, which guards something,
// make a difference between the two, the request has the plain one from here
// on, as if it had been rewritten; otherwise it stays as it is.
func (l *loop) unambiguous(site *Site) {
	at := &l.course
	inner := at.path[at.root:]
	if !bytes.Contains(inner, []byte("//")) && !bytes.Contains(inner, []byte("/.")) {
		return
	}
	plain := canonical(inner)
	for i := range site.Table {
		_, as := site.Table[i].fits(inner)
		if _, would := site.Table[i].fits(plain); as != would {
			at.path = append(bytes.Clone(at.path[:at.root]), plain...)
			at.rewritten = true
			return
		}
	}
}

// guards says whether a mount may be there to keep something from clients.
func (m *Mount) guards() bool {
	return m.Fixed != nil || m.Redirect != nil || m.rules != nil && (m.rules.access != nil || m.rules.auth != nil || m.rules.methods != nil)
}

// canonical returns a path without empty and dot segments (RFC 3986 §5.2.4). A
// slash at its end stays.
func canonical(path []byte) []byte {
	out := make([]byte, 0, len(path)+1)
	for rest := path; len(rest) > 0; {
		segment, after, more := bytes.Cut(rest, slash)
		rest = after
		switch string(segment) {
		case "", ".":
		case "..":
			out = out[:max(0, bytes.LastIndexByte(out, '/'))]
		default:
			out = append(append(out, '/'), segment...)
			continue
		}
		if !more {
			if len(segment) > 0 { // it names a folder
				out = append(out, '/')
			}
			return rooted(out)
		}
	}
	if len(path) > 0 && path[len(path)-1] == '/' {
		out = append(out, '/')
	}
	return rooted(out)
}

func rooted(path []byte) []byte {
	if len(path) == 0 {
		return append(path, '/')
	}
	return path
}
