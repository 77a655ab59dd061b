package static

import (
	"io/fs"
	"syscall"
	"time"

	"fapws/runtime/system"
)

// stamp distinguishes the states of a file. The time of the last
// status change and the inode are in it because size and modification time
// survive "cp -p" and a rename over the name.
type stamp struct {
	device, inode    uint64
	size             int64
	modified, status int64 // nanoseconds since 1970
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), modified: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode = uint64(sys.Dev), sys.Ino
		changed := system.StatusChange(sys)
		s.status = changed.Nano()
	}
	return s
}

// settleTime is more than the granularity of the kernel's file times: what
// changed longer ago than this cannot change again without a new time.
const settleTime = int64(20 * time.Millisecond)

// settled tells whether the stamp, seen at a time, can vouch for content that
// is read after that.
func (s *stamp) settled(now int64) bool { return now-s.status > settleTime }

// notBefore tells whether a variant is as new as the original. Tools that copy
// the original's time to the variant may cut it to seconds.
func (s *stamp) notBefore(original *stamp) bool {
	const second = int64(time.Second)
	if s.modified%second == 0 {
		return s.modified/second >= original.modified/second
	}
	return s.modified >= original.modified
}
