package acceptance

import (
	"compress/gzip"
	"fmt"
	stdhtml "html"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// folder starts a server of a new folder with files, by name and content.
func folder(t *testing.T, m mode, options string, files map[string]string) (s *server, root string) {
	t.Helper()
	root = t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(root, name), content)
	}
	return command{script: "folder.py", args: []string{root, options}}.serve(t, m), root
}

// TestMediaTypes: media types come from a file in Apache's format, which is read again
// on a reload; what is not known is application/octet-stream.
func TestMediaTypes(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		types := filepath.Join(t.TempDir(), "mime.types")
		write(t, types, "# comment\ntext/x-own own OWN2\nimage/x-mine\tpng # other\napplication/x-none\n")
		s, _ := folder(t, m, fmt.Sprintf(`{"mime_types": %q, "types": {"wat": "font/x"}}`, types), map[string]string{
			"a.own": "x", "b.own2": "x", "c.PNG": "x", "d.html": "x", "e.unknown": "x", "README": "x", "f.wat": "x"})
		for target, want := range map[string]string{
			"/a.own": "text/x-own; charset=utf-8", "/b.own2": "text/x-own; charset=utf-8", "/c.PNG": "image/x-mine",
			"/d.html": "text/html; charset=utf-8", "/e.unknown": "application/octet-stream", "/README": "application/octet-stream", "/f.wat": "font/x",
		} {
			s.get(target, 200).field(t, "Content-Type", want).field(t, "X-Content-Type-Options", "nosniff")
		}
		if !m.workers() {
			return
		}
		write(t, types, "text/x-new own\n")
		s.signal(syscall.SIGHUP)
		s.says("reloaded") // until then, an old worker may answer
		s.get("/a.own", 200).field(t, "Content-Type", "text/x-new; charset=utf-8")
		s.get("/c.PNG", 200).field(t, "Content-Type", "image/png")
	})
}

var listed = regexp.MustCompile(`<tr><td><a href="([^"]*)">([^<]*)</a><td>([^<]*)<td>([^\n]*)`)

// TestListing: a folder without index is listed, if that is asked for.
func TestListing(t *testing.T) {
	files := map[string]string{"dir1/sub/x": "x", "dir1/.hidden": "x", "dir1/big": strings.Repeat("x", 3000), "with/index.html": "index"}
	names := []string{"a b", "<i>&\"'", "q?x#%41", "new\nline", "\xff\xfe"}
	for _, name := range names {
		files["dir1/"+name] = name
	}
	inModes(t, func(t *testing.T, m mode) {
		s, root := folder(t, m, `{"listing": true}`, files)
		if err := os.Symlink("/etc", root+"/dir1/out"); err != nil {
			t.Fatal(err)
		}
		s.get("/dir1", 301).field(t, "Location", "/dir1/")
		s.get("/dir1?a=b", 301).field(t, "Location", "/dir1/?a=b")
		page := s.get("/dir1/", 200).field(t, "Content-Type", "text/html; charset=utf-8").field(t, "Cache-Control", "no-cache")
		if strings.Contains(page.body, "hidden") || strings.Contains(page.body, "<script") || strings.Contains(page.body, "<i>") || strings.Contains(page.body, `"./out`) ||
			strings.Contains(page.body, "display:none") { // on phones, too, there are name, size and date
			t.Errorf("%s", page.body)
		}
		links := listed.FindAllStringSubmatch(page.body, -1)
		if len(links) != len(names)+3 || links[0][1] != "../" || links[1][1] != "./sub/" {
			t.Fatalf("%q in %s", links, page.body)
		}
		base, _ := url.Parse("http://x/dir1/")
		for _, l := range links[2:] {
			at, err := base.Parse(stdhtml.UnescapeString(l[1]))
			if err != nil {
				t.Fatal(err)
			}
			file := s.get(at.EscapedPath(), 200)
			if name := stdhtml.UnescapeString(l[2]); name != "big" && strings.ToValidUTF8(file.body, "\uFFFD") != name {
				t.Errorf("%q leads to %q", l, file.body)
			}
			if _, err := time.Parse("2006-01-02 15:04", l[4]); err != nil || l[3] == "" {
				t.Errorf("size %q, date %q", l[3], l[4])
			}
		}
		if !strings.Contains(page.body, `<a href="./big">big</a><td>2.9 KiB<td>`) || !strings.Contains(page.body, "light dark") || !strings.Contains(page.body, "viewport") {
			t.Errorf("%s", page.body)
		}
		sorted := listed.FindAllStringSubmatch(s.get("/dir1/?C=S;O=D", 200).body, -1)
		if sorted[1][2] != "sub/" || sorted[2][2] != "big" || !strings.Contains(page.body, `<a href="?C=S;O=A">`) {
			t.Errorf("by size: %q", sorted)
		}
		head := s.ask(request("HEAD", "/dir1/", "")).want(t, 200)
		if head.Header.Get("Content-Length") != page.Header.Get("Content-Length") || head.Header.Get("ETag") != page.Header.Get("ETag") {
			t.Errorf("HEAD %v, GET %v", head.Header, page.Header)
		}
		s.get("/dir1/", 304, "If-None-Match: "+page.Header.Get("ETag"))
		s.get("/with/", 200).is(t, "index")

		off, _ := folder(t, m, `{}`, files)
		off.get("/dir1/", 404)
	})
}

