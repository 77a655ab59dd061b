package logfile

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
	before, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		unix.Dup3(before, 2, 0)
		unix.Close(before)
		settled(t, path)
	}()
	e, err := RedirectErrors(Options{Path: path, Every: Each(time.Second), Keep: 9}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if got := rotated(t, path, 1); !slices.Equal(got, []string{"yesterday"}) {
		t.Errorf("%q", got)
	}
	io.WriteString(os.Stderr, "this second\n")
	if got := rotated(t, path, 2); !slices.Equal(got, []string{"this second"}) {
		t.Errorf("%q", got)
	}
}
