package http_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestFilesAreSentCompletelyWithoutSendfile(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOSYS, syscall.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			large, small := random(3_000_000), random(100_000)
			fapwstest.Write(t, filepath.Join(dir, "large.bin"), large)
			fapwstest.Write(t, filepath.Join(dir, "small.bin"), small)
			script := fapwstest.Write(t, filepath.Join(dir, "app.py"), `
def opened(environ, start_response):
    return open("large.bin", "rb")


PATHS = [("/opened", opened)]
`)
			s := fapwstest.Command{
				Script: script, Dir: dir, Flags: []string{"--static", "/files=" + dir},
				Shell: fapwstest.Refusing(t, fmt.Sprintf("%d=%d", syscall.SYS_SENDFILE, errno)),
			}.Serve(t, fapwstest.Threads)
			for range 2 {
				for path, want := range map[string]string{"/files/large.bin": large, "/files/small.bin": small,
					"/opened": large} {
					fapwstest.Equalf(t, s.Get(path, 200).Text, want, "%s", path)
				}
			}
			line := "sendfile: " + errno.Error() + "; reading files and sending them instead"
			fapwstest.Equalf(t, strings.Count(s.Stderr.String(), line), 1, "lines")
		})
	}
}

func TestFileThatCannotBeReadWhileItIsSentIsLoggedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, filepath.Join(dir, "large.bin"), random(100_000))
	script := fapwstest.Write(t, filepath.Join(dir, "app.py"), `
import io
import os


def written(environ, start_response):
    return io.FileIO(os.open("large.bin", os.O_WRONLY), "w")


PATHS = [("/written", written)]
`)
	s := fapwstest.Command{Script: script, Dir: dir}.Serve(t, fapwstest.Threads)
	w := s.DialGet("/written")
	s.Says("response aborted: cannot read the file: bad file descriptor")
	w.Reset()
}
