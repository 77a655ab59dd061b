//go:build !linux || (!amd64 && !arm64)

package runtime

// sendWarm is sendfile(2): the package unix knows how it is called.
func sendWarm(to, from int, offset *int64, count int64) (int, error) {
	return sendFile(to, from, offset, count)
}

// cached reports whether a byte of a file can be read without waiting for the
// disk: that is not asked here.
func cached(from int, offset int64) bool { return false }
