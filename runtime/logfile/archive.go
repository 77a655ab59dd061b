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

// To rotate a log, a process appends ".rotated-" and the time to the file's name. Later, log.1.gz is renamed to
// log.2.gz and so on, and the rotated file is compressed to log.1.gz. The gzip comment contains the name of the rotated
// file, so that another process can continue after an interruption. Only the process that holds the lock on the oldest
// rotated file compresses and renumbers files.

const rotatedMark = ".rotated-"

const retryRename = time.Minute

// gentleMax is the longest pause in the compression of a file.
const gentleMax = 50 * time.Millisecond

// The delay before the next attempt to compress a rotated file grows from firstDelay to lastDelay. The file may still
// be in use by a process that has not noticed the rotation, or by a child that has inherited the file.
const (
	firstDelay = 20 * time.Millisecond
	lastDelay  = time.Minute
)

// An archive manages the rotated files of a log. The methods of an archive, except start, must be called on the
// goroutine that writes the log.
type archive struct {
	o    *Options
	keep atomic.Int64
	wait time.Time // time of the next attempt to rotate after a failed rename

	mu    sync.Mutex
	delay time.Duration
	again *time.Timer // timer for the next attempt to compress; nil before the first delay
}

func (a *archive) able() bool { return time.Now().After(a.wait) }

// rename gives the log file the name of a rotated file. The caller must hold the lock of the log file.
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

// start compresses rotated files on a separate goroutine. start is safe for concurrent use.
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

func pending(dir *os.Root, o *Options) (list []string) {
	prefix := filepath.Base(o.Path) + rotatedMark
	// Ignore the error, because files that cannot be listed could not be compressed, either.
	entries, _ := fs.ReadDir(dir.FS(), ".")
	for _, e := range entries {
		at, isRotated := strings.CutPrefix(e.Name(), prefix)
		if _, err := strconv.ParseUint(at, 10, 64); isRotated && err == nil && (!o.Plain || e.Type().IsRegular()) {
			list = append(list, e.Name())
		}
	}
	return list
}

var errBusy = errors.New("in use")

// compressAll compresses the rotated files of a log, and removes the oldest files if there are more than Keep.
// compressAll returns errBusy if a file is still in use.
func compressAll(o *Options) error {
	dir, err := o.folder()
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		list := pending(dir, o)
		// Count uncompressed files toward Keep. Otherwise they would accumulate if the disk is full, or if a process
		// that has inherited a rotated file never ends.
		beyond := max(0, len(list)-o.Keep)
		for _, raw := range list[:beyond] {
			_ = dir.Remove(raw)
			_ = dir.Remove(raw + ".tmp")
		}
		if list = list[beyond:]; len(list) == 0 {
			return removeOld(dir, filepath.Base(o.Path), o.Keep)
		}
		err := compressOne(dir, o, list[0])
		// Ignore the error if another process has compressed or removed the file.
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}

func compressOne(dir *os.Root, o *Options, raw string) error {
	open, stat, path := dir.OpenFile, dir.Lstat, raw
	// The rotated file may be a symbolic link, because the log may have been a symbolic link.
	if !o.Plain {
		open, stat, path = os.OpenFile, os.Stat, filepath.Join(filepath.Dir(o.Path), raw)
	}
	in, err := open(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // do not wait if the file is a FIFO
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
		err := compress(dir, in, st, tmp, raw)
		if err == nil {
			err = shift(dir, name, o.Keep)
		}
		if err == nil {
			err = dir.Rename(tmp, newest)
		}
		if err != nil {
			_ = dir.Remove(tmp)
			return err
		}
	}
	return dir.Remove(raw)
}

func numbered(name string, n int) string { return name + "." + strconv.Itoa(n) + ".gz" }

// shift frees the number 1: it increases the numbers of compressed files, up to the first gap. Without a gap, the file
// with the number keep is replaced.
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

// removeOld removes compressed files whose number exceeds keep, which exist if Keep was reduced.
func removeOld(dir *os.Root, name string, keep int) error {
	for n := keep + 1; ; n++ {
		if err := dir.Remove(numbered(name, n)); errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// compress writes the compressed content of a rotated file, which the caller has opened, to a new file. compress syncs
// the new file, because the caller then removes the rotated file.
func compress(dir *os.Root, plain *os.File, st os.FileInfo, name, note string) error {
	// The file may exist if an earlier compression was interrupted; Remove does not follow a symbolic link.
	_ = dir.Remove(name)
	out, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, st.Mode().Perm())
	if err != nil {
		return err
	}
	defer out.Close()
	buf := bufio.NewWriterSize(out, 64<<10)
	z := gzip.NewWriter(buf)
	z.Comment, z.ModTime = note, st.ModTime()
	if err := gently(z, plain); err != nil {
		return err
	}
	if err := errors.Join(z.Close(), buf.Flush(), out.Chmod(st.Mode().Perm()), out.Sync()); err != nil {
		return err
	}
	return out.Close()
}

// gently is like io.Copy, but pauses so that it uses at most half of a CPU. gently does not lower the priority of its
// thread. On a busy machine, a thread with low priority could be suspended for long while it holds a lock or a
// processor of the Go scheduler that other threads need.
func gently(writer io.Writer, reader io.Reader) error {
	piece := make([]byte, 32<<10)
	for {
		n, err := reader.Read(piece)
		begin := time.Now()
		if _, err := writer.Write(piece[:n]); err != nil {
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

// Rotate rotates a log immediately, unless it is empty or not a regular file. Processes that write to the log continue
// with the new file. Rotate may block.
func Rotate(o Options) error {
	o = o.withDefaults()
	if o.Path == "-" {
		return nil
	}
	if st, err := os.Stat(o.Path); err != nil || !st.Mode().IsRegular() {
		return nil
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

// A Schedule determines when files are rotated by time: at the beginning of each hour, day or week (Monday) in local
// time, or at the multiples of a duration since 1970. The zero value means never. A file is rotated before the first
// line in a new period is written.
type Schedule struct {
	// length of a calendar period in hours: 1, 24 or 168; 0 if the field each is used
	hours int
	each  time.Duration // length of any other period; 0 means never
}

var (
	Hourly = Schedule{hours: 1}
	Daily  = Schedule{hours: 24}
	Weekly = Schedule{hours: 168}
)

func Each(d time.Duration) Schedule { return Schedule{each: d} }

// period returns the beginning of the period that contains t, and of the next period, or zero values if the Schedule
// means never.
func (s Schedule) period(t time.Time) (begin, next time.Time) {
	switch {
	case s.each > 0:
		n := t.UnixNano()
		begin = time.Unix(0, n-n%int64(s.each))
		return begin, begin.Add(s.each)
	// Do not use time.Date for hours, because it cannot distinguish the two hours with the same number at the end of
	// summer time.
	case s.hours == 1:
		begin = t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(
			t.Nanosecond()))
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

// Next returns the beginning of the first period after t, or the zero time if the Schedule means never.
func (s Schedule) Next(t time.Time) time.Time {
	_, next := s.period(t)
	return next
}

func (s Schedule) between(last, now time.Time) bool {
	begin, _ := s.period(now)
	return last.Before(begin)
}
