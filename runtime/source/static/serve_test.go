package static

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	zstandard "github.com/klauspost/compress/zstd"

	"fapws/runtime/checktest"
	"fapws/runtime/compress"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/http1"
)

var oldDate = old.Format(http1.DateFormat)

func TestVariantIsSentIfItIsNotOlderThanItsFile(t *testing.T) {
	root := tree(t, map[string]string{
		"a.js": "original", "a.js.gz": "GZIP", "a.js.br": "BROTLI",
		"b.js": "original", "b.js.gz": "GZIP",
		"stale.js": "original", "stale.js.gz": "GZIP", "stale.js.br": "BROTLI",
		"cut.js": "original", "cut.js.gz": "GZIP",
		"dir.js": "original", "dir.js.gz/x": "x",
		"index.html": "original", "index.html.gz": "GZIP",
		"only.js.gz": "GZIP",
		"v.js":       text, "v.js.gz": "GZIP", "v.js.zst": "ZSTD",
		"made.js": text, "made.js.gz": "GZIP",
	})
	touch(t, filepath.Join(root, "stale.js.gz"), old.Add(-1))
	touch(t, filepath.Join(root, "stale.js.br"), old.Add(-1e9))
	touch(t, filepath.Join(root, "cut.js.gz"), old.Truncate(1e9)) // gzip -k and tar may truncate the time
	f := serve(t, Options{Root: root, Index: []string{"index.html"}, Compress: true})
	const js = "text/javascript; charset=utf-8"
	for _, c := range []struct{ path, accept, body, coding, vary, mediaType string }{
		{"/a.js", "gzip, br", "BROTLI", "br", "Accept-Encoding", js},
		{"/a.js", "gzip", "GZIP", "gzip", "Accept-Encoding", js},
		{"/a.js", "br;q=0", "original", "", "Accept-Encoding", js},
		{"/b.js", "gzip, br", "GZIP", "gzip", "Accept-Encoding", js},
		{"/b.js", "br", "original", "", "Accept-Encoding", js},
		{"/b.js", "br, gzip;q=0.9", "GZIP", "gzip", "Accept-Encoding", js},
		{"/v.js", "zstd, gzip", "ZSTD", "zstd", "Accept-Encoding", js},
		{"/v.js", "identity;q=1, gzip;q=0.5", text, "", "Accept-Encoding", js},
		// A variant on disk is preferred to one that must be compressed.
		{"/made.js", "zstd, gzip", "GZIP", "gzip", "Accept-Encoding", js},
		{"/stale.js", "gzip, br", "original", "", "", js},
		{"/cut.js", "gzip, br", "GZIP", "gzip", "Accept-Encoding", js},
		{"/dir.js", "gzip, br", "original", "", "", js},
		{"/", "gzip", "GZIP", "gzip", "Accept-Encoding", "text/html; charset=utf-8"},
		{"/a.js.gz", "gzip, br", "GZIP", "", "", "application/gzip"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := get(t, f, request(t, "", method, c.path, "Accept-Encoding: "+c.accept))
			checktest.Truef(t, a.status == 200 && a.length == int64(len(c.body)) && (method != "GET" || a.body == c.body),
				"%s %s with %q: %+v", method, c.path, c.accept, a)
			checktest.Truef(t, a.get("Content-Encoding") == c.coding && a.get("Vary") == c.vary &&
				a.get("Content-Type") == c.mediaType, "%s %s with %q: %v", method, c.path, c.accept, a.fields)
		}
	}
	a := get(t, f, request(t, "", "GET", "/only.js", "Accept-Encoding: gzip"))
	checktest.Equalf(t, a.status, 404, "a variant without original: %+v", a)

	tags := map[string]string{}
	for _, accept := range []string{"", "gzip", "br"} {
		tag := get(t, f, request(t, "", "GET", "/a.js", "Accept-Encoding: "+accept)).get("Etag")
		other, ok := tags[tag]
		checktest.Truef(t, !ok, "%q and %q have the same tag", accept, other)
		tags[tag] = accept
		a := get(t, f, request(t, "", "GET", "/a.js", "Accept-Encoding: "+accept, "If-None-Match: "+tag))
		checktest.Truef(t, a.status == 304 && a.get("Vary") == "Accept-Encoding" && a.get("Etag") == tag,
			"%q: %+v", accept, a)
	}
	a = get(t, f, request(t, "", "GET", "/a.js", "Accept-Encoding: gzip", "Range: bytes=1-2"))
	checktest.Truef(t, a.status == 206 && a.body == "ZI" && a.get("Content-Range") == "bytes 1-2/4" &&
		a.get("Content-Encoding") == "gzip" && a.get("Vary") != "", "range of a variant: %+v", a)
}

