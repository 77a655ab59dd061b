package static

import (
	"fapws/runtime/checktest"
	"fapws/runtime/compress"

	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	zstandard "github.com/klauspost/compress/zstd"
)

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
	for range cap(compress.Processors) {
		compress.Processors <- struct{}{}
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
	for range cap(compress.Processors) {
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
	root := tree(t, map[string]string{"a.html": strings.Repeat(text, 100)})
	f := serve(t, Options{Root: root, Compress: true})
	open(t, f, request(t, "", "GET", "/a.html"))
	var group sync.WaitGroup
	bodies := make([][]byte, 20)
	for i := range bodies {
		group.Go(func() {
			req := request(t, "", "GET", "/a.html", "Accept-Encoding: zstd")
			var out Response
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
