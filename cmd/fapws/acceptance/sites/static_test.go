package sites_test

import (
	"compress/gzip"
	"fmt"
	stdhtml "html"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func site(t *testing.T) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	s = fapwstest.Command{Script: "files.py", Args: []string{folder}}.Serve(t, fapwstest.Threads)
	fapwstest.Write(t, folder+"/site/one.txt", "0123456789")
	fapwstest.Write(t, folder+"/site/index.html", "<p>index</p>")
	fapwstest.Write(t, folder+"/site/sub/caf\u00e9 & co.txt", "coffee")
	fapwstest.Write(t, folder+"/site/big.bin", strings.Repeat("0123456789abcdef", 1<<17))
	fapwstest.Write(t, folder+"/site/app.js", "plain")
	fapwstest.Write(t, folder+"/site/app.js.gz", "gzipped")
	fapwstest.Write(t, folder+"/site/app.js.br", "brotli")
	fapwstest.Write(t, folder+"/site/.hidden", "hidden")
	fapwstest.Write(t, folder+"/secret", "secret")
	fapwstest.Write(t, folder+"/bare/a.txt", "a")
	fapwstest.Must(t, os.Symlink(folder+"/secret", folder+"/site/link"), os.Symlink("..", folder+"/site/up"))
	return s, folder
}

func TestStaticFilesHaveFieldsAndConditions(t *testing.T) {
	t.Parallel()
	s, folder := site(t)
	one := s.Get("/static/one.txt", 200).Is(t, "0123456789")
	one.Field(t, "Content-Type", "text/plain; charset=utf-8", "Content-Length", "10", "Accept-Ranges", "bytes")
	fapwstest.Truef(t, strings.Contains(one.Header.Get("Cache-Control"), "max-age=60"), "Cache-Control %q",
		one.Header.Get("Cache-Control"))
	etag, modified := one.Header.Get("ETag"), one.Header.Get("Last-Modified")
	for _, c := range []struct {
		target string
		fields []string
		status int
		body   string
	}{
		{"/static/", nil, 200, "<p>index</p>"},
		{"/static/sub/caf%C3%A9%20%26%20co.txt", nil, 200, "coffee"},
		{"/static/app.js", nil, 200, "plain"},
		{"/static/app.js", []string{"Accept-Encoding: gzip"}, 200, "gzipped"},
		{"/static/app.js", []string{"Accept-Encoding: gzip, br"}, 200, "brotli"},
		{"/static/app.js", []string{"Accept-Encoding: br;q=0, gzip;q=0.5"}, 200, "gzipped"},
		{"/static/one.txt", []string{"If-None-Match: " + etag}, 304, ""},
		{"/static/one.txt", []string{"If-Modified-Since: " + modified}, 304, ""},
		{"/static/one.txt", []string{"If-Match: \"other\""}, 412, ""},
		{"/static/one.txt", []string{"Range: bytes=2-4"}, 206, "234"},
		{"/static/big.bin", []string{"Range: bytes=2097150-"}, 206, "ef"},
		{"/static/nothing", nil, 404, ""},
		{"/static/one.txt/", nil, 404, ""},
		{"/static/.hidden", nil, 404, ""},
		{"/bare/", nil, 404, ""},
		{"/handler/one.txt", nil, 200, "0123456789"},
		{"/handler/one.txt", []string{"Range: bytes=2-4"}, 206, "234"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if method == "HEAD" && strings.Contains(strings.Join(c.fields, ""), "Range:") {
				c.status = 200 // Only GET requests can have ranges (RFC 9110 §14.2).
			}
			a := s.Ask(fapwstest.Request(method, c.target, "", c.fields...))
			fapwstest.Truef(t, a.StatusCode == c.status && a.Err == nil && (method != "GET" || c.body == "" || a.Text == c.body),
				"%s %s %q: %d %.50q, want %d %q", method, c.target, c.fields, a.StatusCode, a.Text, c.status, c.body)
			fapwstest.Truef(t, method == "GET" && c.status != 304 || a.Text == "", "%s %s: body %q", method, c.target, a.Text)
		}
	}
	s.Get("/static/sub", 301).Field(t, "Location", "/static/sub/")
	s.Get("/static/app.js", 200, "Accept-Encoding: gzip").Field(t, "Content-Encoding", "gzip", "Vary", "Accept-Encoding")
	s.Ask(fapwstest.Request("POST", "/static/one.txt", "body")).Want(t, 405).Field(t, "Allow", "GET, HEAD")
	fapwstest.Must(t, os.Remove(folder+"/site/one.txt"))
	fapwstest.Eventually(t, "the removed file is gone", func() bool {
		return s.Ask(fapwstest.Get("/static/one.txt")).StatusCode == 404
	})
}

