package logfile

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
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
