package logfile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func open(t *testing.T, o Options) *File {
	t.Helper()
	if o.Flush == 0 {
		o.Flush = time.Millisecond
	}
	f := checktest.Try(Open(o)).Must(t)
	t.Cleanup(func() {
		f.Close()
		// Wait, because the directory must not be removed while a file is compressed.
		settled(t, o.Path)
	})
	return f
}

func (f *File) line(format string, args ...any) { fmt.Fprintf(f, format+"\n", args...) }

func closed(t *testing.T, f *File) {
	t.Helper()
	checktest.Must(t, f.Close())
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
		}
	}
	checktest.Mustf(t, err, "%s", path)
	if len(b) == 0 {
		return nil
	}
	checktest.Needf(t, b[len(b)-1] == '\n', "%s: the last line is cut: %q", path, b[max(0, len(b)-100):])
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func files(t *testing.T, path string) (list []string) {
	t.Helper()
	for _, e := range checktest.Try(os.ReadDir(filepath.Dir(path))).Must(t) {
		list = append(list, e.Name())
	}
	return list
}

func waiting(t *testing.T, path string) int {
	t.Helper()
	o := Options{Path: path}
	dir, err := o.folder()
	if err != nil {
		return 0
	}
	defer dir.Close()
	return len(pending(dir, &o))
}

func settled(t *testing.T, path string) {
	t.Helper()
	eventually(t, "everything compressed", func() bool { return waiting(t, path) == 0 })
}

var eventually = checktest.Eventually

func TestLogFileIsAppendedToAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for i := range 2 {
		f := open(t, Options{Path: path})
		f.line("x")
		closed(t, f)
		checktest.Equalf(t, len(lines(t, path)), i+1, "lines")
	}
	st, _ := os.Stat(path)
	checktest.Equalf(t, st.Mode().Perm()&^0o640, 0, "mode")
}

func TestPanicWhileALineIsMadeLeavesTheLogUsable(t *testing.T) {
	path := t.TempDir() + "/log"
	f := open(t, Options{Path: path})
	for range 2 {
		checktest.Panics(t, func() { f.Append(func([]byte) []byte { panic("on purpose") }) })
		f.line("a")
	}
	closed(t, f)
	checktest.Equal(t, lines(t, path), []string{"a", "a"})
}

func TestOpenErrorsAreOneLine(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	checktest.Must(t, syscall.Mkfifo(fifo, 0o600))
	for _, path := range []string{dir, filepath.Join(dir, "no", "log"), fifo, ""} {
		f, err := Open(Options{Path: path, Name: "access log"})
		if err == nil {
			f.Close()
			t.Errorf("%q opened", path)
			continue
		}
		msg := err.Error()
		checktest.Truef(t, !strings.Contains(msg, "\n") && strings.HasPrefix(msg, "access log: "), "%q: %q", path, msg)
	}
}

func TestMissingDirectoryKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	sub, moved := filepath.Join(dir, "sub"), filepath.Join(dir, "moved")
	checktest.Must(t, os.Mkdir(sub, 0o700))
	told := make(chan string, 100)
	f := open(t, Options{Path: filepath.Join(sub, "log"), Report: func(msg string) { told <- msg }})
	checktest.Must(t, os.Rename(sub, moved))
	for range 3 {
		f.line("x")
		f.Reopen()
	}
	closed(t, f)
	got := lines(t, filepath.Join(moved, "log"))
	checktest.Equalf(t, len(got), 3, "%q", got)
	checktest.Equalf(t, len(told), 1, "times told")
}

func TestLineAboveTheLimitGetsItsOwnFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, Options{Path: path, MaxSize: 10, Keep: 9})
	for _, n := range []int{3, 30, 4, 4} {
		f.line("%s", strings.Repeat("x", n))
	}
	closed(t, f)
	settled(t, path)
	a, b, c := lines(t, path+".2.gz"), lines(t, path+".1.gz"), lines(t, path)
	checktest.Truef(t, len(a) == 1 && len(b) == 1 && len(c) == 2, "%q %q %q", a, b, c)
}

func TestLineWithoutAnEndIsWrittenAndCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, Options{Path: path, MaxSize: 100, Keep: 1})
	x := strings.Repeat("x", 96)
	text := ""
	for _, piece := range []string{"begun", " and ended\nbegun", x, "\n"} {
		fmt.Fprint(f, piece)
		if piece == x {
			text = ""
		}
		text += piece
		eventually(t, piece, func() bool {
			b, _ := os.ReadFile(path)
			return string(b) == text
		})
	}
	closed(t, f)

	f = open(t, Options{Path: "/dev/full", Report: func(string) {}})
	fmt.Fprint(f, "ended\nbegun")
	err := f.Close()
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), " 2 lines not written"), "close: %v", err)
}

func TestAppendNeverWaitsAndLossesAreReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	checktest.Must(t, syscall.Mkfifo(path, 0o600))
	reader := checktest.Try(os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)).Must(t)
	defer reader.Close()
	told := make(chan string, 100)
	f := open(t, Options{Path: path, Report: func(msg string) { told <- msg }})
	line := strings.Repeat("u", 8000)
	sent := 0
	for f.Dropped() < 10 {
		f.line("%s", line)
		sent++
	}
	held := sent * 8000
	checktest.Truef(t, held <= 3*memoryMax, "%d bytes were taken", held)

	// When the reader reads again, it receives the complete buffered lines, and the dropped lines are reported.
	var got bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		got.ReadFrom(reader)
	}()
	msg := <-told
	checktest.Truef(t, strings.Contains(msg, "lines lost") && !strings.Contains(msg, "\n"), "report: %q", msg)
	closed(t, f)
	<-read
	want := strings.Repeat(line+"\n", sent-int(f.Dropped()))
	checktest.Equalf(t, got.String(), want, "%d bytes arrived, not the %d of whole lines", got.Len(), len(want))
}

func TestPipeGetsCompleteLines(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"a\n", "a\n"},
		{"aaa\nbbb\n", "aaa\nbbb\n"},
		{"aaa\nbbbb\n", "aaa\n"},
		{"aaaaaaaaaaaaa\nb\n", "aaaaaaaaaaaaa\n"},
		{"rest of a cut line\nb\n", "rest of a cut line\n"},
	} {
		checktest.Equalf(t, string(firstLines([]byte(c.lines), 8)), c.want, "%q", c.lines)
	}
}

func TestFileIsRotatedAtASize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, Options{Path: path, MaxSize: 1000, Keep: 3})
	line := strings.Repeat("x", 94) // 100 bytes with the number and the line end
	for i := range 52 {
		f.line("%s%05d", line, i)
	}
	closed(t, f)
	f.line("too late")
	f.Write([]byte("two lines\nat once\n"))
	checktest.Equalf(t, f.Dropped(), 3, "dropped")
	settled(t, path)
	// Lines 0 to 19 were removed with old files, and lines 50 and 51 are in the current log.
	got := files(t, path)
	checktest.Needf(t, slices.Equal(got, []string{"log", "log.1.gz", "log.2.gz", "log.3.gz"}), "%q", got)
	for name, first := range map[string]int{"log.3.gz": 20, "log.2.gz": 30, "log.1.gz": 40, "log": 50} {
		got := lines(t, filepath.Join(filepath.Dir(path), name))
		if want := min(10, 52-first); len(got) != want || !strings.HasSuffix(got[0], fmt.Sprintf("x%05d", first)) {
			t.Errorf("%s: %d lines from %q", name, len(got), got[0])
		}
	}
	st, err := os.Stat(path + ".1.gz")
	checktest.Truef(t, err == nil && st.Mode().Perm()&^0o640 == 0, "%v %v", st.Mode(), err)
}

func ofYesterday(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	checktest.Must(t, os.WriteFile(path, []byte("yesterday\n"), 0o600))
	yesterday := time.Now().AddDate(0, 0, -1)
	checktest.Must(t, os.Chtimes(path, yesterday, yesterday))
	return path
}

func TestFileIsRotatedByTime(t *testing.T) {
	path := ofYesterday(t)
	f := open(t, Options{Path: path, Every: Daily, Keep: 3})
	f.line("today")
	f.Reopen()
	f.line("today")
	closed(t, f)
	settled(t, path)
	old, now := lines(t, path+".1.gz"), lines(t, path)
	checktest.Truef(t, slices.Equal(old, []string{"yesterday"}) && len(now) == 2, "%q %q", old, now)
}

func TestScheduleSaysWhenToRotate(t *testing.T) {
	zone := time.FixedZone("", 3600)
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, zone) }
	for _, c := range []struct {
		name      string
		s         Schedule
		last, now time.Time
		want      bool
	}{
		{"never", Schedule{}, at(1, 0, 0), at(20, 0, 0), false},
		{"same day", Daily, at(20, 0, 0), at(20, 23, 59), false},
		{"midnight", Daily, at(20, 23, 59), at(21, 0, 0), true},
		{"same week", Weekly, at(16, 0, 0), at(22, 23, 59), false}, // Monday to Sunday
		{"Monday", Weekly, at(22, 23, 59), at(23, 0, 0), true},
		{"same hour", Hourly, at(20, 4, 0), at(20, 4, 59), false},
		{"next hour", Hourly, at(20, 4, 59), at(20, 5, 0), true},
		{"a day later", Hourly, at(20, 4, 30), at(21, 4, 30), true},
		{"six hours", Each(6 * time.Hour), at(20, 6, 59), at(20, 7, 0), true}, // 6:00 UTC
		{"within six", Each(6 * time.Hour), at(20, 7, 0), at(20, 12, 59), false},
	} {
		checktest.Equalf(t, c.s.between(c.last, c.now), c.want, "%s", c.name)
	}
}