// A validator must not rely on these modification times: constants of build tools, also if only the number of files
// with the same old time shows that the time is a constant.
func TestValidatorsChangeWithTheContentOfConstantTimes(t *testing.T) {
	for name, c := range map[string]struct {
		at    time.Time
		dated bool
	}{
		"zero":        {time.Unix(0, 0), false},
		"one":         {time.Unix(1, 0), false},
		"zip":         {time.Date(1980, 1, 1, 0, 0, 0, 0, time.FixedZone("", -5*3600)), false},
		"npm":         {time.Date(1985, 10, 26, 8, 15, 0, 0, time.UTC), false},
		"Bazel":       {time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), false},
		"flit":        {time.Date(2016, 1, 1, 0, 0, 0, 0, time.FixedZone("", 19800)), false},
		"hatch":       {time.Date(2020, 2, 2, 0, 0, 0, 0, time.FixedZone("", 3600)), false},
		"last commit": {time.Now().AddDate(-5, 0, 0).Truncate(time.Second), true},
		"future":      {time.Unix(1<<31-1, 0), false}, // the latest time on 32-bit machines
	} {
		root := tree(t, map[string]string{"a": "0123"})
		for _, other := range "abcdefgh" {
			write(t, filepath.Join(root, string(other)), "0123")
			touch(t, filepath.Join(root, string(other)), c.at)
		}
		f := serve(t, Options{Root: root})
		first := get(t, f, request(t, "", "GET", "/a"))
		tag, date := first.get("Etag"), first.get("Last-Modified")
		checktest.Truef(t, tag != "" && (date != "") == c.dated, "%s: %+v", name, first)
		a := get(t, f, request(t, "", "GET", "/a", "If-None-Match: "+tag))
		checktest.Equalf(t, a.status, 304, "%s: %+v", name, a)
		a = get(t, f, request(t, "", "GET", "/a", "If-Modified-Since: "+date))
		checktest.Equalf(t, c.dated, a.status == 304, "%s: %+v", name, a)
		if name == "future" {
			continue
		}
		begun := time.Now().Unix()
		// The file system's clock may be some milliseconds behind the system clock.
		checktest.Eventually(t, "the date changes", func() bool {
			return !c.dated || time.Now().Add(-50*time.Millisecond).Unix() > begun
		})
		write(t, filepath.Join(root, "a"), "4567")
		touch(t, filepath.Join(root, "a"), c.at)
		later(f, 2e9)
		for _, fields := range [][]string{
			{"If-None-Match: " + tag}, {"If-Modified-Since: " + date}, {"If-Modified-Since: " + oldDate},
			{"If-Range: " + tag, "Range: bytes=0-1"}, {"If-Range: " + date, "Range: bytes=0-1"},
		} {
			a := get(t, f, request(t, "", "GET", "/a", fields...))
			checktest.Truef(t, a.status == 200 && a.body == "4567", "%s, %q: %+v", name, fields, a)
		}
	}
}

// Copies with the times of the files, as of rsync -a, have the same validators on each server and after each deployment.
func TestValidatorsOfOldFilesFollowTheirModificationTime(t *testing.T) {
	at := time.Date(2019, 3, 4, 5, 6, 7, 0, time.UTC)
	var tags, sent []string
	for range 2 {
		root := tree(t, map[string]string{"a.css": "0123", "b.css": "0123", "c.css": "0123", "new.css": "4567",
			"many/a.js": "0123"})
		for _, name := range []string{"a.css", "b.css", "c.css", "a.css.gz", "a.css.br", "a.css.zst", "b.css.gz",
			"b.css.br", "c.css.gz"} {
			write(t, filepath.Join(root, name), "0123")
			touch(t, filepath.Join(root, name), at)
		}
		for i := range 20 { // one commit of a checkout: within a second, but not at the same time
			name := filepath.Join(root, "many", string(rune('a'+i))+".js")
			write(t, name, "0123")
			touch(t, name, at.Add(time.Duration(i+1)*time.Millisecond))
		}
		f := serve(t, Options{Root: root})
		for _, path := range []string{"/a.css", "/many/a.js"} {
			a := get(t, f, request(t, "", "GET", path))
			checktest.Equalf(t, a.get("Last-Modified"), "Mon, 04 Mar 2019 05:06:07 GMT", "%s: %+v", path, a)
			tags = append(tags, a.get("Etag"))
			var out FileResponse
			checktest.Must(t, f.Send(path[1:], "", request(t, "", "GET", path), &out))
			sent = append(sent, string(out.Head.Fields))
		}
		time.Sleep(time.Millisecond) // the second copy has another time of the status change
	}
	checktest.Truef(t, tags[0] == tags[2] && tags[1] == tags[3], "%q", tags)
	checktest.Truef(t, sent[0] == sent[2] && sent[1] == sent[3], "%q", sent)
}

