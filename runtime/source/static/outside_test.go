package static

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	zstandard "github.com/klauspost/compress/zstd"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

// tries returns how often a randomized test repeats its check; `./build.sh fuzz paths` sets a million.
func tries(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("FAPWS_TRIES"))
	if os.Getenv("FAPWS_TRIES") == "" {
		n, err = 20000, nil
	}
	checktest.Needf(t, err == nil && n >= 1, "FAPWS_TRIES=%q is not a number", os.Getenv("FAPWS_TRIES"))
	return n
}

const outsideName = "OUTSIDE-NAME"

// The test requests random paths in a tree whose links and directories are swapped all the time, under each policy for
// links. No response contains a byte or a name from outside the root, in any coding.
func TestNoByteFromOutsideTheRootIsSent(t *testing.T) {
	dir := t.TempDir()
	root := dir + "/root"
	inside := strings.Repeat("harmless ", 300)
	outside := strings.Repeat(secret+" ", 200)
	for _, name := range []string{"a.txt", "d/a.txt", "d/e/a.txt", "d/index.html", "spare/a.txt", "spare/d/a.txt"} {
		write(t, root+"/"+name, inside)
	}
	for _, name := range []string{"/a.txt", "/d/a.txt", "/d/e/a.txt", "/a.txt.gz", "/index.html", "/" + outsideName,
		"/rooted/a.txt"} {
		write(t, dir+name, outside)
	}
	for name, target := range map[string]string{"up": "..", "top": "/", "away": dir, "beside": dir + "/rooted",
		"back": "../root", "self": root, "s": "d/self", "d/self": ".", "swap": "d", "d/swap": "a.txt",
		"d/e/swap.html": "a.txt"} {
		symlink(t, target, root+"/"+name)
	}

	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		targets := []string{"d", "..", "../..", dir, dir + "/a.txt", root + "/d", "a.txt", "../a.txt", "../../a.txt",
			"spare", "up", "back/../a.txt", root + "/../a.txt", root + "ed", dir + "/" + outsideName}
		names := []string{root + "/swap", root + "/d/swap", root + "/d/e/swap.html", root + "/spare/d/swap",
			root + "/a.txt.gz"}
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			fresh := root + "/.fresh"
			_ = os.Symlink(targets[random.IntN(len(targets))], fresh)
			_ = os.Rename(fresh, names[random.IntN(len(names))])
			if i%16 == 0 {
				_ = os.Rename(root+"/spare", root+"/.spare")
				_ = os.Symlink(targets[random.IntN(len(targets))], root+"/spare")
				_ = os.Remove(root + "/spare")
				_ = os.Rename(root+"/.spare", root+"/spare")
			}
		}
	})
	defer group.Wait()
	defer close(done)

	const askers = 3
	found := make([]int, askers)
	var asking sync.WaitGroup
	for i, policy := range []string{"inside", "owner", "no"} {
		f := checktest.Try(New(Options{Root: root, Index: []string{"index.html"}, Listing: true, DotFiles: true,
			Symlinks: policy, SPA: "swap", Compress: true, CacheFileBytes: 500})).Must(t)
		defer f.Close()
		asking.Go(func() { found[i] = askAnything(t, f, uint64(i), tries(t)/askers+1) })
	}
	asking.Wait()
	t.Logf("%d tries, answered with a file or listing: %v", tries(t), found)
	for i, n := range found {
		checktest.Truef(t, n != 0, "asker %d has never been given a file: the test shows nothing", i)
	}
}

