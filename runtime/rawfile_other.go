//go:build !amd64 && !arm64

package runtime

// sendWarm is sendfile(2): where an offset takes two words, the package unix
// knows how it is passed.
func sendWarm(to, from int, offset *int64, count int64) (int, error) {
	return sendFile(to, from, offset, count)
}

// cached reports whether a byte of a file can be read without waiting for the
// disk: where an offset takes two words, that is not asked.
func cached(from int, offset int64) bool { return false }