func TestStaticFilesInsideTheRootAloneAreServed(t *testing.T) {
	t.Parallel()
	s, folder := site(t)
	want := fapwstest.Read(t, folder+"/site/big.bin")
	w := s.Dial()
	for range 3 { // large files are followed by other responses
		w.Send(fapwstest.Get("/static/big.bin"), fapwstest.Get("/handler/big.bin"), fapwstest.Get("/static/one.txt"))
		for range 2 {
			has(w.Answer().Want(t, 200), t, want)
		}
		w.Answer().Is(t, "0123456789")
	}
	for _, path := range []string{
		"../secret", "%2e%2e/secret", "..%2fsecret", "%2e%2e%2fsecret", ".%2e/secret", "sub/../../secret",
		"sub/%2e%2e/%2e%2e/secret",
		"./../secret", "//../secret", "..//secret", "....//secret", "..\\secret", "%5c..%5csecret", "..;/secret",
		"link", "up/secret", "up/site/../secret", "/" + folder + "/secret", "%2f" + strings.TrimPrefix(folder, "/") +
			"/secret",
		"one.txt%00", "secret%00.txt", "..%c0%afsecret", "%252e%252e/secret", "../../../../../../../../etc/passwd",
		"../" + filepath.Base(folder) + "/secret",
	} {
		for _, root := range []string{"/static/", "/handler/"} {
			for _, target := range []string{root + path, "http://test" + root + path} {
				a := s.Ask("GET " + target + " HTTP/1.1\r\nHost: test\r\n\r\n")
				fapwstest.Truef(t, a.StatusCode/100 != 2 && !strings.Contains(a.Text, "root:") &&
					!strings.Contains(a.Text, "secret\n") && a.Text != "secret", "%s: %d %q", target, a.StatusCode, a.Text)
			}
		}
	}
	s.Get("/static/one.txt", 200).Is(t, "0123456789")
}

// The server limits how many large files it compresses at the same time. Further requests wait for up to a second.
func TestCompressionOfLargeFilesNeedsLittleMemory(t *testing.T) {
	t.Parallel()
	s, folder := site(t)
	const files, size = 32, 8 << 20
	var clients []*fapwstest.Client
	for i := range files {
		fapwstest.Must(t, os.Truncate(fapwstest.Write(t, fmt.Sprintf("%s/site/large%d.txt", folder, i), ""), size))
		w := s.DialSend(fmt.Sprintf("HEAD /static/large%d.txt HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n", i))
		clients = append(clients, w)
	}
	packed := 0
	for _, w := range clients {
		r := w.Head("HEAD")
		fapwstest.Equalf(t, r.StatusCode, 200, "%s %v", r.Status, r.Header)
		if r.Header.Get("Content-Encoding") == "gzip" {
			packed++
		}
	}
	fapwstest.Truef(t, packed != 0, "none was compressed")
	most := s.Status("VmHWM") << 10
	fapwstest.Truef(t, most <= files*size/2, "it had %d MiB", most>>20)
}

