package static

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func mustHit(t testing.TB, f *Files, req *FileRequest) answered {
	t.Helper()
	a, ok := hit(t, f, req)
	checktest.Needf(t, ok, "%s is not in memory", req.Path)
	return a
}

func mustMiss(t testing.TB, f *Files, req *FileRequest) {
	t.Helper()
	a, ok := hit(t, f, req)
	checktest.Needf(t, !ok, "%s is in memory: %+v", req.Path, a)
}

func TestChangesOnDiskAreNoticed(t *testing.T) {
	replace := func(t *testing.T, path, content string, at time.Time) {
		write(t, path+".new", content)
		touch(t, path+".new", at)
		checktest.Must(t, os.Rename(path+".new", path))
	}
	for _, c := range []struct {
		name         string
		change       func(t *testing.T, path string)
		status       int
		want, accept string
	}{
		{name: "nothing", change: func(t *testing.T, path string) {}, status: 200, want: "first"},
		{name: "content and time", change: func(t *testing.T, path string) {
			write(t, path, "other")
			touch(t, path, old.Add(time.Second))
		}, status: 200, want: "other"},
		{name: "content and size", change: func(t *testing.T, path string) { write(t, path, "longer than before") },
			status: 200, want: "longer than before"},
		{name: "content only", change: func(t *testing.T, path string) { write(t, path, "other") }, status: 200,
			want: "other"},
		{name: "renamed over, same size and time", change: func(t *testing.T, path string) {
			replace(t, path, "other", old)
		}, status: 200, want: "other"},
		{name: "renamed over, older", change: func(t *testing.T, path string) {
			replace(t, path, "older", old.Add(-time.Hour))
		}, status: 200, want: "older"},
		{name: "emptied", change: func(t *testing.T, path string) { checktest.Must(t, os.Truncate(path, 0)) }, status: 200},
		{name: "removed", change: func(t *testing.T, path string) { checktest.Must(t, os.Remove(path)) }, status: 404},
		{name: "became a directory", change: func(t *testing.T, path string) {
			checktest.Must(t, os.Remove(path))
			write(t, path+"/x", "x")
		}, status: 404},
		{name: "variant came", change: func(t *testing.T, path string) { write(t, path+".gz", "zip") }, status: 200,
			want: "zip", accept: "gzip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, map[string]string{"a": "first"})
			f := serve(t, Options{Root: root})
			req := request(t, "", "GET", "/a", "Accept-Encoding: "+c.accept)
			open(t, f, req)
			mustHit(t, f, req)
			c.change(t, filepath.Join(root, "a"))
			a := mustHit(t, f, req)
			checktest.Equalf(t, a.body, "first", "within the second: %+v", a)
			later(f, time.Second)
			mustMiss(t, f, req)
			a = open(t, f, req)
			checktest.Truef(t, a.status == c.status && (c.status != 200 || a.body == c.want), "%+v", a)
			if c.status == 200 {
				a := mustHit(t, f, req)
				checktest.Equalf(t, a.body, c.want, "then from memory: %+v", a)
			} else {
				mustMiss(t, f, req)
			}
		})
	}
}

func TestRemovedVariantIsNoticedWithinTheSecond(t *testing.T) {
	root := tree(t, map[string]string{"a": "first", "a.gz": "zip"})
	f := serve(t, Options{Root: root})
	open(t, f, request(t, "", "GET", "/a"))
	checktest.Must(t, os.Remove(filepath.Join(root, "a.gz")))
	a := open(t, f, request(t, "", "GET", "/a", "Accept-Encoding: gzip"))
	checktest.Truef(t, a.status == 200 && a.body == "first", "%+v", a)
}