func TestRelativeRootStaysWhenTheWorkingDirectoryChanges(t *testing.T) {
	t.Chdir(filepath.Dir(tree(t, map[string]string{"a": "hello"})))
	f := serve(t, Options{Root: "root"})
	t.Chdir("/")
	later(f, 5e9)
	a := get(t, f, request(t, "", "GET", "/a"))
	checktest.Equalf(t, a.body, "hello", "%+v", a)
}

func TestNothingStaysOpen(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"small": "hello", "big": strings.Repeat("x", 100000),
		"d/x": "x"}), Listing: true, CacheBytes: -1})
	count := func() int { return len(checktest.Try(os.ReadDir("/proc/self/fd")).Must(t)) }
	targets := []string{"/small", "/big", "/missing", "/", "/d", "/d/", "/../x"}
	run := func() {
		for _, target := range targets {
			for _, field := range []string{"A: b", "Range: bytes=0-1,3-4", "If-Modified-Since: " + oldDate,
				"If-Match: \"x\"", "Range: bytes=999999-"} {
				open(t, f, request(t, "", "GET", target, field))
			}
		}
	}
	run()
	before := count()
	for range 10 {
		run()
	}
	// The number of descriptors can even fall below the earlier number, because the garbage collector closes files of
	// other tests.
	checktest.Eventually(t, "as many descriptors as before", func() bool { return count() <= before })
}

func TestRedirectTargetUsesPartsOfTheRequest(t *testing.T) {
	for _, test := range []struct{ target, request, want string }{
		{"/new", "/old/a", "/new"},
		{"/new", "/old/a?b=1", "/new?b=1"},
		{"/new?", "/old/a?b=1", "/new"},
		{"/new?c#end", "/old/a?b=1", "/new?c#end"},
		{"/new/$1#end", "/old/a%20b?b", "/new/a%20b?b#end"},
		{"${scheme}://example.org${path}?${query}", "/old/a?b", "http://example.org/old/a?b"},
		{"https://${host}/", "/old/", "https://h.example/"},
		{"/x/$1", "/old/%0d%0aX:1", "/x/%0d%0aX:1"},
	} {
		to := checktest.Try(NewRedirect(test.target, 0)).Must(t)
		var c exchangetest.Client
		to.Start(c.Exchange("GET "+test.request+" HTTP/1.1\r\nHost: h.example:8000\r\n\r\n", "/old/"))
		r := c.Replies[0]
		if got := string(r.Fields); r.Status != 302 || got != "Location: "+test.want+"\r\n" {
			t.Errorf("%s to %s: %d %q, want %q", test.request, test.target, r.Status, got, test.want)
		}
	}
}

func TestEntityTagsAreMatched(t *testing.T) {
	for _, c := range checktest.Cases(t, "testdata/tags.txt", 3) {
		for i, weakToo := range []bool{false, true} {
			checktest.Equalf(t, matchesTag([]byte(c[0]), []byte(`"a"`), weakToo), c[1+i] == "yes",
				"%s, weak too %v", c[0], weakToo)
		}
	}
}

var (
	before = old.Add(-time.Second).Format(http1.DateFormat)
	after  = old.Add(time.Second).Format(http1.DateFormat)
)