func folder(t *testing.T, options string, files map[string]string) (s *fapwstest.Server, root string) {
	t.Helper()
	root = t.TempDir()
	for name, content := range files {
		fapwstest.Write(t, filepath.Join(root, name), content)
	}
	return fapwstest.Command{Script: "folder.py", Args: []string{root, options}}.Serve(t, fapwstest.Threads), root
}

var listed = regexp.MustCompile(`<tr><td><a href="([^"]*)">([^<]*)</a><td>([^<]*)<td>([^\n]*)`)

func TestDirectoryWithoutAnIndexIsListedIfAllowed(t *testing.T) {
	t.Parallel()
	files := map[string]string{"dir1/sub/x": "x", "dir1/.hidden": "x", "dir1/big": strings.Repeat("x", 3000),
		"with/index.html": "index"}
	names := []string{"a b", "<i>&\"'", "q?x#%41", "new\nline", "\xff\xfe"}
	for _, name := range names {
		files["dir1/"+name] = name
	}
	s, root := folder(t, `{"listing": true}`, files)
	fapwstest.Must(t, os.Symlink("/etc", root+"/dir1/out"))
	s.Get("/dir1", 301).Field(t, "Location", "/dir1/")
	s.Get("/dir1?a=b", 301).Field(t, "Location", "/dir1/?a=b")
	page := s.Get("/dir1/", 200).Field(t, "Content-Type", "text/html; charset=utf-8", "Cache-Control", "no-cache")
	if strings.Contains(page.Text, "hidden") || strings.Contains(page.Text, "<script") ||
		strings.Contains(page.Text, "<i>") || strings.Contains(page.Text, `"./out`) ||
		strings.Contains(page.Text, "display:none") { // on phones, the page shows name, size and date, too
		t.Errorf("%s", page.Text)
	}
	links := listed.FindAllStringSubmatch(page.Text, -1)
	fapwstest.Needf(t, len(links) == len(names)+3 && links[0][1] == "../" && links[1][1] == "./sub/", "%q in %s", links,
		page.Text)
	base, _ := url.Parse("http://x/dir1/")
	for _, l := range links[2:] {
		file := s.Get(fapwstest.Try(base.Parse(stdhtml.UnescapeString(l[1]))).Must(t).EscapedPath(), 200)
		name := stdhtml.UnescapeString(l[2])
		fapwstest.Truef(t, name == "big" || strings.ToValidUTF8(file.Text, "\uFFFD") == name, "%q leads to %q", l, file.Text)
		_, err := time.Parse("2006-01-02 15:04", l[4])
		fapwstest.Truef(t, err == nil && l[3] != "", "size %q, date %q", l[3], l[4])
	}
	fapwstest.Has(t, page.Text, `<a href="./big">big</a><td>2.9 KiB<td>`, "light dark", "viewport")
	sorted := listed.FindAllStringSubmatch(s.Get("/dir1/?C=S;O=D", 200).Text, -1)
	fapwstest.Truef(t, sorted[1][2] == "sub/" && sorted[2][2] == "big" &&
		strings.Contains(page.Text, `<a href="?C=S;O=A">`), "by size: %q", sorted)
	head := s.Ask(fapwstest.Request("HEAD", "/dir1/", "")).Want(t, 200)
	fapwstest.Truef(t, head.Header.Get("Content-Length") == page.Header.Get("Content-Length") &&
		head.Header.Get("ETag") == page.Header.Get("ETag"), "HEAD %v, GET %v", head.Header, page.Header)
	s.Get("/dir1/", 304, "If-None-Match: "+page.Header.Get("ETag"))
	s.Get("/with/", 200).Is(t, "index")

	off, _ := folder(t, `{}`, files)
	off.Get("/dir1/", 404)
}

