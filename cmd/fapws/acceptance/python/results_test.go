package python_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const (
	html   = "text/html; charset=utf-8"
	octets = "application/octet-stream"
)

func TestReturnValuesBecomeBodiesAndMediaTypes(t *testing.T) {
	cases := []struct{ path, body, mediaType string }{
		{"/str", "h\u00e9llo \u20ac", html},
		{"/empty", "", html},
		{"/bytes", "\x00\xff", octets},
		{"/bytearray", "array", octets},
		{"/list", "ab", octets},
		{"/strlist", "\u00e9b", html},
		{"/tuple", "ab", html},
		{"/sublist", "st", octets},
		{"/generator", "one,tw\u00f6,three", octets},
		{"/map", "012", html},
		{"/iterable", "xy", octets},
		{"/file", "456789", "text/plain; charset=utf-8"},
		{"/html", "<p>h\u00e9</p>\n", html},
		{"/text", "<p>h\u00e9</p>\n", html},
		{"/bytesio", "from memory", octets},
		{"/stringio", "t\u00e9xt", html},
		{"/odd", "block block ", octets},
		{"/wrapped", "wrapped", octets},
		{"/dict", `{"a":[1,null,"` + "\u00e9" + `"]}`, "application/json"},
		{"/written", "written and returned", "text/plain"},
	}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			s := fapwstest.Serve(t, m, "returns.py")
			for _, c := range cases {
				s.Get(c.path, 200).Is(t, c.body).Field(t, "Content-Type", c.mediaType)
			}
			for path, chunked := range map[string]bool{
				"/str": false, "/list": false, "/file": false, "/dict": false, "/empty": false, "/generator": true,
				"/map": true, "/written": true,
			} {
				a := s.Get(path, 200)
				fapwstest.Truef(t, (len(a.TransferEncoding) == 1) == chunked && (a.ContentLength >= 0) != chunked,
					"%s: %q, Content-Length %d", path, a.TransferEncoding, a.ContentLength)
			}
			s.Get("/proc", 200).Want(t, 200, "Name:\t") // a regular file whose size is reported as 0 bytes
			s.Get("/devnull", 200).Is(t, "")
			s.Get("/popen", 200).Is(t, "a pipe\n")
			s.Get("/typed", 203).Field(t, "Content-Type", "text/x-own", "X-One", "1, 2")
			a := s.Get("/late", 202)
			a.Field(t, "Content-Type", "text/x-late")
			fapwstest.Equalf(t, a.Text, "late", "/late")
			a = s.Get("/big", 200)
			fapwstest.Truef(t, a.Text == strings.Repeat("0123456789abcdef", 2<<16) && a.ContentLength == 2<<20,
				"/big: %d bytes, announced %d", len(a.Text), a.ContentLength)
		})
}

func TestReturnValueThatIsNoResponseIs500(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "returns.py", Complains: true}.Serve(t, fapwstest.Inline)
	s.GetLogs("/none", 500, `handler none \(\S+returns\.py, line \d+\) returned None, as a function without return does;`)
	s.GetLogs("/number", 500, `handler number \(\S+returns\.py, line \d+\) returned 7; it must return`)
	s.GetLogs("/mixed", 500, `handler mixed.*\n(.*\n)*.*not int: 7`)
	s.GetLogs("/surrogate", 500, `UnicodeEncodeError`)
	s.Get("/str", 200)
}

