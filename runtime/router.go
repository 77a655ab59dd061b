package runtime

import (
	"strings"

	"fapws/runtime/static"
)

// Mount binds a path prefix to what answers below it.
type Mount struct {
	Prefix string        // compared with the percent-decoded path
	Static *static.Files // nil: the Handler answers, and gets the index of this Mount
}

// route returns the index of the first mount whose prefix path begins with,
// or -1, and the length of SCRIPT_NAME within path.
func route(table []Mount, path []byte) (mount, script int) {
	for i := range table {
		prefix := table[i].Prefix
		if len(path) >= len(prefix) && string(path[:len(prefix)]) == prefix {
			return i, scriptLen(prefix, path)
		}
	}
	return -1, 0
}

// scriptLen returns the length of SCRIPT_NAME: prefix, back to the end of a
// segment of path and without a trailing slash, because PEP 3333 wants
// PATH_INFO to be empty or to begin with a slash.
func scriptLen(prefix string, path []byte) int {
	n := len(prefix)
	if n > 0 && prefix[n-1] != '/' && (len(path) == n || path[n] == '/') {
		return n
	}
	n = max(0, strings.LastIndexByte(prefix, '/'))
	for n > 0 && prefix[n-1] == '/' {
		n--
	}
	return n
}