func TestChangedFileIsServedWithinASecond(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("some text to compress ", 200)
	s, root := folder(t, `{}`, map[string]string{"small.txt": text})
	etag := s.Get("/small.txt", 200).Header.Get("ETag")
	packed := s.Get("/small.txt", 200, "Accept-Encoding: gzip").Field(t, "Content-Encoding", "gzip")
	fapwstest.Write(t, root+"/small.txt", strings.ToUpper(text))
	fapwstest.Eventually(t, "the new content is served", func() bool {
		a := s.Ask(fapwstest.Get("/small.txt", "If-None-Match: "+etag))
		return a.StatusCode == 200 && a.Text == strings.ToUpper(text) && a.Header.Get("ETag") != etag
	})
	fapwstest.Eventually(t, "the new content compressed", func() bool {
		again := s.Get("/small.txt", 200, "Accept-Encoding: gzip").Field(t, "Content-Encoding", "gzip")
		body, err := io.ReadAll(fapwstest.Try(gzip.NewReader(strings.NewReader(again.Text))).Must(t))
		return err == nil && string(body) == strings.ToUpper(text) && again.Header.Get("ETag") != packed.Header.Get("ETag")
	})
}

func TestHEADHasTheFieldsOfGET(t *testing.T) {
	t.Parallel()
	s, _ := folder(t, `{"listing": true, "max_age": 60}`, map[string]string{"a.txt": "0123456789",
		"big.bin": strings.Repeat("0123456789", 20<<10), "c.html": strings.Repeat("<p>", 2000), "d/x": "x"})
	date := regexp.MustCompile(`Date: [^\r]*`)
	for _, target := range []string{"/a.txt", "/big.bin", "/c.html", "/d/", "/d", "/none"} {
		for _, field := range []string{"X: y", "Accept-Encoding: gzip, zstd", "If-None-Match: \"other\""} {
			for range 2 {
				var heads []string
				for _, method := range []string{"GET", "HEAD"} {
					w := s.DialSend(fapwstest.Request(method, target, "", field, "Connection: close"))
					head, body, _ := strings.Cut(w.Rest(), "\r\n\r\n")
					heads = append(heads, date.ReplaceAllString(head, ""))
					fapwstest.Truef(t, method != "HEAD" || body == "", "HEAD %s: a body %.100q", target, body)
				}
				fapwstest.Truef(t, heads[0] == heads[1], "%s, %s\nGET:  %s\nHEAD: %s", target, field, heads[0], heads[1])
			}
		}
	}
}

// has fails unless the body of the response is complete and equal to body.
func has(a *fapwstest.Answer, t *testing.T, body string) *fapwstest.Answer {
	t.Helper()
	fapwstest.Truef(t, a.Err == nil && a.Text == body, "%d bytes, %v, want %d: %.100q", len(a.Text), a.Err, len(body),
		a.Text)
	return a
}

func TestGigabyteToSlowClientsNeedsNoMemory(t *testing.T) {
	t.Parallel()
	const gigabyte = 1 << 30
	s, root := folder(t, `{}`, map[string]string{"big.bin": ""})
	fapwstest.Must(t, os.Truncate(root+"/big.bin", gigabyte))
	slow := func() *fapwstest.Client {
		w := s.Dial()
		fapwstest.Must(t, w.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(32<<10))
		w.Get("/big.bin")
		r := w.Head("GET")
		fapwstest.Truef(t, r.StatusCode == 200 && r.ContentLength == gigabyte, "%d, %d bytes", r.StatusCode, r.ContentLength)
		return w
	}
	reads := func(w *fapwstest.Client, n int64) {
		_, err := io.CopyN(io.Discard, w.In, n)
		fapwstest.Equal(t, err, nil)
	}
	// The server releases memory when no client is connected, so keep one connected.
	sitting := s.Dial()
	defer sitting.Close()
	one := slow()
	// Read some bytes before measuring memory, because at first threads start and buffers grow.
	reads(one, 16<<20)
	memory := s.RSS()
	for range 80 {
		reads(one, 10_000)
	}
	fapwstest.Eventually(t, "as much memory as before", func() bool {
		reads(one, 10_000)
		return s.RSS()-memory <= 1000<<10
	})
	one.Close()
	crowd := fapwstest.Repeat(20, func(int) *fapwstest.Client { return slow() })
	for range 10 {
		for _, w := range crowd {
			reads(w, 10_000)
		}
	}
	fapwstest.Eventually(t, "hardly more memory with twenty clients", func() bool {
		reads(crowd[0], 10_000)
		return s.RSS()-memory <= 4000<<10
	})
}

