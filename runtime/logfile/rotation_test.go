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
	if f.Dropped() != 3 {
		t.Errorf("dropped: %d", f.Dropped())
	}
	settled(t, path)
	// Lines 0 to 19 were removed with old files, and lines 50 and 51 are in the current log.
	if got := files(t, path); !slices.Equal(got, []string{"log", "log.1.gz", "log.2.gz", "log.3.gz"}) {
		t.Fatalf("%q", got)
	}
	for name, first := range map[string]int{"log.3.gz": 20, "log.2.gz": 30, "log.1.gz": 40, "log": 50} {
		got := lines(t, filepath.Join(filepath.Dir(path), name))
		if want := min(10, 52-first); len(got) != want || !strings.HasSuffix(got[0], fmt.Sprintf("x%05d", first)) {
			t.Errorf("%s: %d lines from %q", name, len(got), got[0])
		}
	}
	st, err := os.Stat(path + ".1.gz")
	if err != nil || st.Mode().Perm()&^0o640 != 0 {
		t.Errorf("%v %v", st.Mode(), err)
	}
}

func ofYesterday(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("yesterday\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().AddDate(0, 0, -1)
	if err := os.Chtimes(path, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
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
	if old, now := lines(t, path+".1.gz"), lines(t, path); !slices.Equal(old, []string{"yesterday"}) || len(now) != 2 {
		t.Errorf("%q %q", old, now)
	}
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
		if got := c.s.between(c.last, c.now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
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
		{"numbers shifted", func(path string) {
			os.Rename(path+".1.gz", path+".2.gz")
		}},
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
				if err := os.WriteFile(path+rotatedMark+left.stamp, []byte(left.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			closed(t, open(t, Options{Path: path, Keep: 5}))
			settled(t, path)
			if got := files(t, path); !slices.Equal(got, []string{"log", "log.1.gz", "log.2.gz", "log.3.gz"}) {
				t.Fatalf("%q", got)
			}
			for n, want := range map[string]string{"1": "second", "2": "first", "3": "zeroth"} {
				if got := lines(t, path+"."+n+".gz"); !slices.Equal(got, []string{want}) {
					t.Errorf("%s: %q", n, got)
				}
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
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRotatedFileIsCompressedAfterItsWritersClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	left := path + rotatedMark + "0000000000000000001"
	slow, err := os.OpenFile(left, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := unix.Flock(int(slow.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Path: path, Keep: 5})
	time.Sleep(50 * time.Millisecond)
	slow.WriteString("late\n")
	if _, err := os.Stat(path + ".1.gz"); err == nil {
		t.Error("it did not wait")
	}
	slow.Close()
	settled(t, path)
	if got := lines(t, path+".1.gz"); !slices.Equal(got, []string{"late"}) {
		t.Errorf("%q", got)
	}
}

// The server cannot compress a rotated file that another process keeps open.
func TestUncompressedRotatedFilesAreLimitedToKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for n := range 7 {
		if err := os.WriteFile(fmt.Sprintf("%s%s%019d", path, rotatedMark, n), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 7 {
		slow, err := os.Open(fmt.Sprintf("%s%s%019d", path, rotatedMark, n))
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		if err := unix.Flock(int(slow.Fd()), unix.LOCK_SH); err != nil {
			t.Fatal(err)
		}
	}
	if err := compressAll(&Options{Path: path, Keep: 3}); err != errBusy {
		t.Errorf("%v", err)
	}
	want := []string{"log.rotated-0000000000000000004", "log.rotated-0000000000000000005",
		"log.rotated-0000000000000000006"}
	if got := files(t, path); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