// TestChangedFileIsServed: a file that is changed on disk is served with its new content within a second,
// small or large, compressed or not.
func TestChangedFileIsServed(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		text := strings.Repeat("some text to compress ", 200)
		s, root := folder(t, m, `{}`, map[string]string{"small.txt": text, "large.bin": strings.Repeat("1", 300<<10)})
		first := map[string]*answer{}
		targets := []string{"/small.txt", "/large.bin"}
		for _, target := range targets {
			s.get(target, 200)
			first[target] = s.get(target, 200)
		}
		packed := s.get("/small.txt", 200, "Accept-Encoding: gzip").field(t, "Content-Encoding", "gzip")
		write(t, root+"/small.txt", strings.ToUpper(text))
		replacement := root + "/new"
		write(t, replacement, strings.Repeat("2", 300<<10)) // of the same size
		if err := os.Rename(replacement, root+"/large.bin"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // a second, and what a clock tick may add
		for target, want := range map[string]string{"/small.txt": strings.ToUpper(text), "/large.bin": strings.Repeat("2", 300<<10)} {
			// The loop's clock is half a second late at most; whoever asks first makes it look.
			eventually(t, target+" is served anew", func() bool { return s.get(target, 200).body == want })
			if a := s.get(target, 200, "If-None-Match: "+first[target].Header.Get("ETag")); a.Header.Get("ETag") == first[target].Header.Get("ETag") {
				t.Errorf("%s: the same ETag", target)
			}
		}
		again := s.get("/small.txt", 200, "Accept-Encoding: gzip").field(t, "Content-Encoding", "gzip")
		z, err := gzip.NewReader(strings.NewReader(again.body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(z); err != nil || string(body) != strings.ToUpper(text) || again.Header.Get("ETag") == packed.Header.Get("ETag") {
			t.Errorf("%v: %.50q", err, body)
		}
	})
}

// TestHeadAndRanges: HEAD has GET's fields byte for byte, and ranges work.
func TestHeadAndRanges(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		content := strings.Repeat("0123456789", 20<<10) // 200 KiB
		s, _ := folder(t, m, `{"listing": true, "max_age": 60}`, map[string]string{"a.txt": "0123456789", "big.bin": content, "c.html": strings.Repeat("<p>", 2000), "d/x": "x"})
		date := regexp.MustCompile(`Date: [^\r]*`)
		for _, target := range []string{"/a.txt", "/big.bin", "/c.html", "/d/", "/d", "/none"} {
			for _, field := range []string{"X: y", "Accept-Encoding: gzip, zstd", "If-None-Match: \"other\""} {
				for range 2 { // from disk, and from memory
					var heads []string
					for _, method := range []string{"GET", "HEAD"} {
						w := s.dial()
						w.send(request(method, target, "", field, "Connection: close"))
						head, body, _ := strings.Cut(w.rest(), "\r\n\r\n")
						heads = append(heads, date.ReplaceAllString(head, ""))
						if method == "HEAD" && body != "" {
							t.Errorf("HEAD %s: a body %.100q", target, body)
						}
					}
					if heads[0] != heads[1] {
						t.Errorf("%s, %s\nGET:  %s\nHEAD: %s", target, field, heads[0], heads[1])
					}
				}
			}
		}
		for _, file := range []struct{ target, content string }{{"/a.txt", "0123456789"}, {"/big.bin", content}} {
			size := len(file.content)
			a := s.get(file.target, 200)
			tag, modified := a.Header.Get("ETag"), a.Header.Get("Last-Modified")
			for _, c := range []struct{ from, to int }{{0, 0}, {2, 4}, {5, size - 1}, {size - 3, size - 1}} {
				r := s.get(file.target, 206, fmt.Sprintf("Range: bytes=%d-%d", c.from, c.to))
				r.has(t, file.content[c.from:c.to+1]).field(t, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", c.from, c.to, size))
			}
			s.get(file.target, 206, "Range: bytes=-4").has(t, file.content[size-4:])
			s.get(file.target, 206, "Range: bytes=2-4", "If-Range: "+tag).has(t, "234")
			s.get(file.target, 206, "Range: bytes=2-4", "If-Range: "+modified).has(t, "234")
			s.get(file.target, 200, "Range: bytes=2-4", "If-Range: \"other\"").is(t, file.content)
			s.get(file.target, 200, "Range: bytes=2-4", "If-Range: W/"+tag).is(t, file.content)
			s.get(file.target, 416, fmt.Sprintf("Range: bytes=%d-", size)).field(t, "Content-Range", fmt.Sprintf("bytes */%d", size))
			s.get(file.target, 200, "Range: bytes="+strings.Repeat("0-0,", 5000/4)+"1-1").is(t, file.content)
			several(t, s.get(file.target, 206, "Range: bytes=0-1,4-6,-2"), file.content, [][2]int{{0, 1}, {4, 6}, {size - 2, size - 1}})
		}
	})
}