// The server has already sent the Content-Length of the whole file, so it closes the connection without sending the
// missing bytes.
func TestFileThatIsTruncatedWhileItIsSentEndsTheConnection(t *testing.T) {
	t.Parallel()
	const size = 30 << 20
	s, root := folder(t, `{}`, map[string]string{"large.bin": strings.Repeat("x", size),
		"a.bin": strings.Repeat("x", 200<<10)})
	s.Get("/large.bin", 200)
	s.Get("/a.bin", 200)
	w := s.Dial()
	fapwstest.Must(t, w.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(32<<10))
	w.Get("/large.bin")
	w.Head("GET")
	for _, name := range []string{"/large.bin", "/a.bin"} {
		fapwstest.Must(t, os.Truncate(root+name, 1000))
		s.Get(name, 200).Is(t, strings.Repeat("x", 1000))
	}
	rest, _ := io.ReadAll(w.In)
	// The kernel has replaced the truncated part of the file by zeros in its buffers.
	fapwstest.Truef(t, len(rest) < size && strings.Trim(string(rest), "x\x00") == "", "%d bytes of %d came", len(rest),
		size)
	s.Stderr.Await(t, regexp.MustCompile("aborted: the file became shorter"))
}

func TestSinglePageApplicationAnswersMissingPaths(t *testing.T) {
	t.Parallel()
	s, _ := folder(t, `{"spa": "index.html", "expires": ["*.html=no-cache", "*.js=immutable"], `+
		`"headers": {"X-Frame-Options": "DENY"}}`,
		map[string]string{"index.html": "app", "a.js": "js", "doc/index.html": "doc", "img/a.png": "png"})
	for range 2 {
		s.Get("/doc?a=b", 301).Field(t, "Location", "/doc/?a=b")
		s.Get("/doc/", 200).Is(t, "doc")
		s.Get("/img", 200).Is(t, "app")
		s.Get("/users/7", 200).Is(t, "app").Field(t, "Cache-Control", "no-cache", "X-Frame-Options", "DENY")
		s.Get("/a.js", 200).Is(t, "js").Field(t, "Cache-Control", "max-age=31536000, immutable")
		s.Get("/john.doe", 200, "Accept: text/html").Is(t, "app")
		s.Get("/v1.2/users", 200, "Accept: */*").Is(t, "app")
		s.Get("/missing.js", 404)
	}
}

func TestStaticfileReadsMediaTypesFromAFile(t *testing.T) {
	t.Parallel()
	types := filepath.Join(t.TempDir(), "mime.types")
	fapwstest.Write(t, types, "text/x-own own\n")
	s, _ := folder(t, fmt.Sprintf(`{"mime_types": %q, "types": {"wat": "font/x"}}`, types),
		map[string]string{"a.own": "own", "b.wat": "wat"})
	s.Get("/a.own", 200).Field(t, "Content-Type", "text/x-own; charset=utf-8")
	s.Get("/b.wat", 200).Field(t, "Content-Type", "font/x")
}

func TestInvalidDirectoryArgumentsEndTheStartInOneLine(t *testing.T) {
	root := t.TempDir()
	for _, c := range []struct {
		options string
		code    int
		want    string
	}{
		{`{"expires": ["*.css=soon"]}`, 3, `"soon" is not a time`},
		{fmt.Sprintf(`{"mime_types": "%s/none"}`, root), 2, `no such file`},
	} {
		fapwstest.Command{Flags: []string{"--bind", "127.0.0.1:0"}, Script: "folder.py",
			Args: []string{root, c.options}}.Fails(t, c.code, c.want)
	}
}

