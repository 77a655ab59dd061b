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

	"fapws/runtime/waittest"
)

func symlink(t testing.TB, target, path string) {
	t.Helper()
	waittest.Must(t, os.Symlink(target, path))
}

func everything(root string) Options {
	return Options{Root: root, Index: []string{"index.html"}, Listing: true, DotFiles: true}
}

// Opening one of these files for reading would block forever.
func TestSpecialFilesAreNotOpened(t *testing.T) {
	root := tree(t, map[string]string{"a": "x"})
	waittest.Must(t, syscall.Mkfifo(root+"/fifo", 0o666))
	waittest.Must(t, syscall.Mkfifo(root+"/a.gz", 0o666))
	listener, err := net.Listen("unix", root+"/socket")
	waittest.Must(t, err)
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
	waittest.Must(t, os.Remove(root+"/a"))
	waittest.Must(t, syscall.Mkfifo(root+"/a", 0o666))
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
	waittest.Must(t, os.Rename(dir+"/next", dir+"/current"))
	later(f, time.Duration(freshFor))
	if a := get(t, f, req); a.body != "release 1" {
		t.Errorf("%+v", a)
	}
	waittest.Must(t, os.Remove(dir+"/current"))
	later(f, time.Duration(freshFor))
	if a := get(t, f, req); a.body != "release 1" {
		t.Errorf("out of reach: %+v", a)
	}
}

func TestPathsAreCleanedOrRejected(t *testing.T) {
	for _, c := range []struct {
		path     string
		want     string
		dotFiles string
	}{
		{path: "", want: ""},
		{path: "/", want: "/"},
		{path: "//", want: "/"},
		{path: "/a", want: "/a"},
		{path: "/a/", want: "/a/"},
		{path: "/a/b.txt", want: "/a/b.txt"},
		{path: "///a//b///", want: "/a/b/"},
		{path: "a", want: "/a"},
		{path: "/a b\x7f\xff\n", want: "/a b\x7f\xff\n"},
		{path: "/a:b", want: "/a:b"},
		{path: "/.", want: "-"},
		{path: "/..", want: "-"},
		{path: "..", want: "-"},
		{path: "/../", want: "-"},
		{path: "/a/../b", want: "-"},
		{path: "/a/..", want: "-"},
		{path: "/./a", want: "-"},
		{path: "/a\x00.txt", want: "-"},
		{path: "/\x00", want: "-"},
		{path: "/..\\secret", want: "-"},
		{path: "/a\\b", want: "-"},
		{path: "/.env", want: "-", dotFiles: "/.env"},
		{path: "/.git/config", want: "-", dotFiles: "/.git/config"},
		{path: "/a/.b/c", want: "-", dotFiles: "/a/.b/c"},
		{path: "/...", want: "-", dotFiles: "/..."},
		{path: "/..a", want: "-", dotFiles: "/..a"},
		{path: "/a..", want: "/a.."},
		{path: "/a.", want: "/a."},
		{path: "/.well-known/security.txt", want: "/.well-known/security.txt"},
		{path: "/.well-known", want: "/.well-known"},
		{path: "/a/.well-known/x", want: "-", dotFiles: "/a/.well-known/x"},
		{path: "/.well-known/.git", want: "-", dotFiles: "/.well-known/.git"},
	} {
		for _, dotFiles := range []bool{false, true} {
			want := c.want
			if dotFiles && c.dotFiles != "" {
				want = c.dotFiles
			}
			got, ok := cleanPath(nil, []byte(c.path), dotFiles)
			if !ok {
				got = []byte("-")
			}
			if string(got) != want {
				t.Errorf("%q, dot files %v: %q, not %q", c.path, dotFiles, got, want)
			}
			again, ok := cleanPath(nil, got, dotFiles)
			if want != "-" && (!ok || string(again) != want) {
				t.Errorf("%q is not stable: %q", got, again)
			}
		}
	}
}

func TestSlashRedirectStaysOnItsHost(t *testing.T) {
	for _, c := range []struct{ prefix, path, query, want string }{
		{"", "/a", "", "/a/"},
		{"", "/a/b", "x=1&y=%20", "/a/b/?x=1&y=%20"},
		{"", "/a%20b", "", "/a%20b/"},
		{"", "//evil.example", "", "/evil.example/"},
		{"", "///evil.example/..", "", "/evil.example/../"},
		{"", "/\\evil.example", "", "/evil.example/"},
		{"", "\\\\evil.example", "", "/evil.example/"},
		{"", "/a\\b", "", "/a%5Cb/"},
		{"", "/a\r\nSet-Cookie:x", "q\r\n<\">", "/a%0D%0ASet-Cookie:x/?q%0D%0A%3C%22%3E"},
		{"", "/\xff", "", "/%FF/"},
		{"", "", "", "/"},
		{"", "/", "", "/"},
		{"", "https://evil.example", "", "/https://evil.example/"},
		{"/app", "/a", "x=1", "/app/a/?x=1"},
		{"/app", "", "", "/app/"},
		{"//evil.example", "/a", "", "/evil.example/a/"},
		{"/caf\xc3\xa9 100%?#\r\n\\", "/a", "", "/caf%C3%A9%20100%25%3F%23%0D%0A%5C/a/"},
	} {
		if got := string(slashLocation(nil, c.prefix, []byte(c.path), []byte(c.query))); got != c.want {
			t.Errorf("%q, %q: %q, not %q", c.prefix, c.path, got, c.want)
		}
	}
}
