package static

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func symlink(t testing.TB, target, path string) {
	t.Helper()
	checktest.Must(t, os.Symlink(target, path))
}

func everything(root string) Options {
	return Options{Root: root, Index: []string{"index.html"}, Listing: true, DotFiles: true}
}

// Opening one of these files for reading would block forever.
func TestSpecialFilesAreNotOpened(t *testing.T) {
	root := tree(t, map[string]string{"a": "x"})
	checktest.Must(t, syscall.Mkfifo(root+"/fifo", 0o666))
	checktest.Must(t, syscall.Mkfifo(root+"/a.gz", 0o666))
	defer checktest.Try(net.Listen("unix", root+"/socket")).Must(t).Close()
	f := serve(t, everything(root))
	for target, status := range map[string]int{"/fifo": 404, "/socket": 404, "/a": 200} {
		a := get(t, f, request(t, "", "GET", target, "Accept-Encoding: gzip"))
		checktest.Equalf(t, a.status, status, "%s: %+v", target, a)
	}
	a := get(t, f, request(t, "", "GET", "/"))
	checktest.Truef(t, !strings.Contains(a.body, "fifo") && !strings.Contains(a.body, "socket"), "listed: %s", a.body)
}

func TestFileMayBecomeAFIFOBeforeItIsOpened(t *testing.T) {
	root := tree(t, map[string]string{"a": "x"})
	f := serve(t, Options{Root: root})
	f.opt.CacheFileBytes = -1 // keep no content in memory, so that each request opens the file
	req := request(t, "", "GET", "/a")
	open(t, f, req)
	checktest.Must(t, os.Remove(root+"/a"))
	checktest.Must(t, syscall.Mkfifo(root+"/a", 0o666))
	a := open(t, f, req)
	checktest.Equalf(t, a.status, 404, "%+v", a)
}

func TestErrorsOfTheFileSystemHaveAStatus(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{fs.ErrNotExist, 404},
		{syscall.ENOENT, 404},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOTDIR}, 404},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENAMETOOLONG}, 404},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ELOOP}, 404},
		{&fs.PathError{Op: "open", Path: "x", Err: errors.New("path escapes from parent")}, 404},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, 403},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EPERM}, 403},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}, 503},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENFILE}, 503},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EIO}, 500},
	} {
		checktest.Equalf(t, StatusOf(c.err), c.status, "%v", c.err)
	}
}

func TestRootIsFollowedWhenItIsReplaced(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		write(t, fmt.Sprint(dir, "/release", i, "/a"), fmt.Sprint("release ", i))
	}
	symlink(t, "release0", dir+"/current")
	f := serve(t, Options{Root: dir + "/current"})
	req := request(t, "", "GET", "/a")
	a := get(t, f, req)
	checktest.Equalf(t, a.body, "release 0", "%+v", a)
	symlink(t, "release1", dir+"/next")
	checktest.Must(t, os.Rename(dir+"/next", dir+"/current"))
	later(f, time.Duration(freshFor))
	a = get(t, f, req)
	checktest.Equalf(t, a.body, "release 1", "%+v", a)
	checktest.Must(t, os.Remove(dir+"/current"))
	later(f, time.Duration(freshFor))
	a = get(t, f, req)
	checktest.Equalf(t, a.body, "release 1", "out of reach: %+v", a)
}

// quoted returns the test cases in a text file, whose columns are strings of Go.
func quoted(t *testing.T, file string, columns int) [][]string {
	t.Helper()
	all := checktest.Cases(t, file, columns)
	for _, c := range all {
		for i := range c {
			c[i] = checktest.Try(strconv.Unquote(c[i])).Must(t)
		}
	}
	return all
}

func TestPathsAreCleanedOrRejected(t *testing.T) {
	for _, c := range quoted(t, "testdata/paths.txt", 3) {
		for i, dotFiles := range []bool{true, false} {
			want := c[1+i]
			got, ok := cleanPath(nil, []byte(c[0]), dotFiles)
			if !ok {
				got = []byte("-")
			}
			checktest.Equalf(t, string(got), want, "%q, dot files %v", c[0], dotFiles)
			again, ok := cleanPath(nil, got, dotFiles)
			checktest.Truef(t, want == "-" || ok && string(again) == want, "%q is not stable: %q", got, again)
		}
	}
}

func TestSlashRedirectStaysOnItsHost(t *testing.T) {
	for _, c := range quoted(t, "testdata/redirects.txt", 4) {
		checktest.Equalf(t, string(slashLocation(nil, c[0], []byte(c[1]), []byte(c[2]))), c[3], "%q, %q", c[0], c[1])
	}
}
