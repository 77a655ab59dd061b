package static

import (
	"fmt"
	"html"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var link = regexp.MustCompile(`<td><a href="([^"]*)">([^<]*)</a>`)

func TestListing(t *testing.T) {
	names := []string{"plain.txt", "a b.txt", "q?x#y%41.txt", "a:b", "<script>alert(1)<", `"quoted" & 'more'`, "\xff\xfe", "é.txt", "line\nbreak"}
	files := map[string]string{".hidden": "x", "sub/x": "x", "sub/sub/x": "x"}
	for _, name := range names {
		files["sub/"+name] = name
	}
	root := tree(t, files)
	symlink(t, "../../secret.txt", root+"/sub/out")
	f := serve(t, Options{Root: root, Listing: true, MaxAge: 60})

	a := get(t, f, request(t, "/m", "GET", "/m/sub/"))
	if a.status != 200 || a.get("Content-Type") != "text/html; charset=utf-8" || a.get("Cache-Control") != "no-cache" {
		t.Fatalf("%+v", a)
	}
	if h := get(t, f, request(t, "/m", "HEAD", "/m/sub/")); h.length != a.length || fmt.Sprint(h.fields) != fmt.Sprint(a.fields) {
		t.Errorf("HEAD: %+v", h)
	}
	links := link.FindAllStringSubmatch(a.body, -1)
	if len(links) != len(names)+3 { // and "..", "sub/", "x"
		t.Errorf("%d links in %s", len(links), a.body)
	}
	if links[0][1] != "../" || links[1][1] != "./sub/" {
		t.Errorf("order: %v", links)
	}
	// Every link leads to the file it names.
	base, _ := url.Parse("http://h/m/sub/")
	for _, l := range links[2:] {
		at, err := base.Parse(html.UnescapeString(l[1]))
		if err != nil {
			t.Errorf("%q: %v", l[1], err)
			continue
		}
		file := get(t, f, request(t, "/m", "GET", at.EscapedPath()))
		shown := html.UnescapeString(l[2])
		if file.status != 200 || shown != "x" && strings.ToValidUTF8(file.body, "\uFFFD") != shown {
			t.Errorf("%q: %+v", l[0], file)
		}
	}
	if strings.Contains(a.body, "<script") || strings.Contains(a.body, "hidden") || strings.Contains(a.body, "out") {
		t.Errorf("%s", a.body)
	}
	for _, want := range []string{"2024-02-29 12:00", "9 B", "viewport", "light dark", "<title>/m/sub/</title>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%q is missing in %s", want, a.body)
		}
	}

	top := get(t, f, request(t, "/m", "GET", "/m/"))
	if strings.Contains(top.body, "../") || strings.Contains(top.body, "hidden") || !strings.Contains(top.body, "./sub/") {
		t.Errorf("%s", top.body)
	}
	f.opt.DotFiles = true
	later(f, time.Second)
	if top = get(t, f, request(t, "/m", "GET", "/m/")); !strings.Contains(top.body, "./.hidden") {
		t.Errorf("%s", top.body)
	}
}

func TestListingEscapesItsTitle(t *testing.T) {
	root := tree(t, nil)
	if err := os.Mkdir(root+"/<b>&\"'", 0o755); err != nil {
		t.Fatal(err)
	}
	f := serve(t, Options{Root: root, Listing: true})
	a := get(t, f, request(t, "", "GET", "/%3Cb%3E&%22%27/"))
	if a.status != 200 || strings.Contains(a.body, "<b>") || !strings.Contains(a.body, "&lt;b&gt;&amp;") {
		t.Errorf("%+v", a)
	}
}

func TestListingIsBounded(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a": "x", "b": "x", "c": "x"}), Listing: true})
	for most, shown := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3} {
		entries, more, err := f.readDirectory(f.root.now, ".", most, byName)
		if err != nil || len(entries) != shown || more != (most < 3) {
			t.Errorf("%d: %v %v %v", most, entries, more, err)
		}
		if page := string(appendListing(nil, "/", false, entries, more, byName)); strings.Contains(page, "Listing truncated.") != more {
			t.Errorf("%s", page)
		}
	}
}

