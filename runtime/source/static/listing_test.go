package static

import (
	"fmt"
	"html"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

var link = regexp.MustCompile(`<td><a href="([^"]*)">([^<]*)</a>`)

func TestListingIsBounded(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a": "x", "b": "x", "c": "x"}), Listing: true})
	for most, shown := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3} {
		entries, more, err := f.root.now.readDirectory(".", &f.opt, byName, most)
		checktest.Truef(t, err == nil && len(entries) == shown && more == (most < 3),
			"%d: %v %v %v", most, entries, more, err)
		page := string(listing("/", false, entries, more, byName))
		checktest.Equalf(t, strings.Contains(page, fmt.Sprintf("more than these %d entries", shown)), more, "%s", page)
	}
	checktest.Has(t, string(listing("/", false, nil, false, byName)), "This directory is empty.")
}

func TestListingIsSorted(t *testing.T) {
	root := tree(t, map[string]string{"b": "22", "a": "333", "c": "1", "dir/x": "x"})
	for i, name := range []string{"a", "b", "c"} {
		touch(t, root+"/"+name, old.Add(time.Duration(-i)*time.Hour))
	}
	f := serve(t, Options{Root: root, Listing: true, Compress: true})
	tags := map[string]bool{}
	for query, want := range map[string]string{
		"": "dir/ a b c", "?C=N;O=A": "dir/ a b c", "?C=N;O=D": "dir/ c b a", "?C=S;O=A": "dir/ c b a",
		"?C=S&O=D": "dir/ a b c",
		"?C=M;O=A": "dir/ c b a", "?C=M;O=D": "dir/ a b c", "?C=X;O=A": "dir/ a b c", "?C=N;O=A;": "dir/ a b c",
		"?x": "dir/ a b c",
	} {
		for range 2 {
			a := get(t, f, request(t, "", "GET", "/"+query))
			var shown []string
			for _, l := range link.FindAllStringSubmatch(a.body, -1) {
				shown = append(shown, l[2])
			}
			checktest.Equalf(t, strings.Join(shown, " "), want, "%q", query)
			tag := a.get("ETag")
			same := get(t, f, request(t, "", "GET", "/"+query, "If-None-Match: "+tag))
			checktest.Truef(t, tag != "" && same.status == 304, "%q: ETag %q, %d", query, tag, same.status)
			tags[tag] = true
		}
	}
	checktest.Equalf(t, len(tags), 6, "tags")
	a := get(t, f, request(t, "", "GET", "/", "Accept-Encoding: gzip"))
	checktest.Truef(t, a.get("Content-Encoding") == "gzip" && strings.Contains(unpack(t, a), "./dir/"), "%+v", a)
	write(t, root+"/new", "x")
	later(f, time.Second)
	b := get(t, f, request(t, "", "GET", "/", "If-None-Match: "+a.get("ETag")))
	checktest.Truef(t, b.status == 200 && strings.Contains(b.body, "./new"), "%+v", b)
}

func TestListingSortsNumbersInNamesByValue(t *testing.T) {
	files := map[string]string{}
	want := []string{"7", "007z", "12", "file", "file2", "file10", "file10a2", "file10a10", "file99999999999999999999",
		"file100000000000000000000", "filea", "x01", "x1"}
	for _, name := range want {
		files[name] = "x"
	}
	f := serve(t, Options{Root: tree(t, files), Listing: true})
	var shown []string
	for _, l := range link.FindAllStringSubmatch(get(t, f, request(t, "", "GET", "/")).body, -1) {
		shown = append(shown, l[2])
	}
	checktest.Equalf(t, strings.Join(shown, " "), strings.Join(want, " "), "order")
}

func TestListingShowsThePathThatItsClientRequested(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"d/x": "x"}), Listing: true})
	for _, prefix := range []string{"/one", "/two", "/one", "/<b>&\"'"} {
		req := request(t, "", "GET", "/d/")
		req.Prefix = prefix
		a := get(t, f, req)
		checktest.Truef(t, strings.Contains(a.body, "<title>Index of "+html.EscapeString(prefix)+"/d/</title>") &&
			!strings.Contains(a.body, "<b>"), "%s: %s", prefix, a.body)
	}
	kept := len(f.cache.records)
	for _, spelling := range []string{"/%64/", "/.//%64//", "/x/../d/", "/d%2F"} {
		req := request(t, "", "GET", spelling)
		req.Prefix, req.Path = "/one", []byte("/d/")
		page := get(t, f, req).body
		checktest.Truef(t, strings.Contains(page, "<title>Index of /one/d/</title>"), "%s: %s", spelling, page)
	}
	checktest.Equalf(t, len(f.cache.records), kept, "pages in memory with other spellings")
}

// The files of this test have names that are common for private keys, but only files that contain a private key are
// hidden.
func TestListingDoesNotReadWholeFilesToFindPrivateKeys(t *testing.T) {
	picture := "\xff\xd8\xff\xe0\x00\x10JFIF" + strings.Repeat("x", 1<<20)
	files := map[string]string{"id_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}
	for i := range 50 {
		files[fmt.Sprintf("id_%d.jpg", i)] = picture
	}
	f := serve(t, Options{Root: tree(t, files), Listing: true, Private: NewPrivate()})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := get(t, f, request(t, "", "GET", "/"))
	runtime.ReadMemStats(&after)
	n, used := len(link.FindAllString(a.body, -1)), after.TotalAlloc-before.TotalAlloc
	checktest.Truef(t, n == 50 && used <= 10<<20, "%d files, for which %d bytes were read", n, used)
}

func TestFilesDoNotWaitForListings(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a": "x"}), Listing: true})
	f.listing.Lock()
	var all sync.WaitGroup
	for range 2 * maxLooking {
		all.Go(func() { open(t, f, request(t, "", "GET", "/")) })
	}
	answered := make(chan bool)
	go func() {
		time.Sleep(50 * time.Millisecond)
		open(t, f, request(t, "", "GET", "/a"))
		close(answered)
	}()
	select {
	case <-answered:
	case <-time.After(10 * time.Second):
		t.Error("a file has waited")
	}
	f.listing.Unlock()
	all.Wait()
}