func askAnything(t *testing.T, f *Files, seed uint64, n int) (found int) {
	random := rand.New(rand.NewPCG(seed, 7))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	fields := []string{"X: y", "Accept-Encoding: gzip", "Accept-Encoding: zstd", "Accept-Encoding: gzip, br",
		"Range: bytes=3-40", "Range: bytes=0-9,20-99,-5", "Accept: text/html"}
	outer := strings.Split(strings.Trim(filepath.Dir(f.root.path), "/"), "/")
	var out FileResponse
	for range n {
		var path strings.Builder
		for range 1 + random.IntN(6) {
			path.WriteString(pick("/", "/", "/", "//", "\\", "/./", "/../"))
			path.WriteString(pick("a.txt", "d", "e", "swap", "swap.html", "self", "s", "up", "top", "away", "beside",
				"back", "spare", "root", "rooted", "index.html", outsideName,
				"..", ".", "...", "..;", ".fresh", ".spare", "\x00", "a.txt\x00", "", "~", "%2e%2e", "\xc0\xae\xc0\xae",
				strings.Join(outer, "/"), outer[0], strings.Repeat("x", 300)))
		}
		if random.IntN(4) == 0 {
			path.WriteByte('/')
		}
		head := []byte(pick("GET", "GET", "GET", "HEAD") + " /" + pick("", "?C=S;O=D") + " HTTP/1.1\r\nHost: x\r\n" +
			pick(fields...) + "\r\n\r\n")
		parsed := new(http1.Request)
		if _, err := parsed.Parse(head, &http1.DefaultLimits); err != nil {
			t.Errorf("%q: %v", head, err)
			return found
		}
		req := &FileRequest{Path: []byte(path.String()), Head: head, Parsed: parsed}
		if !f.Hit(f.clock(), req, &out) {
			f.Open(req, &out)
		}
		if out.Head.Status == 200 || out.Head.Status == 206 {
			found++
		}
		body := content(&out)
		if strings.Contains(body, "SECRET") || strings.Contains(body, outsideName) {
			t.Errorf("%q with %q: %d %.300q", path.String(), head, out.Head.Status, body)
			return found
		}
		out.Close()
	}
	return found
}

func content(out *FileResponse) string {
	var body strings.Builder
	for _, s := range out.Segments {
		if s.Data != nil {
			body.Write(s.Data)
			continue
		}
		buf := make([]byte, s.Count)
		n, _ := out.file.file.ReadAt(buf, s.Offset)
		body.Write(buf[:n])
	}
	var unpacked []byte
	// A partial body cannot be decompressed, and a variant on disk may contain anything.
	if out.Head.Status == 200 {
		switch fields := string(out.Head.Fields); {
		case strings.Contains(fields, "Content-Encoding: gzip"):
			if r, err := gzip.NewReader(strings.NewReader(body.String())); err == nil {
				unpacked, _ = io.ReadAll(r)
			}
		case strings.Contains(fields, "Content-Encoding: zstd"):
			if r, err := zstandard.NewReader(strings.NewReader(body.String())); err == nil {
				unpacked, _ = io.ReadAll(r)
				r.Close()
			}
		}
	}
	return body.String() + string(unpacked)
}

// FuzzByteranges checks that the standard library parses a response with several ranges, and that each part matches its
// Content-Range.
func FuzzByteranges(f *testing.F) {
	text := strings.Repeat("0123456789abcdef", 64)
	files := serve(f, Options{Root: tree(f, map[string]string{"a.txt": text})})
	for _, seed := range []string{"bytes=0-1,3-4", "bytes=0-0,-1", "bytes=5-,0-2", "bytes=1-1,2-2,3-3,4-4",
		"bytes=1000-2000,0-3", "bytes= 1-2 , 4-5 ,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		head := []byte("GET /a.txt HTTP/1.1\r\nHost: x\r\nRange: " + value + "\r\n\r\n")
		parsed := new(http1.Request)
		if _, err := parsed.Parse(head, &http1.DefaultLimits); err != nil {
			return
		}
		a := get(t, files, &FileRequest{Path: []byte("/a.txt"), Head: head, Parsed: parsed})
		switch a.status {
		case 200:
			checktest.Needf(t, a.body == text, "%q: %d bytes", value, len(a.body))
		case 206:
			checkParts(t, a, text)
		case 416:
			checktest.Needf(t, a.get("Content-Range") == fmt.Sprintf("bytes */%d", len(text)), "%q: %v", value, a.fields)
		default:
			t.Fatalf("%q: %d", value, a.status)
		}
	})
}

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
