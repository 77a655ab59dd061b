package static

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// everything is what may be switched on: the most that can be reached.
func everything(root string) Options {
	return Options{Root: root, Index: []string{"index.html"}, Listing: true, DotFiles: true}
}

func TestSymbolicLinks(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": "a", "d/b.txt": "b", ".hidden": "h"})
	outside := filepath.Dir(root)
	symlink(t, "a.txt", root+"/in")
	symlink(t, "d", root+"/dir-in")
	symlink(t, "../a.txt", root+"/d/up")
	symlink(t, "in", root+"/in-in")
	symlink(t, "../secret.txt", root+"/out")
	symlink(t, outside+"/secret.txt", root+"/out-absolute")
	symlink(t, "..", root+"/dir-out")
	symlink(t, "/", root+"/top")
	symlink(t, "dir-out/secret.txt", root+"/out-by-way")
	symlink(t, "../root/a.txt", root+"/out-and-in")
	symlink(t, root+"/a.txt", root+"/in-absolute")
	symlink(t, "loop", root+"/loop")
	symlink(t, "nothing", root+"/dangling")
	symlink(t, ".hidden", root+"/unhidden")
	write(t, root+"/c.txt", "c")
	symlink(t, "../secret.txt", root+"/c.txt.gz")
	write(t, root+"/i/x", "x")
	symlink(t, "../../secret.txt", root+"/i/index.html")
	f := serve(t, Options{Root: root, Index: []string{"index.html"}})
	for _, c := range []struct {
		target string
		status int
		body   string
	}{
		{"/in", 200, "a"},
		{"/in-in", 200, "a"},
		{"/dir-in/b.txt", 200, "b"},
		{"/d/up", 200, "a"},
		{"/unhidden", 200, "h"}, // a link gave it another name
		{"/out", 404, ""},
		{"/out-absolute", 404, ""},
		{"/dir-out/secret.txt", 404, ""},
		{"/top" + outside + "/secret.txt", 404, ""},
		{"/out-by-way", 404, ""},
		{"/out-and-in", 404, ""},
		{"/in-absolute", 200, "a"},
		{"/loop", 404, ""},
		{"/dangling", 404, ""},
		{"/c.txt", 200, "c"},
		{"/i/", 404, ""},
	} {
		a := get(t, f, request(t, "", "GET", c.target, "Accept-Encoding: gzip"))
		if a.status != c.status || c.status == 200 && a.body != c.body || a.get("Vary") != "" {
			t.Errorf("%s: %+v", c.target, a)
		}
	}
}

// Were one of these opened for reading as usual, the test would hang.
func TestWhatIsNoFileIsNotOpened(t *testing.T) {
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
	if a := get(t, f, request(t, "", "GET", "/")); strings.Contains(a.body, "fifo") || strings.Contains(a.body, "socket") {
		t.Errorf("listed: %s", a.body)
	}
}

// Between the look and the opening a file can become anything.
func TestFifoInTheLastMoment(t *testing.T) {
	root := tree(t, map[string]string{"a": "x"})
	f := serve(t, Options{Root: root})
	f.opt.CacheFileBytes = -1 // so that the file is opened each time
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

func TestStatusOf(t *testing.T) {
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
		if got := statusOf(c.err); got != c.status {
			t.Errorf("%v: %d", c.err, got)
		}
	}
}

// A process with write access to the root swaps links while files are read.
func TestLinksSwappedMeanwhile(t *testing.T) {
	root := tree(t, map[string]string{"d/secret.txt": "harmless", "e/x": "x"})
	f := serve(t, Options{Root: root, Listing: true, CacheBytes: -1})
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		targets := []string{"d", "..", "e", "d/secret.txt", "../secret.txt"}
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			for _, name := range []string{"/link", "/e/index"} {
				symlink(t, targets[i%len(targets)], root+name+".new")
				if err := os.Rename(root+name+".new", root+name); err != nil {
					t.Error(err)
				}
			}
		}
	})
	harmless := 0
	for range 2000 {
		for _, target := range []string{"/link/secret.txt", "/link", "/link/", "/e/index"} {
			a := open(t, f, request(t, "", "GET", target))
			if strings.Contains(a.body, secret) || strings.Contains(a.body, `"./root/"`) {
				t.Fatalf("%s: %+v", target, a)
			}
			if a.body == "harmless" {
				harmless++
			}
		}
	}
	close(done)
	group.Wait()
	if harmless == 0 {
		t.Error("no link was ever followed: the test shows nothing")
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