func TestFileWrapperSendsTheRestOfAFileAndClosesIt(t *testing.T) {
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(i % 251)
	}
	all := string(data)
	cases := []struct {
		name, query, body string
		length            int64 // announced length, or -1
		closed            string
	}{
		{"a file", "kind=real", all, 300_000, "closed\n"},
		{"from its position", "kind=skip", all[100_000:], 200_000, "closed\n"},
		{"partly read", "kind=partly-read", all[11:], 299_989, "closed\n"},
		{"at its end", "kind=at-the-end", "", 0, "closed\n"},
		{"beyond its end", "kind=beyond", "", 0, "closed\n"},
		{"unbuffered", "kind=raw", all, 300_000, ""},
		{"for reading and writing", "kind=update", all, 300_000, ""},
		{"memory", "kind=bytesio", all, -1, ""},
		{"a block size", "kind=noted&block=1000", all, -1, "closed, read by [1000]\n"},
		{"no block size", "kind=noted", all, -1, "closed, read by [65536]\n"},
		{"gzip has a descriptor of other bytes", "kind=gzip", all, -1, ""},
		{"text in the middle", "kind=text", "second \u20ac\nthird\n", 17, ""},
		{"a pipe", "kind=pipe", "pipe", -1, ""},
		{"through a middleware", "kind=real&through=1", all, -1, ""},
		{"with its length", "kind=real&length=300000", all, 300_000, "closed\n"},
		{"with less than its length", "kind=real&length=1234", all[:1234], 1234, "closed\n"},
		{"blocks with less than their length", "kind=noted&length=70000", all[:70_000], 70_000, "closed, read by [65536]\n"},
		{"after write()", "kind=real&write=before,", "before," + all, -1, "closed\n"},
	}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			folder := t.TempDir()
			s := fapwstest.Command{Script: "filewrapper.py", Args: []string{folder}, Complains: true}.Serve(t, m)
			w := s.Dial()
			methods := []string{"GET", "HEAD"}
			if m.Forks() {
				methods = methods[:1]
			}
			for i, c := range cases {
				for _, method := range methods {
					name := fmt.Sprint(method, i)
					w.Send(fapwstest.Request(method, "/?"+c.query+"&name="+name, "", "Range: bytes=5-9"))
					a := w.AnswerTo(method).Want(t, 200).Field(t, "Content-Type", "text/x-own", "Content-Range", "")
					unsaid := method == "HEAD" && c.length == 0 && a.ContentLength < 0
					fapwstest.Truef(t, (method != "GET" || a.Text == c.body) && (a.ContentLength == c.length || unsaid),
						"%s: %s has %d bytes, announced %d", c.name, method, len(a.Text), a.ContentLength)
					if c.closed != "" {
						fapwstest.FileSays(t, folder+"/"+name, "closed")
						said, _ := os.ReadFile(folder + "/" + name)
						fapwstest.Truef(t, method != "GET" || string(said) == c.closed, "%s: %q", c.name, said)
					}
				}
			}
			w.Fetch("/?kind=subclass").Is(t, strings.ReplaceAll(all, "\x00", "\xff"))
			fapwstest.FileSays(t, folder+"/subclass", "closed")
			for _, status := range []int{204, 304} {
				w.Fetch(fmt.Sprint("/?kind=real&status=", status, "&name=bodyless", status)).Want(t, status)
				fapwstest.FileSays(t, fmt.Sprint(folder, "/bodyless", status), "closed")
			}
			w.Fetch("/?kind=unreadable").Want(t, 500)
			s.Says("OSError: cannot read")
			fapwstest.FileSays(t, folder+"/unreadable", "closed")

			a := w.Fetch("/?kind=real&length=300001&name=short")
			fapwstest.Truef(t, a.Err != nil && a.Text == all, "longer than the file: %d bytes, %v", len(a.Text), a.Err)
			w.Gone()
			fapwstest.FileSays(t, folder+"/short", "closed")
			if m.Forks() {
				return
			}
			before := s.OpenFiles()
			w = s.Dial()
			for range 20 {
				w.Fetch("/?kind=real&name=many").Is(t, all)
			}
			w.Close()
			fapwstest.Eventually(t, "all files are closed", func() bool { return s.OpenFiles() <= before })
		})
}

// Files of /proc and /sys report a wrong size, which the application may use as Content-Length. Sparse files, and empty
// files without blocks, have the right size.
func TestFilesWithAWrongSizeAreSentCompletely(t *testing.T) {
	t.Parallel()
	const sys, proc = "/sys/devices/system/cpu/online", "/proc/sys/kernel/ostype"
	online := fapwstest.Read(t, sys)
	dir := t.TempDir()
	sparse := fapwstest.Try(os.Create(filepath.Join(dir, "sparse"))).Must(t)
	fapwstest.Must(t, sparse.Truncate(100_000), sparse.Close())
	fapwstest.Write(t, filepath.Join(dir, "empty"), "")
	wants := map[string]string{sys: online, proc: "Linux\n", dir + "/sparse": string(make([]byte, 100_000)),
		dir + "/empty": ""}
	for _, m := range []fapwstest.Mode{fapwstest.Inline, fapwstest.Forks} {
		s := fapwstest.Serve(t, m, "unsized.py")
		for name, want := range wants {
			for _, path := range []string{"/file?", "/stat?", "/wrapped?"} {
				s.Get(path+name, 200).Is(t, want)
			}
		}
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "unsized.py:application", "--static", "/sys=/sys/devices/system/cpu",
		"--static", "/proc=/proc/sys/kernel", "--static", "/here="+dir)
	for name, want := range wants {
		s.Get("/send?"+name, 200).Is(t, want)
	}
	for range 2 {
		s.Get("/sys/online", 200).Is(t, online).Field(t, "ETag", "")
		s.Get("/proc/ostype", 200).Is(t, "Linux\n").Field(t, "Last-Modified", "")
		s.Get("/here/empty", 200).Is(t, "")
		fapwstest.Truef(t, s.Get("/here/sparse", 200).Is(t, wants[dir+"/sparse"]).Header.Get("ETag") != "",
			"a sparse file has no ETag")
	}
	w := s.DialSend(fapwstest.Request("HEAD", "/sys/online", ""))
	w.AnswerTo("HEAD").Want(t, 200).Field(t, "Content-Length", strconv.Itoa(len(online)))
}

