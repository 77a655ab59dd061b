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
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

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