// has checks the body, whatever the status.
func (a *answer) has(t *testing.T, body string) *answer {
	t.Helper()
	if a.err != nil || a.body != body {
		t.Errorf("%d bytes, %v, want %d: %.100q", len(a.body), a.err, len(body), a.body)
	}
	return a
}

// several checks a response with several ranges, by the reader of the standard
// library.
func several(t *testing.T, a *answer, content string, want [][2]int) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		t.Fatalf("Content-Type %q: %v", a.Header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
	for _, w := range want {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(part)
		span := fmt.Sprintf("bytes %d-%d/%d", w[0], w[1], len(content))
		if err != nil || string(text) != content[w[0]:w[1]+1] || part.Header.Get("Content-Range") != span {
			t.Errorf("%q of %q, %v; want %s", text, part.Header.Get("Content-Range"), err, span)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the last part: %v", err)
	}
}

// TestGigabyteToSlowClients: a gigabyte to a client that reads slowly needs no memory, with one such client and with twenty.
func TestGigabyteToSlowClients(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		const gigabyte = 1 << 30
		s, root := folder(t, m, `{}`, map[string]string{"big.bin": ""})
		if err := os.Truncate(root+"/big.bin", gigabyte); err != nil {
			t.Fatal(err)
		}
		slow := func() *wire {
			w := s.dial()
			if err := w.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(32 << 10); err != nil {
				t.Error(err)
			}
			w.get("/big.bin")
			if r := w.head("GET"); r.StatusCode != 200 || r.ContentLength != gigabyte {
				t.Errorf("%d, %d bytes", r.StatusCode, r.ContentLength)
			}
			return w
		}
		reads := func(w *wire, n int64) {
			if _, err := io.CopyN(io.Discard, w.in, n); err != nil {
				t.Error(err)
			}
		}
		sitting := s.dial() // or the server, with no client connected, would give memory back in between
		defer sitting.Close()
		one := slow()
		reads(one, 16<<20) // the first bytes cost more: threads start, buffers grow
		var figures []int  // kB
		for range 8 {
			for range 10 {
				reads(one, 10_000)
			}
			figures = append(figures, s.rss()>>10)
		}
		one.Close()
		if slices.Max(figures)-slices.Min(figures) > 1000 {
			t.Errorf("resident kB over time: %v", figures)
		}
		var crowd []*wire
		for range 20 {
			crowd = append(crowd, slow())
		}
		for range 10 {
			for _, w := range crowd {
				reads(w, 10_000)
			}
		}
		if many := s.rss() >> 10; many-figures[0] > 4000 { // of which most are their stacks, and perhaps a thread
			t.Errorf("resident kB %v, with twenty clients %d", figures, many)
		}
	})
}

// A file that becomes shorter while it is sent ends the connection: what was
// promised cannot be kept, and nothing else may follow in its place. Whoever
// asks afterwards gets the file as it is.
func TestTruncatedWhileSending(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		const size = 30 << 20
		s, root := folder(t, m, `{}`, map[string]string{"large.bin": strings.Repeat("x", size), "a.bin": strings.Repeat("x", 200<<10)})
		s.get("/large.bin", 200)
		s.get("/a.bin", 200)
		w := s.dial()
		if err := w.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(32 << 10); err != nil {
			t.Fatal(err)
		}
		w.get("/large.bin")
		w.head("GET")
		for _, name := range []string{"/large.bin", "/a.bin"} {
			if err := os.Truncate(root+name, 1000); err != nil {
				t.Fatal(err)
			}
			s.get(name, 200).is(t, strings.Repeat("x", 1000))
		}
		rest, _ := io.ReadAll(w.in)
		// What the kernel had of the file's pages it has made zeros of.
		if len(rest) >= size || strings.Trim(string(rest), "x\x00") != "" {
			t.Errorf("%d bytes of %d came", len(rest), size)
		}
		s.stderr.await(t, regexp.MustCompile("broke off: the file is shorter"))
	})
}