func TestIndexWinsOverListing(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"index.html": "index"}), Listing: true, Index: []string{"index.html"}})
	if a := get(t, f, request(t, "", "GET", "/")); a.body != "index" {
		t.Errorf("%+v", a)
	}
	if err := os.Remove(f.root.path + "/index.html"); err != nil {
		t.Fatal(err)
	}
	later(f, time.Duration(freshFor))
	if a := get(t, f, request(t, "", "GET", "/")); !strings.Contains(a.body, "<table>") {
		t.Errorf("%+v", a)
	}
}

func TestAppendSize(t *testing.T) {
	for size, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 10 << 10: "10 KiB", 1 << 20: "1.0 MiB", 1<<20 - 1: "1.0 MiB", 1023 << 10: "1023 KiB",
		5 << 30: "5.0 GiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := string(appendSize(nil, size)); got != want {
			t.Errorf("%d: %s", size, got)
		}
	}
}

func TestListingIsSorted(t *testing.T) {
	root := tree(t, map[string]string{"b": "22", "a": "333", "c": "1", "dir/x": "x"})
	for i, name := range []string{"a", "b", "c"} {
		touch(t, root+"/"+name, old.Add(time.Duration(-i)*time.Hour))
	}
	f := serve(t, Options{Root: root, Listing: true, Compress: true})
	tags := map[string]bool{}
	for query, want := range map[string]string{
		"": "dir/ a b c", "?C=N;O=A": "dir/ a b c", "?C=N;O=D": "dir/ c b a", "?C=S;O=A": "dir/ c b a", "?C=S&O=D": "dir/ a b c",
		"?C=M;O=A": "dir/ c b a", "?C=M;O=D": "dir/ a b c", "?C=X;O=A": "dir/ a b c", "?C=N;O=A;": "dir/ a b c", "?x": "dir/ a b c",
	} {
		for range 2 { // the second one is from memory
			a := get(t, f, request(t, "", "GET", "/"+query))
			var shown []string
			for _, l := range link.FindAllStringSubmatch(a.body, -1) {
				shown = append(shown, l[2])
			}
			if got := strings.Join(shown, " "); got != want {
				t.Errorf("%q: %s, want %s", query, got, want)
			}
			tag := a.get("ETag")
			if same := get(t, f, request(t, "", "GET", "/"+query, "If-None-Match: "+tag)); tag == "" || same.status != 304 {
				t.Errorf("%q: ETag %q, %d", query, tag, same.status)
			}
			tags[tag] = true
		}
	}
	if len(tags) != 6 { // each order has its arrows and links
		t.Errorf("%d tags", len(tags))
	}
	a := get(t, f, request(t, "", "GET", "/", "Accept-Encoding: gzip"))
	if a.get("Content-Encoding") != "gzip" || !strings.Contains(unpack(t, a), "./dir/") {
		t.Errorf("%+v", a)
	}
	write(t, root+"/new", "x")
	later(f, time.Second)
	if b := get(t, f, request(t, "", "GET", "/", "If-None-Match: "+a.get("ETag"))); b.status != 200 || !strings.Contains(b.body, "./new") {
		t.Errorf("%+v", b)
	}
}

// What a page in memory says of the path is what this client has asked for.
func TestListingBelowTwoNames(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"d/x": "x"}), Listing: true})
	for _, prefix := range []string{"/one", "/two", "/one"} {
		req := request(t, "", "GET", "/d/")
		req.Prefix = prefix
		if a := get(t, f, req); !strings.Contains(a.body, "<title>"+prefix+"/d/</title>") {
			t.Errorf("%s: %s", prefix, a.body)
		}
	}
	if a := get(t, f, request(t, "", "GET", "/%64/")); !strings.Contains(a.body, "<title>/d/</title>") {
		t.Errorf("%s", a.body)
	}
}
