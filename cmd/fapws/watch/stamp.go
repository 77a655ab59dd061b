package watch

import (
	"hash/maphash"
	"io"
	"os"
	"syscall"
	"time"
)

// hashedSize is up to which size, in bytes, the content of a file is compared;
// of a larger one size and time count.
const hashedSize = 256 << 10

var seed = maphash.MakeSeed()

// stamp is the state of a file. The zero stamp is that of a missing file.
type stamp struct {
	there bool
	size  int64
	time  time.Time // of its last modification
	id    fileID
	hash  uint64 // of the content, if hashed
	plain bool   // hashed
}

// fileID tells one file or folder of the machine from all others.
type fileID struct{ dev, ino uint64 }

func idOf(info os.FileInfo) fileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(st.Dev), st.Ino}
	}
	return fileID{}
}

// racy is how young a file must be for a later change to have left size and
// time as they are.
const racy = 2 * time.Second

// take looks at the file now. old saves the reading of a file that looks as it
// did; without a reason to think that it has changed, or has become readable.
func take(path string, old stamp) stamp {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return stamp{}
	}
	s := stamp{there: true, size: info.Size(), time: info.ModTime(), id: idOf(info)}
	if s.looksLike(old) && (old.plain || s.size > hashedSize) && time.Since(s.time) > racy {
		return old
	}
	if s.size <= hashedSize {
		s.hash, s.plain = hash(path)
	}
	return s
}

// looksLike reports whether everything but the content is the same.
func (s stamp) looksLike(o stamp) bool {
	return s.there == o.there && s.size == o.size && s.time.Equal(o.time) && s.id == o.id
}

// same reports whether the content is the same, as far as it was read. That of a file that was not readable is another one.
func (s stamp) same(o stamp) bool {
	if s.there != o.there || s.size != o.size || s.plain != o.plain {
		return false
	}
	if s.plain {
		return s.hash == o.hash
	}
	return s.looksLike(o)
}

func hash(path string) (sum uint64, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	var h maphash.Hash
	h.SetSeed(seed)
	n, err := io.Copy(&h, io.LimitReader(f, hashedSize+1))
	return h.Sum64(), err == nil && n <= hashedSize
}
