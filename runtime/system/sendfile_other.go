//go:build !linux

package system

// SendCached is sendfile(2): the package unix knows how it is called.
func SendCached(to, from int, offset *int64, count int64) (int, error) {
	return SendFile(to, from, offset, count)
}

// ReadCached is pread(2).
func ReadCached(from int, b []byte, offset int64) (int, error) { return ReadFile(from, b, offset) }

// Cached reports whether a byte of a file can be read without waiting for the
// disk: that is not asked here.
func Cached(from int, offset int64) bool { return false }
