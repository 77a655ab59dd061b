package logfile

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// A file that is rotated gets the name of its log with ".rotated-" and the time, and then is compressed to log.1.gz,
// while 1 becomes 2 and so on. The name of the former is in the comment of the latter, so a process that continues
// after an interruption can tell how far it came. The process with the lock on the oldest of them compresses, and no
// other changes the numbers.

const rotatedMark = ".rotated-"

// retryRename is how long a file that could not be renamed is not tried again.
const retryRename = time.Minute

// gentleMax is the longest pause between two pieces of a file that is compressed.
const gentleMax = 50 * time.Millisecond

// The first and the longest delay before files that are in use are looked at again: by a process that has not noticed
// yet, or by a child that has inherited it.
const (
	firstDelay = 20 * time.Millisecond
	lastDelay  = time.Minute
)

// archive are the rotated files of a log. But for start its methods are for the
// goroutine that writes.
type archive struct {
	o    *Options
	keep atomic.Int64 // o.Keep, until Errors.SetRotation changes it
	wait time.Time    // when a rename may be tried again, after one that failed

	mu    sync.Mutex    // held while files are compressed
	delay time.Duration // until the next look at files that are in use
	again *time.Timer   // of it; nil: none were
}

// able says whether there is use in trying to rotate.
func (a *archive) able() bool { return time.Now().After(a.wait) }

// rename makes the file at the path a rotated one. Its lock is held.
func (a *archive) rename() error {
	dir, err := a.o.folder()
	if err == nil {
		name := filepath.Base(a.o.Path)
		err = dir.Rename(name, fmt.Sprintf("%s%s%019d", name, rotatedMark, time.Now().UnixNano()))
		dir.Close()
	}
	if err != nil {
		a.wait = time.Now().Add(retryRename)
	}
	return err
}

// start compresses rotated files on a separate goroutine. It is safe for concurrent use.
func (a *archive) start() {
	dir, err := a.o.folder()
	if err != nil {
		return
	}
	defer dir.Close()
	if len(pending(dir, a.o)) > 0 {
		go a.compress()
	}
}

func (a *archive) compress() {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := *a.o
	o.Keep = int(a.keep.Load())
	err := compressAll(&o)
	if err == errBusy {
		if a.again != nil {
			a.again.Stop()
		}
		a.delay = min(max(2*a.delay, firstDelay), lastDelay)
		a.again = time.AfterFunc(a.delay, a.start)
		return
	}
	a.delay = 0
	if err != nil {
		a.o.report("cannot compress a rotated file: %v", err)
	}
}

// pending returns the rotated files of a log that are not compressed, the oldest
// first.
func pending(dir *os.Root, o *Options) (list []string) {
	prefix := filepath.Base(o.Path) + rotatedMark
	entries, _ := fs.ReadDir(dir.FS(), ".") // what cannot be read cannot be compressed either
	for _, e := range entries {
		at, isRotated := strings.CutPrefix(e.Name(), prefix)
		if _, err := strconv.ParseUint(at, 10, 64); isRotated && err == nil && (!o.Plain || e.Type().IsRegular()) {
			list = append(list, e.Name())
		}
	}
	return list
}

// errBusy says that others write to a file, or compress it.
var errBusy = errors.New("in use")

// compressAll compresses the rotated files of a log and removes those beyond
// Keep. errBusy: others still write to one, or compress it.
func compressAll(o *Options) error {
	dir, err := o.folder()
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		list := pending(dir, o)
		// Those that wait count, too: for a disk that is full, or for a process that has inherited one and never
		// ends.
		beyond := max(0, len(list)-o.Keep)
		for _, raw := range list[:beyond] {
			_ = dir.Remove(raw)
			_ = dir.Remove(raw + ".tmp")
		}
		if list = list[beyond:]; len(list) == 0 {
			return removeOld(dir, filepath.Base(o.Path), o.Keep)
		}
		err := compressOne(dir, o, list[0])
		if err != nil && !errors.Is(err, os.ErrNotExist) { // another process was quicker, or removed it
			return err
		}
	}
}

