package static

import (
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// buildTimes are times that tools for reproducible builds, such as npm, zip, Bazel, flit and hatch, set for all files,
// so that the times do not distinguish versions.
var buildTimes = [...]time.Time{
	time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC),
	time.Date(2020, 2, 2, 0, 0, 0, 0, time.UTC),
}

const (
	firstDate = 20 * 365 * 24 * time.Hour // since 1970; earlier modification times are treated as constants
	// maximum offset of a time zone from UTC, because archives such as zip contain local times
	mostOffset = 14 * time.Hour
)

// date returns the time of the last change for validators, in nanoseconds since 1970. This is the modification time,
// which stays the same if a file is copied to another server or deployed again. If the modification time is a constant
// of a build tool, or common is set, date returns the time of the last status change. If both are the same constant, as
// in file system images with one time for all files, date returns 0. known is false if the modification time is
// certainly a constant.
func (s *Stamp) date(common bool) (date int64, known bool) {
	known = s.modified >= int64(firstDate)
	for _, t := range buildTimes {
		offset := time.Duration(s.modified - t.UnixNano())
		known = known && (offset.Abs() > mostOffset || offset%(15*time.Minute) != 0)
	}
	switch {
	case !known && s.status == s.modified:
		return 0, false
	case !known || common:
		return s.status, known
	}
	return s.modified, true
}

const (
	// A time that many files have is a constant of a build tool only if it is this much older than the status change:
	// the time of a recent commit (SOURCE_DATE_EPOCH) or deployment distinguishes versions.
	longTimeAgo = 3 * 365 * 24 * time.Hour
	many        = 8
	mostLooked  = 32 // number of files that hasCommonTime examines
)

// hasCommonTime reports whether the modification time of the file with the stamp s may be a constant such as
// SOURCE_DATE_EPOCH, because many files of its directory have this time. Compressed variants of files do not count: they
// have the times of the originals. The file may be missing. hasCommonTime reads the directory only if the modification
// time is old and in whole seconds.
func (t *view) hasCommonTime(name string, s *Stamp) bool {
	if s.modified%int64(time.Second) != 0 || s.status-s.modified <= int64(longTimeAgo) {
		return false
	}
	dir, _, err := t.walk(path.Dir(name), toRead|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(mostLooked) // names is empty if there is an error
	same := 0
	for _, entry := range names {
		var st unix.Stat_t
		if isVariant(entry) || unix.Fstatat(int(dir.Fd()), entry, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mtim.Nano() == s.modified {
			same++
		}
	}
	return same >= many
}

func isVariant(name string) bool {
	for _, suffix := range suffixes[1:] {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