func TestReplacedLargeFileIsNoticedWithinTheSecond(t *testing.T) {
	root := tree(t, map[string]string{"a": strings.Repeat("1", 100000)})
	f := serve(t, Options{Root: root})
	first := open(t, f, request(t, "", "GET", "/a"))
	write(t, filepath.Join(root, "a"), strings.Repeat("2", 100001))
	a := open(t, f, request(t, "", "GET", "/a"))
	checktest.Truef(t, a.length == 100001 && a.body[0] == '2' && a.get("Etag") != first.get("Etag"),
		"%d %v", a.length, a.fields)
	a = open(t, f, request(t, "", "GET", "/a", "If-None-Match: "+first.get("Etag")))
	checktest.Equal(t, a.status, 200)
}

func TestOneRequestChecksTheDiskWhileOthersUseTheCache(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a": "x"})})
	req := request(t, "", "GET", "/a")
	open(t, f, req)
	later(f, 1500*time.Millisecond)
	mustMiss(t, f, req)
	mustHit(t, f, req)
	mustHit(t, f, req)
	later(f, 500*time.Millisecond)
	mustMiss(t, f, req)
	mustMiss(t, f, req)
	open(t, f, req)
	mustHit(t, f, req)
	later(f, -time.Second)
	mustHit(t, f, req)
	later(f, -time.Hour)
	mustMiss(t, f, req)
}

// Hit gets the time from its caller, and Open reads the clock, so their times can differ.
func TestHitAndOpenAgreeOnTheAgeOfARecord(t *testing.T) {
	f := checktest.Try(New(Options{Root: tree(t, map[string]string{"a": "x"})})).Must(t)
	defer f.Close()
	f.wall = func() int64 { return time.Now().Add(time.Hour).UnixNano() }
	start := time.Now()
	req := request(t, "", "GET", "/a")
	open(t, f, req)
	checktest.Truef(t, f.Hit(start.UnixNano()+int64(time.Since(start)), req, new(FileResponse)), "not in memory")
}

func TestFileThatHasJustChangedIsNotKept(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a": "x"})})
	f.wall = func() int64 { return time.Now().Add(-time.Minute).UnixNano() }
	req := request(t, "", "GET", "/a")
	a := open(t, f, req)
	checktest.Truef(t, a.body == "x" && !a.file, "%+v", a)
	mustMiss(t, f, req)
}

func TestFileThatChangesDuringAReadIsDiscarded(t *testing.T) {
	file := checktest.Try(os.Open(tree(t, map[string]string{"a": "hello"}) + "/a")).Must(t)
	defer file.Close()
	info := checktest.Try(file.Stat()).Must(t)
	for _, c := range []struct {
		name   string
		change func(s *Stamp)
		ok     bool
	}{
		{"unchanged", func(*Stamp) {}, true},
		{"was longer", func(s *Stamp) { s.size++ }, false},
		{"was shorter", func(s *Stamp) { s.size-- }, false},
		{"written to", func(s *Stamp) { s.modified--; s.status-- }, false},
	} {
		s := StampOf(info)
		c.change(&s)
		checktest.Try(file.Seek(0, 0)).Must(t)
		body := readWhole(file, s)
		checktest.Equalf(t, body != nil, c.ok, "%s: %q", c.name, body)
	}
}

func TestCacheIsBounded(t *testing.T) {
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprint(i)] = strings.Repeat("x", 1000)
	}
	root := tree(t, files)
	for _, c := range []struct{ limit, least, most int }{{-1, 0, 0}, {100, 0, 0}, {20 << 10, 5, 20}, {0, 50, 50}} {
		f := serve(t, Options{Root: root, CacheBytes: int64(c.limit)})
		first := request(t, "", "GET", "/0")
		for i := range 50 {
			get(t, f, request(t, "", "GET", fmt.Sprint("/", i)))
			if c.least > 0 {
				mustHit(t, f, first)
			}
		}
		kept := 0
		for i := range 50 {
			if _, ok := hit(t, f, request(t, "", "GET", fmt.Sprint("/", i))); ok {
				kept++
			}
		}
		checktest.Truef(t, kept >= c.least && kept <= c.most, "limit %d: %d files", c.limit, kept)
		if size, ok := f.cache.audit(); !ok || c.limit != 0 && size > max(c.limit, 0) {
			t.Errorf("limit %d: size %d, consistent %v", c.limit, size, ok)
		}
	}
}

