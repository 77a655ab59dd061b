package logfile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// redirected makes a file the standard error of this process while the test runs.
func redirected(t *testing.T, o Options, look time.Duration) {
	t.Helper()
	every := lookEvery
	before, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	lookEvery = look
	e, err := RedirectErrors(o, func() {})
	t.Cleanup(func() {
		if e != nil {
			e.Close()
		}
		lookEvery = every
		system.Replace(2, before)
		unix.Close(before)
		settled(t, o.Path)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// waiting returns how many rotated files of a log are not compressed.
func waiting(t *testing.T, path string) int {
	t.Helper()
	o := Options{Path: path}
	dir, err := o.folder()
	if err != nil {
		return 0 // the directory is gone
	}
	defer dir.close()
	return len(pending(dir, &o))
}

// rotated waits until a log was rotated so many times, and returns the lines of the
// newest.
func rotated(t *testing.T, path string, times int) []string {
	t.Helper()
	last := fmt.Sprintf("%s.%d.gz", path, times)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(last); err == nil && waiting(t, path) == 0 {
			return lines(t, path+".1.gz")
		}
		if time.Now().After(end) {
			t.Fatalf("not rotated: %q", files(t, path))
		}
	}
}

// A flood is rotated as it comes, not when the clock says so; also one to the file
// that follows.
func TestErrorsAreRotatedAtASize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	redirected(t, Options{Path: path, MaxSize: 100, Keep: 9}, time.Hour)
	for n := range 3 {
		flood := fmt.Sprintf("%0150d", n)
		io.WriteString(os.Stderr, flood+"\n")
		if got := rotated(t, path, n+1); !slices.Equal(got, []string{flood}) {
			t.Errorf("%q", got)
		}
	}
}

func TestErrorsAreRotatedByTime(t *testing.T) {
	path := ofYesterday(t)
	redirected(t, Options{Path: path, Every: Each(time.Second), Keep: 9}, time.Millisecond)
	if got := rotated(t, path, 1); !slices.Equal(got, []string{"yesterday"}) {
		t.Errorf("%q", got)
	}
	io.WriteString(os.Stderr, "this second\n")
	if got := rotated(t, path, 2); !slices.Equal(got, []string{"this second"}) {
		t.Errorf("%q", got)
	}
}