func TestConditionsAndRangesAreObeyed(t *testing.T) {
	// Without this setting, net/http of Go 1.27 sends the whole file for several ranges if the module requires Go 1.25.
	t.Setenv("GODEBUG", "httpservecontentmaxranges=200")
	const content = "0123456789"
	f := serve(t, Options{Root: tree(t, map[string]string{"a": content})})
	tag := get(t, f, request(t, "", "GET", "/a")).get("Etag")
	named := strings.NewReplacer("TAG", tag, "OLD", oldDate, "BEFORE", before, "AFTER", after,
		"RFC850", old.Format("Monday, 02-Jan-06 15:04:05 GMT"), "ANSIC", old.Format(time.ANSIC))
	for _, c := range checktest.Cases(t, "testdata/conditions.txt", 4) {
		unlike, status, body := c[0], c[1], strings.Trim(c[2], "-")
		t.Run(c[3], func(t *testing.T) {
			var fields []string
			if c[3] != "-" {
				fields = strings.Split(named.Replace(c[3]), "|")
			}
			a := get(t, f, request(t, "", "GET", "/a", fields...))
			checktest.Needf(t, strconv.Itoa(a.status) == status, "%+v", a)
			checktest.Truef(t, body == "" || a.body == body, "body %q", a.body)
			checktest.Truef(t, a.status != 416 || a.get("Content-Range") == "bytes */10", "%+v", a)
			checktest.Truef(t, a.status != 304 ||
				a.get("Etag") == tag && a.get("Cache-Control") != "" && a.get("Content-Type") == "" && a.length == -1, "%+v", a)

			theirs := httptest.NewRecorder()
			theirs.Header().Set("ETag", tag)
			theirs.Header().Set("Content-Type", "application/octet-stream")
			r := httptest.NewRequest("GET", "/a", nil)
			for _, field := range fields {
				name, value, _ := strings.Cut(field, ": ")
				r.Header.Add(name, value)
			}
			http.ServeContent(theirs, r, "a", old, strings.NewReader(content))
			same := theirs.Code == a.status && theirs.Header().Get("Content-Range") == a.get("Content-Range") &&
				(a.status != 200 && a.status != 206 || theirs.Body.String() == a.body)
			checktest.Equalf(t, same, unlike == "",
				"net/http: %d %v %q, expected difference: %q", theirs.Code, theirs.Header(), theirs.Body, unlike)
		})
	}
}

func TestRangesAreParsed(t *testing.T) {
	long := [][]string{
		{"1000", strings.Repeat("[0 1]", maxRanges), "bytes=" + strings.Repeat("0-0,", maxRanges-1) + "0-0"},
		{"1000", "whole", "bytes=" + strings.Repeat("0-0,", maxRanges) + "0-0"},
		{"1000", "whole", "bytes=" + strings.Repeat("2000-,", maxRanges) + "0-0"},
	}
	for _, c := range append(checktest.Cases(t, "testdata/ranges.txt", 3), long...) {
		size := checktest.Try(strconv.ParseInt(c[0], 10, 64)).Must(t)
		got := ""
		switch set, ok := appendRanges(nil, []byte(strings.ReplaceAll(c[2], `\t`, "\t")), size); {
		case !ok:
			got = "whole"
		case len(set) == 0:
			got = "unsatisfiable"
		default:
			for _, r := range set {
				got += fmt.Sprintf("[%d %d]", r.start, r.count)
			}
		}
		checktest.Equalf(t, got, c[1], "%q of %s", c[2], c[0])
	}
}

var text = strings.Repeat("to be compressed, ", 1000)

func unpack(t testing.TB, a answered) string {
	t.Helper()
	var r io.Reader = strings.NewReader(a.body)
	var err error
	switch a.get("Content-Encoding") {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		r, err = zstandard.NewReader(r)
	}
	checktest.Must(t, err)
	return string(checktest.Try(io.ReadAll(r)).Must(t))
}

func TestOriginalIsSentWhileOtherFilesAreCompressed(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a.html": text}), Compress: true})
	taken := 0
	for compress.Processors.Take(0) {
		taken++
	}
	answers := make(chan answered, 1)
	go func() { answers <- get(t, f, request(t, "", "GET", "/a.html", "Accept-Encoding: gzip")) }()
	select {
	case a := <-answers:
		checktest.Truef(t, a.body == text && a.get("Content-Encoding") == "" && a.get("Vary") == "Accept-Encoding",
			"%.200v", a)
	case <-time.After(20 * time.Second):
		t.Error("no answer")
	}
	for range taken {
		compress.Processors.Leave()
	}
	a := get(t, f, request(t, "", "GET", "/a.html", "Accept-Encoding: gzip"))
	checktest.Truef(t, a.get("Content-Encoding") == "gzip" && unpack(t, a) == text, "later: %.200v", a)
}

