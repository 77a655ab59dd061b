package static

import (
	"strings"
	"testing"

	"fapws/runtime/http1"
)

// FuzzNothingFromOutside asks for any path, with any field, in a tree full of
// links that lead out. Whatever comes back keeps its promises and has no byte
// of the file beside the root.
func FuzzNothingFromOutside(f *testing.F) {
	root := tree(f, map[string]string{"a.txt": "0123456789", "a.txt.gz": "zip", "d/index.html": "index", ".h": "h"})
	for name, target := range map[string]string{"out": "../secret.txt", "up": "..", "d/up": "../..", "in": "a.txt", "top": "/", "d/self": ".", "d/in.gz": "../../secret.txt"} {
		symlink(f, target, root+"/"+name)
	}
	write(f, root+"/d/in", "in")
	files := serve(f, everything(root))
	for _, seed := range []struct{ path, field string }{
		{"/a.txt", "Range: bytes=0-1,3-4"},
		{"/a.txt", "Accept-Encoding: gzip;q=0.5, *;q=0"},
		{"/a.txt", "If-None-Match: W/\"x\", *"},
		{"/a.txt", "If-Modified-Since: " + oldDate},
		{"/a.txt", "Range: bytes=-5"},
		{"/d/", ""}, {"/d", ""}, {"", ""}, {"/", ""},
		{"/../secret.txt", ""}, {"/up/secret.txt", ""}, {"/out", ""}, {"/d/self/up/secret.txt", ""},
		{"/top/etc/passwd", ""}, {"/d/in", "Accept-Encoding: gzip"}, {"/\x00", ""}, {"/..\\secret.txt", ""}, {"secret.txt", ""},
	} {
		f.Add([]byte(seed.path), seed.field)
	}
	f.Fuzz(func(t *testing.T, path []byte, field string) {
		head := []byte("GET / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n\r\n")
		parsed := new(http1.Request)
		if _, err := parsed.Parse(head, &http1.DefaultLimits); err != nil {
			head = []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, err := parsed.Parse(head, &http1.DefaultLimits); err != nil {
				t.Fatal(err)
			}
		}
		a := get(t, files, &Request{Path: path, Head: head, Parsed: parsed})
		if strings.Contains(a.body, secret) || strings.Contains(a.body, `"./root/"`) {
			t.Fatalf("%q: %+v", path, a)
		}
		if strings.HasPrefix(a.get("Location"), "//") {
			t.Fatalf("%q: %+v", path, a)
		}
	})
}

// FuzzRanges checks that what is left of a Range field lies in the file.
func FuzzRanges(f *testing.F) {
	for _, seed := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=0-1,2-3,-1", "bytes=9223372036854775807-", "bytes=-9223372036854775807", "bytes=1-9223372036854775807"} {
		f.Add([]byte(seed), int64(10))
	}
	f.Fuzz(func(t *testing.T, value []byte, size int64) {
		if size < 0 {
			return
		}
		var set rangeSet
		answer := set.parse(value, size)
		total := int64(0)
		for _, r := range set.r[:set.n] {
			if r.start < 0 || r.count <= 0 || r.start >= size || r.last() >= size {
				t.Fatalf("%q of %d: %+v", value, size, r)
			}
			total += r.count
		}
		if answer == someRanges && (set.n == 0 || total > size) {
			t.Fatalf("%q of %d: %+v", value, size, set.r[:set.n])
		}
	})
}