// A folder of pages for one application in the browser.
func TestSinglePageFolder(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := folder(t, m, `{"spa": "index.html", "expires": ["*.html=no-cache", "*.js=immutable"], "headers": {"X-Frame-Options": "DENY"}}`,
			map[string]string{"index.html": "app", "a.js": "js", "doc/index.html": "doc", "img/a.png": "png"})
		for range 2 {
			s.get("/doc?a=b", 301).field(t, "Location", "/doc/?a=b")
			s.get("/doc/", 200).is(t, "doc")
			s.get("/img", 200).is(t, "app") // it has no page of its own
			s.get("/users/7", 200).is(t, "app").field(t, "Cache-Control", "no-cache").field(t, "X-Frame-Options", "DENY")
			s.get("/a.js", 200).is(t, "js").field(t, "Cache-Control", "public, max-age=31536000, immutable")
			s.get("/john.doe", 200, "Accept: text/html").is(t, "app")
			s.get("/missing.js", 404)
		}
	})
}

// Arguments that cannot be end the start with one line.
func TestFolderThatCannotBe(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/types", "nonsense\n")
	for options, want := range map[string]string{
		`{"expires": ["*.css=soon"]}`:                   `"soon" is no time`,
		`{"types": {"x": "y"}}`:                         `"y" for "x" is not a media type`,
		`{"charset": "a b"}`:                            `not the name of a charset`,
		`{"spa": "../x"}`:                               `"../x"`,
		`{"headers": {"X": "a\nb"}}`:                    `more than one line`,
		fmt.Sprintf(`{"mime_types": "%s/types"}`, root): `/types:1: "nonsense" is not a media type`,
		fmt.Sprintf(`{"mime_types": "%s/none"}`, root):  `no such file`,
	} {
		code, _, stderr := command{flags: []string{"--bind", "127.0.0.1:0"}, script: "folder.py", args: []string{root, options}}.run(t)
		if code == 0 || !strings.Contains(stderr, want) || strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
			t.Errorf("%s: %d, %s", options, code, stderr)
		}
	}
}

// What a Staticfile takes as arguments, a host of the configuration file takes
// as keys: media types, listing, policy for links, times, one page for all.
func TestFolderOfTheConfiguration(t *testing.T) {
	withoutPython := []mode{modes[0], modes[2]} // there is nothing inline then
	inEach(t, withoutPython, func(t *testing.T, m mode) {
		dir := t.TempDir()
		for name, content := range map[string]string{
			"one/a.own": "own", "one/dir/x.css": "css", "one/dir/.hidden": "x", "two/index.html": "app", "two/a.wat": "wat", "two/.shown": "x",
			"mime.types": "# ours\ntext/x-own own\n",
			"fapws.toml": `
autoindex = true
mime-types = "mime.types"

[[host]]
name = "one.test"
root = "one"
expires = ["*.css=30d", "*=off"]
symlinks = "no"

[[host]]
name = "two.test"
root = "two"
autoindex = false
spa = "index.html"
charset = "off"
types = { wat = "text/x-wat" }
dotfiles = true
cache-files-max = "1M"
`} {
			write(t, dir+"/"+name, content)
		}
		if err := os.Symlink("a.own", dir+"/one/link"); err != nil {
			t.Fatal(err)
		}
		s := command{flags: []string{"-c", dir + "/fapws.toml"}}.serve(t, m)
		of := func(host, target string, status int) *answer {
			t.Helper()
			return s.ask("GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n").want(t, status)
		}
		of("one.test", "/a.own", 200).is(t, "own").field(t, "Content-Type", "text/x-own; charset=utf-8").field(t, "Cache-Control", "")
		of("one.test", "/dir", 301).field(t, "Location", "/dir/")
		if page := of("one.test", "/dir/", 200).body; !strings.Contains(page, "./x.css") || strings.Contains(page, "hidden") {
			t.Errorf("%s", page)
		}
		of("one.test", "/dir/x.css", 200).field(t, "Cache-Control", "public, max-age=2592000")
		of("one.test", "/link", 404)
		of("one.test", "/none", 404)
		of("one.test", "/dir/.hidden", 404)
		of("two.test", "/.shown", 200)
		of("two.test", "/users/7", 200).is(t, "app").field(t, "Content-Type", "text/html")
		of("two.test", "/a.wat", 200).field(t, "Content-Type", "text/x-wat")
		of("two.test", "/none.js", 404)

		if m.workers() {
			write(t, dir+"/mime.types", "text/x-new own\n")
			s.signal(syscall.SIGHUP)
			s.says("reloaded")
			of("one.test", "/a.own", 200).field(t, "Content-Type", "text/x-new; charset=utf-8")
		}
	})
}
