package system

import (
	"cmp"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// memory is the memory that this process may use, in bytes; 0 if it is unknown.
var memory atomic.Int64

// SetMemory sets the memory that this process may use, in bytes; 0 means unknown. SetMemory is safe for concurrent use.
func SetMemory(n int64) { memory.Store(n) }

// Memory returns the memory that this process may use, in bytes, or 0 if it is unknown. Memory is safe for concurrent
// use.
func Memory() int64 { return memory.Load() }

// FreeSpaceOf returns how many bytes an unprivileged process can write to the file system that contains f. ok is false
// if this number is unknown.
func FreeSpaceOf(f *os.File) (free int64, ok bool) {
	var st unix.Statfs_t
	return freeSpace(&st, unix.Fstatfs(int(f.Fd()), &st))
}

func freeSpace(st *unix.Statfs_t, err error) (free int64, ok bool) {
	if err != nil || st.Blocks == 0 {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}

// SpoolDir returns the directory for temporary files: the first of os.TempDir(), /var/tmp and /dev/shm in which this
// process may create files. err says why this is not os.TempDir(). If there is no such directory, dir is "". SpoolDir is
// safe for concurrent use.
func SpoolDir() (dir string, err error) {
	for _, dir := range []string{os.TempDir(), "/var/tmp", "/dev/shm"} {
		wrong := MayCreate(filepath.Join(dir, "file"))
		if wrong == nil {
			return dir, err
		}
		err = cmp.Or(err, wrong)
	}
	return "", err
}

// SpoolSpace returns the bytes that are free in dir or occupied by the temporary files of this process, which contain
// written bytes. If dir is in memory, the result is at most a quarter of the process's memory (SetMemory). If the
// result is unknown, it is very large. SpoolSpace is safe for concurrent use.
func SpoolSpace(dir string, written int64) int64 {
	var st unix.Statfs_t
	free, ok := freeSpace(&st, unix.Statfs(dir, &st))
	if !ok {
		return math.MaxInt64 / 4
	}
	total := free + written
	if limit := memory.Load() / 4; limit > 0 && inMemory(&st) {
		total = min(total, limit)
	}
	return total
}

func inMemory(st *unix.Statfs_t) bool {
	kind := uint32(st.Type)
	return kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC
}