func TestStaticfileArgumentsAreKeysOfAHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"one/a.own": "own", "one/b.own2": "own2", "one/c.PNG": "png", "one/README": "text",
		"one/dir/x.css": "css", "one/dir/.hidden": "x", "two/index.html": "app", "two/a.wat": "wat",
		"two/.shown": "x",
		"mime.types": "# ours\ntext/x-own own OWN2\nimage/x-mine\tpng # other\napplication/x-none\n",
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
		fapwstest.Write(t, dir+"/"+name, content)
	}
	fapwstest.Must(t, os.Symlink("a.own", dir+"/one/link"))
	s := fapwstest.Command{Flags: []string{"-c", dir + "/fapws.toml"}}.Serve(t, fapwstest.Workers)
	of := func(host, target string, status int) *fapwstest.Answer {
		t.Helper()
		return s.Ask("GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n").Want(t, status)
	}
	of("one.test", "/a.own", 200).Is(t, "own").Field(t, "Content-Type", "text/x-own; charset=utf-8", "Cache-Control", "")
	for target, kind := range map[string]string{"/b.own2": "text/x-own; charset=utf-8", "/c.PNG": "image/x-mine",
		"/README": "application/octet-stream"} {
		of("one.test", target, 200).Field(t, "Content-Type", kind, "X-Content-Type-Options", "nosniff")
	}
	of("one.test", "/dir", 301).Field(t, "Location", "/dir/")
	page := of("one.test", "/dir/", 200).Text
	fapwstest.Has(t, page, "./x.css")
	fapwstest.Lacks(t, page, "hidden")
	of("one.test", "/dir/x.css", 200).Field(t, "Cache-Control", "max-age=2592000")
	of("one.test", "/link", 404)
	of("one.test", "/none", 404)
	of("one.test", "/dir/.hidden", 404)
	of("two.test", "/.shown", 200)
	of("two.test", "/users/7", 200).Is(t, "app").Field(t, "Content-Type", "text/html")
	of("two.test", "/a.wat", 200).Field(t, "Content-Type", "text/x-wat")
	of("two.test", "/none.js", 404)

	fapwstest.Write(t, dir+"/mime.types", "text/x-new own\n")
	s.Reload()
	of("one.test", "/a.own", 200).Field(t, "Content-Type", "text/x-new; charset=utf-8")
}

// A shared cache may give a response with public to anybody, although its request had a password (RFC 9111 §3.5).
func TestLifetimeOfAFileIsNotPublic(t *testing.T) {
	fapwstest.InEach(t, fapwstest.Modes, func(t *testing.T, m fapwstest.Mode) {
		dir := fapwstest.Files(t, map[string]string{"www/a.css": "style", "users": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n",
			"app.py": "def app(environ, start_response):\n" +
				"    start_response('200 OK', [('Cache-Control', 'public, max-age=5'), ('Cache-Control', 's-maxage=9')])\n" +
				"    return [b'style']\n"})
		file := fapwstest.Write(t, dir+"/fapws.toml", `expires = ["*=1h"]
[[host]]
root = "www"
route = [
  { prefix = "/in/", files = "www", auth = { users = "users" } },
  { prefix = "/app/", app = "app:app", auth = { users = "users" } },
]
`)
		s := fapwstest.Command{Dir: dir, Flags: []string{"-c", file}}.Serve(t, m)
		for target, want := range map[string]string{"/a.css": "max-age=3600", "/in/a.css": "private, max-age=3600",
			"/app/a.css": "private, max-age=5"} {
			got := s.Get(target, 200, "Authorization: Basic YW5uOnNlY3JldA==")
			fapwstest.Equalf(t, got.Header.Values("Cache-Control"), []string{want}, "%s", target)
		}
	})
}