// closings serves iterables.py and counts calls of close(), which the server must make exactly once for each result.
type closings struct {
	*fapwstest.Server
	folder string
	n      int
}

func serveIterables(t *testing.T, m fapwstest.Mode) *closings {
	t.Helper()
	folder := t.TempDir()
	return &closings{fapwstest.Command{Script: "iterables.py", Args: []string{folder},
		Flags: []string{"--graceful-timeout", "200ms"}, Complains: true}.Serve(t, m), folder, 0}
}

func (c *closings) target(kind, more string) (target, mark string) {
	c.n++
	name := fmt.Sprintf("%s-%d", kind, c.n)
	return "/?kind=" + kind + "&name=" + name + more, c.folder + "/" + name
}

func (c *closings) once(what, mark string) {
	c.T.Helper()
	fapwstest.FileSays(c.T, mark, "closed\n")
	c.Get("/quick", 200).Is(c.T, "quick")
	text, _ := os.ReadFile(mark)
	fapwstest.Equalf(c.T, string(text), "closed\n", "%s", what)
}

func TestExceptionInCloseDoesNotChangeTheResponse(t *testing.T) {
	t.Parallel()
	for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks} {
		s := serveIterables(t, m)
		w := s.Dial()
		for range 2 {
			target, _ := s.target("unclosable", "")
			w.Fetch(target).Is(t, "one,two")
		}
		s.Says(`error in close\(\) of handler application, GET /\?kind=unclosable&name=unclosable-2 `)
	}
}

// The server knows the length of the body if the iterable has one item, or if it yields no bytes at all (PEP 3333,
// "Handling the Content-Length Header").
func TestIterablesAreChunkedUnlessTheirLengthIsKnown(t *testing.T) {
	cases := []struct {
		kind, body string
		length     int64 // length, or -1 if the server does not know it
	}{
		{"plain", "one,two", -1}, {"separate", "one,two", -1}, {"generator", "one,two", -1}, {"tuple", "one,two", -1},
		{"sized", "one,two", -1}, {"no-len", "one,two", -1}, {"unclosable", "one,two", -1},
		{"single", "one,two", 7}, {"lying", "one,", 4},
		{"single-empty", "", 0}, {"none", "", 0}, {"no-chunk", "", 0}, {"empty-chunks", "", 0},
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := serveIterables(t, m)
		w := s.Dial()
		for _, c := range cases {
			target, mark := s.target(c.kind, "")
			a := w.Fetch(target).Is(t, c.body)
			fapwstest.Truef(t, a.ContentLength == c.length && (len(a.TransferEncoding) == 1) == (c.length < 0),
				"%s: length %d, %v", c.kind, a.ContentLength, a.TransferEncoding)
			s.once(c.kind, mark)

			target, mark = s.target(c.kind, "")
			w.Send(fapwstest.Request("HEAD", target, ""))
			if a := w.AnswerTo("HEAD").Want(t, 200); a.ContentLength > 0 && a.ContentLength != c.length {
				t.Errorf("HEAD %s: length %d", c.kind, a.ContentLength)
			}
			s.once("HEAD "+c.kind, mark)

			target, mark = s.target(c.kind, "")
			a = s.DialSend("GET ", target, " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").Answer().Is(t, c.body)
			fapwstest.Truef(t, len(a.TransferEncoding) == 0 && a.Close == (c.length < 0), "%s on HTTP/1.0: %v, close %v", c.kind,
				a.TransferEncoding, a.Close)
			s.once(c.kind+" on HTTP/1.0", mark)
		}
		s.Says(`ValueError: close failed`)
		s.Says(`body exceeds its Content-Length of 4`)
	})
}