func compressOne(dir *os.Root, o *Options, raw string) error {
	open, stat, path := dir.OpenFile, dir.Lstat, raw
	if !o.Plain { // it is a link if the log was one
		open, stat, path = os.OpenFile, os.Stat, filepath.Join(filepath.Dir(o.Path), raw)
	}
	in, err := open(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO
	if err != nil {
		return err
	}
	defer in.Close()
	if err := system.Flock(int(in.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		return errBusy
	}
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if here, err := stat(path); err != nil || !os.SameFile(st, here) {
		return nil
	}
	name := filepath.Base(o.Path)
	newest := numbered(name, 1)
	if comment(dir, newest) != raw {
		tmp := raw + ".tmp"
		if err := compress(dir, in, st, tmp, raw); err != nil {
			_ = dir.Remove(tmp)
			return err
		}
		if err := shift(dir, name, o.Keep); err != nil {
			_ = dir.Remove(tmp)
			return err
		}
		if err := dir.Rename(tmp, newest); err != nil {
			return err
		}
	}
	return dir.Remove(raw)
}

func numbered(name string, n int) string { return name + "." + strconv.Itoa(n) + ".gz" }

// shift makes the number 1 free: each below the first that is free, or below
// keep, becomes the next.
func shift(dir *os.Root, name string, keep int) error {
	free := 1
	for free < keep {
		if _, err := dir.Lstat(numbered(name, free)); errors.Is(err, os.ErrNotExist) {
			break
		}
		free++
	}
	for n := free - 1; n >= 1; n-- {
		if err := dir.Rename(numbered(name, n), numbered(name, n+1)); err != nil {
			return err
		}
	}
	return nil
}

// removeOld removes files with numbers above keep, of a time when more were kept.
func removeOld(dir *os.Root, name string, keep int) error {
	for n := keep + 1; ; n++ {
		if err := dir.Remove(numbered(name, n)); errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// compress writes in to a new file, which is on the disk when it returns: the
// original is removed then.
func compress(dir *os.Root, in *os.File, st os.FileInfo, name, note string) error {
	_ = dir.Remove(name) // of a process that was interrupted; a link is not followed
	out, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, st.Mode().Perm())
	if err != nil {
		return err
	}
	defer out.Close()
	buf := bufio.NewWriterSize(out, 64<<10)
	z := gzip.NewWriter(buf)
	z.Comment, z.ModTime = note, st.ModTime()
	if err := gently(z, in); err != nil {
		return err
	}
	if err := errors.Join(z.Close(), buf.Flush(), out.Chmod(st.Mode().Perm()), out.Sync()); err != nil {
		return err
	}
	return out.Close()
}

// gently copies in to out, and takes half of one CPU at most. A low priority of the thread would do harm: where
// others keep the CPUs busy, it would be stopped for long with a processor of Go or a lock that the rest of the
// process waits for.
func gently(out io.Writer, in io.Reader) error {
	piece := make([]byte, 32<<10)
	for {
		n, err := in.Read(piece)
		begin := time.Now()
		if _, err := out.Write(piece[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		time.Sleep(min(time.Since(begin), gentleMax))
	}
}

// comment returns that of a compressed file, "" if there is none.
func comment(dir *os.Root, name string) string {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return ""
	}
	return z.Comment
}

// Rotate rotates a log now, unless it is empty or no regular file. Processes that
// write to it notice. It may block.
func Rotate(o Options) error {
	o = o.withDefaults()
	if o.Path == "-" {
		return nil
	}
	if st, err := os.Stat(o.Path); err != nil || !st.Mode().IsRegular() {
		return nil // opening the log reports it
	}
	s, err := openSink(&o)
	if err != nil {
		return o.wrap(err)
	}
	defer s.close()
	s.lock()
	defer s.unlock()
	if st, err := s.file.Stat(); err != nil || st.Size() == 0 {
		return nil
	}
	if err := s.rotate(); err != nil {
		return o.wrap(err)
	}
	return nil
}

// Schedule says when files are rotated by time: at the beginning of each hour,
// day or week (Monday) in local time, or at the multiples of a duration since
// 1970. The zero value: never. A file is rotated when the first line after that is
// written.
type Schedule struct {
	hours int           // 1, 24 or 168, as the calendar has them
	each  time.Duration // else this; 0: never
}

// The schedules of the calendar.
var (
	Hourly = Schedule{hours: 1}
	Daily  = Schedule{hours: 24}
	Weekly = Schedule{hours: 168}
)

// Each returns the Schedule of the multiples of d.
func Each(d time.Duration) Schedule { return Schedule{each: d} }

// period returns the beginnings of the period that has t and of the next one; the zero time: there is none.
func (s Schedule) period(t time.Time) (begin, next time.Time) {
	switch {
	case s.each > 0:
		n := t.UnixNano()
		begin = time.Unix(0, n-n%int64(s.each))
		return begin, begin.Add(s.each)
	case s.hours == 1: // not by time.Date: an hour that comes twice in autumn is two
		begin = t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
		return begin, begin.Add(time.Hour)
	case s.hours == 0:
		return begin, next
	}
	day := t.Day()
	if s.hours == 168 {
		day -= (int(t.Weekday()) + 6) % 7
	}
	midnight := func(day int) time.Time { return time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, t.Location()) }
	return midnight(day), midnight(day + s.hours/24)
}

// Next returns the beginning of the period after that of t; the zero time: there is
// none.
func (s Schedule) Next(t time.Time) time.Time {
	_, next := s.period(t)
	return next
}

// between says whether a period began after last and not after now.
func (s Schedule) between(last, now time.Time) bool {
	begin, _ := s.period(now)
	return last.Before(begin)
}