func TestFilesAreCompressedOnTheFly(t *testing.T) {
	root := tree(t, map[string]string{"a.html": text, "b.png": text, "small.html": "x", "noise.txt": noise(5000)})
	f := serve(t, Options{Root: root, Compress: true})
	plain := get(t, f, request(t, "", "GET", "/a.html"))
	checktest.Truef(t, plain.body == text && plain.get("Vary") == "Accept-Encoding" && plain.get("Content-Encoding") == "",
		"%.200v", plain)
	for _, accept := range []string{"gzip", "zstd"} {
		req := request(t, "", "GET", "/a.html", "Accept-Encoding: "+accept)
		head := get(t, f, request(t, "", "HEAD", "/a.html", "Accept-Encoding: "+accept))
		a := get(t, f, req)
		mustHit(t, f, req)
		tag := strings.TrimSuffix(plain.get("ETag"), `"`) + "-" + accept + `"`
		checktest.Truef(t, a.get("Content-Encoding") == accept && a.get("ETag") == tag &&
			a.get("Vary") == "Accept-Encoding" && len(a.body) <= 1000 && unpack(t, a) == text, "%s: %.200v", accept, a)
		checktest.Truef(t, head.length == a.length && fmt.Sprint(head.fields) == fmt.Sprint(a.fields),
			"%s: HEAD %v, GET %v", accept, head, a.fields)
		part := get(t, f, request(t, "", "GET", "/a.html", "Accept-Encoding: "+accept, "Range: bytes=5-9", "If-Range: "+tag))
		checktest.Truef(t, part.status == 206 && part.body == a.body[5:10] &&
			part.get("Content-Range") == fmt.Sprintf("bytes 5-9/%d", len(a.body)), "%s: %+v", accept, part)
		other := get(t, f, request(t, "", "GET", "/a.html", "Accept-Encoding: "+accept, "Range: bytes=5-9",
			"If-Range: "+plain.get("ETag")))
		checktest.Truef(t, other.status == 200 && other.body == a.body,
			"%s: a part of another coding's: %.200v", accept, other)
		same := get(t, f, request(t, "", "GET", "/a.html", "Accept-Encoding: "+accept, "If-None-Match: W/"+tag))
		checktest.Truef(t, same.status == 304 && same.get("ETag") == tag && same.get("Vary") == "Accept-Encoding",
			"%s: %+v", accept, same)
	}
	for target, body := range map[string]string{"/b.png": text, "/small.html": "x", "/noise.txt": noise(5000)} {
		a := get(t, f, request(t, "", "GET", target, "Accept-Encoding: gzip, zstd"))
		checktest.Truef(t, a.get("Content-Encoding") == "" && a.body == body, "%s: %.200v", target, a)
	}
	for _, o := range []Options{{Root: root}, {Root: root, Compress: true, CacheBytes: -1}} {
		a := get(t, serve(t, o), request(t, "", "GET", "/a.html", "Accept-Encoding: gzip"))
		checktest.Truef(t, a.body == text && a.get("Vary") == "", "%+v: %.200v", o, a)
	}
}

func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func TestFileIsCompressedOnceForManyRequests(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a.html": strings.Repeat(text, 100)}), Compress: true})
	open(t, f, request(t, "", "GET", "/a.html"))
	var group sync.WaitGroup
	bodies := make([][]byte, 20)
	for i := range bodies {
		group.Go(func() {
			req := request(t, "", "GET", "/a.html", "Accept-Encoding: zstd")
			var out FileResponse
			f.Open(req, &out)
			bodies[i] = out.Segments[0].Data
		})
	}
	group.Wait()
	for i := range bodies {
		checktest.Needf(t, &bodies[i][0] == &bodies[0][0] && bytes.Equal(bodies[i], bodies[0]),
			"the body of %d is another one", i)
	}
	n := 0
	f.makings.Range(func(any, any) bool { n++; return true })
	checktest.Equalf(t, n, 0, "under way")
}

func TestCompressedFileThatIsTooLargeIsNotKept(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a.txt": text + noise(20000)}), Compress: true,
		CacheBytes: 50000})
	req := request(t, "", "GET", "/a.txt", "Accept-Encoding: gzip")
	a := get(t, f, req)
	checktest.Truef(t, a.get("Content-Encoding") == "" && a.length == int64(len(text)+20000), "%.200v", a)
	mustHit(t, f, req)
}
