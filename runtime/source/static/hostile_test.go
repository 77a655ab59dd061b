package static

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func symlink(t testing.TB, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func everything(root string) Options {
	return Options{Root: root, Index: []string{"index.html"}, Listing: true, DotFiles: true}
}

// Opening one of these files for reading would block forever.
func TestSpecialFilesAreNotOpened(t *testing.T) {
	root := tree(t, map[string]string{"a": "x"})
	if err := syscall.Mkfifo(root+"/fifo", 0o666); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(root+"/a.gz", 0o666); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", root+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f := serve(t, everything(root))
	for target, status := range map[string]int{"/fifo": 404, "/socket": 404, "/a": 200} {
		if a := get(t, f, request(t, "", "GET", target, "Accept-Encoding: gzip")); a.status != status {
			t.Errorf("%s: %+v", target, a)
		}
	}
	if a := get(t, f, request(t, "", "GET", "/")); strings.Contains(a.body, "fifo") ||
		strings.Contains(a.body, "socket") {
		t.Errorf("listed: %s", a.body)
	}
}

func TestFileMayBecomeAFIFOBeforeItIsOpened(t *testing.T) {
	root := tree(t, map[string]string{"a": "x"})
	f := serve(t, Options{Root: root})
	f.opt.CacheFileBytes = -1 // keep no content in memory, so that each request opens the file
	req := request(t, "", "GET", "/a")
	open(t, f, req)
	if err := os.Remove(root + "/a"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(root+"/a", 0o666); err != nil {
		t.Fatal(err)
	}
	if a := open(t, f, req); a.status != 404 {
		t.Errorf("%+v", a)
	}
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
		if got := StatusOf(c.err); got != c.status {
			t.Errorf("%v: %d", c.err, got)
		}
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
	if a := get(t, f, req); a.body != "release 0" {
		t.Errorf("%+v", a)
	}
	symlink(t, "release1", dir+"/next")
	if err := os.Rename(dir+"/next", dir+"/current"); err != nil {
		t.Fatal(err)
	}
	later(f, time.Duration(freshFor))
	if a := get(t, f, req); a.body != "release 1" {
		t.Errorf("%+v", a)
	}
	if err := os.Remove(dir + "/current"); err != nil {
		t.Fatal(err)
	}
	later(f, time.Duration(freshFor))
	if a := get(t, f, req); a.body != "release 1" {
		t.Errorf("out of reach: %+v", a)
	}
}