// Streams that a stop aborts are closed, too.
func TestCloseRunsOnceForEachIterable(t *testing.T) {
	cases := []struct {
		name, kind, more string
		status           int
		body             string
		broken           bool
	}{
		{"raises", "raises", "", 200, "one,two", true},
		{"raises at first", "raises-first", "", 500, "Internal Server Error", false},
		{"raises before", "unready", "", 500, "Internal Server Error", false},
		{"SystemExit", "stops", "", 200, "one,two", true},
		{"no bytes", "number", "", 200, "one,", true},
		{"no bytes at first", "number-first", "", 500, "Internal Server Error", false},
		{"no bytes in a tuple", "not-iterable", "", 500, "Internal Server Error", false},
		{"start_response raises", "late", "", 500, "Internal Server Error", false},
		{"204", "plain", "&status=204", 204, "", false},
		{"304", "plain", "&status=304", 304, "", false},
		{"204, endless", "endless", "&status=204", 204, "", false},
		{"304 that raises", "raises-first", "&status=304", 500, "Internal Server Error", false},
		{"Content-Length fits", "plain", "&length=7", 200, "one,two", false},
		{"Content-Length of one chunk", "single", "&length=7", 200, "one,two", false},
		{"Content-Length too short", "plain", "&length=2", 200, "on", false},
		{"Content-Length too short for a single", "single", "&length=5", 200, "one,t", false},
		{"Content-Length too short, endless", "endless", "&length=1500", 200, strings.Repeat("x", 1500), false},
		{"Content-Length too long", "plain", "&length=9", 200, "one,two", true},
		{"Content-Length too long for a generator", "generator", "&length=9", 200, "one,two", true},
		{"Content-Length 0", "plain", "&length=0", 200, "", false},
		{"Content-Length and nothing", "no-chunk", "&length=3", 200, "", true},
		{"Content-Length, and raises after it", "raises", "&length=7", 200, "one,two", false},
		{"written before", "plain", "&write=zero,", 200, "zero,one,two", false},
		{"written before a single", "single", "&write=zero,", 200, "zero,one,two", false},
		{"written before a tuple", "tuple", "&write=zero,", 200, "zero,one,two", false},
		{"written, Content-Length fits", "plain", "&write=zero,&length=12", 200, "zero,one,two", false},
		{"written, Content-Length too short", "plain", "&write=zero,&length=7", 200, "zero,on", false},
		{"written beyond Content-Length", "endless", "&write=zero,&length=3", 200, "zer", false},
		{"written, Content-Length too long", "generator", "&write=zero,&length=13", 200, "zero,one,two", true},
		{"written, and raises", "raises-first", "&write=zero,", 200, "zero,", true},
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := serveIterables(t, m)
		for _, c := range cases {
			target, mark := s.target(c.kind, c.more)
			w := s.Dial()
			a := w.Fetch(target)
			fapwstest.Truef(t, a.StatusCode == c.status && (a.Err != nil) == c.broken && (c.status == 500 || a.Text == c.body) &&
				strings.Contains(a.Text, c.body), "%s: %d, %q, %v", c.name, a.StatusCode, a.Text, a.Err)
			fapwstest.Truef(t, c.status != 204 || (a.ContentLength <= 0 && a.Header.Get("Content-Length") == ""), "%s: %v",
				c.name, a.Header)
			s.once(c.name, mark)
			if c.status == 500 {
				target, mark = s.target(c.kind, c.more)
				head := w.Ask(fapwstest.Request("HEAD", target, "")).Want(t, 500)
				fapwstest.Truef(t, head.ContentLength == a.ContentLength &&
					head.Header.Get("Content-Type") == a.Header.Get("Content-Type"), "HEAD, %s: %v", c.name, head.Header)
				s.once("HEAD, "+c.name, mark)
			}
			if c.broken {
				w.Gone()
			} else {
				w.Fetch("/quick").Is(t, "quick")
			}
		}
		target, mark := s.target("endless", "")
		s.DialGet(target).Head("GET")
		s.Stop()
		fapwstest.FileSays(t, mark, "closed\n")
	})
}