// If a process is killed during a rotation, the next process completes the rotation without duplicate lines.
func TestNextProcessCompletesARotation(t *testing.T) {
	const stamp, later = "0000000000000000001", "0000000000000000002"
	for _, c := range []struct {
		name string
		make func(path string)
	}{
		{"nothing begun", func(string) {}},
		{"in the middle of compressing", func(path string) {
			os.WriteFile(path+rotatedMark+stamp+".tmp", []byte("half of"), 0o600)
		}},
		{"numbers shifted", func(path string) { os.Rename(path+".1.gz", path+".2.gz") }},
		{"compressed but not removed", func(path string) {
			os.Rename(path+".1.gz", path+".2.gz")
			pack(t, path+".1.gz", "first\n", "log"+rotatedMark+stamp)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			pack(t, path+".1.gz", "zeroth\n", "other")
			c.make(path)
			for _, left := range []struct{ stamp, text string }{{stamp, "first\n"}, {later, "second\n"}} {
				checktest.Must(t, os.WriteFile(path+rotatedMark+left.stamp, []byte(left.text), 0o600))
			}
			closed(t, open(t, Options{Path: path, Keep: 5}))
			settled(t, path)
			got := files(t, path)
			checktest.Needf(t, slices.Equal(got, []string{"log", "log.1.gz", "log.2.gz", "log.3.gz"}), "%q", got)
			for n, want := range map[string]string{"1": "second", "2": "first", "3": "zeroth"} {
				checktest.Equalf(t, lines(t, path+"."+n+".gz"), []string{want}, "%s", n)
			}
		})
	}
}

func pack(t *testing.T, path, text, comment string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Comment = comment
	io.WriteString(z, text)
	z.Close()
	checktest.Must(t, os.WriteFile(path, b.Bytes(), 0o600))
}

func TestRotatedFileIsCompressedAfterItsWritersClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	left := path + rotatedMark + "0000000000000000001"
	slow := checktest.Try(os.OpenFile(left, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)).Must(t)
	defer slow.Close()
	checktest.Must(t, unix.Flock(int(slow.Fd()), unix.LOCK_SH))
	open(t, Options{Path: path, Keep: 5})
	time.Sleep(50 * time.Millisecond)
	slow.WriteString("late\n")
	_, err := os.Stat(path + ".1.gz")
	checktest.Truef(t, err != nil, "it did not wait")
	slow.Close()
	settled(t, path)
	checktest.Equal(t, lines(t, path+".1.gz"), []string{"late"})
}

// The server cannot compress a rotated file that another process keeps open.
func TestUncompressedRotatedFilesAreLimitedToKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for n := range 7 {
		checktest.Must(t, os.WriteFile(fmt.Sprintf("%s%s%019d", path, rotatedMark, n), []byte("x\n"), 0o600))
	}
	for n := range 7 {
		slow := checktest.Try(os.Open(fmt.Sprintf("%s%s%019d", path, rotatedMark, n))).Must(t)
		defer slow.Close()
		checktest.Must(t, unix.Flock(int(slow.Fd()), unix.LOCK_SH))
	}
	checktest.Equal(t, compressAll(&Options{Path: path, Keep: 3}), errBusy)
	want := []string{"log.rotated-0000000000000000004", "log.rotated-0000000000000000005",
		"log.rotated-0000000000000000006"}
	checktest.Equal(t, files(t, path), want)
}

// rotated waits for a number of rotations, and returns the lines of the newest rotated file.
func rotated(t *testing.T, path string, times int) []string {
	t.Helper()
	eventually(t, "rotated", func() bool {
		_, err := os.Stat(fmt.Sprintf("%s.%d.gz", path, times))
		return err == nil && waiting(t, path) == 0
	})
	return lines(t, path+".1.gz")
}

func TestErrorLogIsRotatedByTime(t *testing.T) {
	path := ofYesterday(t)
	defer func(every time.Duration) { lookEvery = every }(lookEvery)
	lookEvery = time.Millisecond
	before := checktest.Try(unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)).Must(t)
	defer func() {
		unix.Dup3(before, 2, 0)
		unix.Close(before)
		settled(t, path)
	}()
	e := checktest.Try(RedirectErrors(Options{Path: path, Every: Each(time.Second), Keep: 9}, func() {})).Must(t)
	defer e.Close()
	checktest.Equal(t, rotated(t, path, 1), []string{"yesterday"})
	io.WriteString(os.Stderr, "this second\n")
	checktest.Equal(t, rotated(t, path, 2), []string{"this second"})
}