func (c *cache) audit() (size int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.recent.Front(); e != nil; e = e.Next() {
		r := e.Value.(*record)
		if c.records[r.path] != r || r.place != e {
			return 0, false
		}
		size += r.cost
	}
	return size, c.recent.Len() == len(c.records) && size == c.size
}

func TestHitAndOpenMayRunAtTheSameTime(t *testing.T) {
	root := tree(t, map[string]string{"a": "1111", "b": "2222", "b.gz": "3333", "c": strings.Repeat("4", 70000)})
	f := serve(t, Options{Root: root, CacheBytes: 2000})
	var group sync.WaitGroup
	done := make(chan struct{})
	check := func(a answered, req *FileRequest) {
		checktest.Truef(t, (a.status == 200 || a.status == 404) &&
			(a.status != 200 || strings.Trim(a.body, a.body[:1]) == ""), "%s: %d %.20q", req.Path, a.status, a.body)
	}
	var requests []*FileRequest
	for _, target := range []string{"/a", "/b", "/c", "/missing"} {
		requests = append(requests, request(t, "", "GET", target), request(t, "", "GET", target, "Accept-Encoding: gzip"))
	}
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			path := filepath.Join(root, "a")
			write(t, path+".new", strings.Repeat(fmt.Sprint(i%10), 4+i%3))
			checktest.Equal(t, os.Rename(path+".new", path), nil)
		}
	})
	now := f.clock()
	var openers sync.WaitGroup
	for range 3 {
		openers.Go(func() {
			for range 60 {
				for _, req := range requests {
					var out FileResponse
					f.Open(req, &out)
					check(read(t, req, &out), req)
				}
			}
		})
	}
	group.Go(func() {
		var out FileResponse
		for i := int64(0); ; i++ {
			select {
			case <-done:
				return
			default:
			}
			for _, req := range requests {
				if f.Hit(now+i%3*freshFor, req, &out) {
					check(read(t, req, &out), req)
				}
			}
		}
	})
	openers.Wait()
	close(done)
	group.Wait()
	_, ok := f.cache.audit()
	checktest.Truef(t, ok, "the cache is inconsistent")
}

func TestHitDoesNotAllocate(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"a.html": strings.Repeat("x", 5000), "a.html.gz": "zip"})})
	for _, fields := range [][]string{
		{"User-Agent: x", "Accept: text/html"},
		{"Accept-Encoding: gzip, deflate, br"},
		{"If-None-Match: \"x\", \"y\""},
		{"If-Modified-Since: " + oldDate},
		{"If-Modified-Since: " + before},
		{"Range: bytes=1-2"},
		{"Range: bytes=1-2,4-5,-7"},
		{"Range: bytes=99999-"},
	} {
		req := request(t, "", "GET", "/a.html", fields...)
		open(t, f, req)
		var out FileResponse
		now := f.clock()
		n := testing.AllocsPerRun(100, func() {
			checktest.Needf(t, f.Hit(now, req, &out), "not in memory")
			out.Close()
		})
		checktest.Equalf(t, n, 0, "%q: allocations", fields)
	}
}

// The event loop may wait for the cache's lock, so a sweep must be short.
func TestSweepVisitsOnlyRecordsWithOpenFiles(t *testing.T) {
	f := serve(t, Options{Root: tree(t, map[string]string{"small": "x", "large": strings.Repeat("x", 100_000)})})
	get(t, f, request(t, "", "GET", "/small"))
	get(t, f, request(t, "", "GET", "/large"))
	f.cache.sweep()
	small, large := f.cache.records["/small"], f.cache.records["/large"]
	checktest.Truef(t, small.used && !large.used, "small %v, large %v", small.used, large.used)
	f.cache.sweep()
	checktest.Truef(t, f.cache.records["/small"] != nil && f.cache.records["/large"] == nil, "%v", f.cache.records)
}
