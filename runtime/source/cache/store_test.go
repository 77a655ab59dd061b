package cache

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/compress"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func ask(t testing.TB, lines ...string) *exchange.Request {
	t.Helper()
	head := []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")
	parsed := new(http1.Request)
	if _, err := parsed.Parse(head, &http1.Limits{RequestLine: 8 << 10, FieldLine: 8 << 10, Head: 32 << 10,
		Fields: 100}); err != nil {
		t.Fatal(err)
	}
	return &exchange.Request{Head: head, Parsed: parsed, Path: http1.DecodePath(nil, parsed.Path.In(head)),
		Peer: &exchange.Peer{}}
}

func get(t testing.TB, target string, fields ...string) *exchange.Request {
	t.Helper()
	return ask(t, append([]string{"GET " + target + " HTTP/1.1", "Host: a.example"}, fields...)...)
}

func compile(t testing.TB, r Rule) *Compiled {
	t.Helper()
	c, err := Compile(r)
	checktest.Must(t, err)
	return c
}

type answer struct {
	status int
	fields string
	body   string
}

func put(t testing.TB, s *Store, c *Compiled, r *exchange.Request, a answer, now int64) bool {
	t.Helper()
	f := s.Look(c, r, now)
	if f.Fill == nil {
		t.Fatalf("%s: %v, it should be fetched", r.Parsed.Target.In(r.Head), f.Verdict)
	}
	return feed(f.Fill, a, now)
}

func feed(f *Fill, a answer, now int64) bool {
	fields := ""
	for _, line := range strings.Split(a.fields, "|") {
		if line != "" {
			fields += line + "\r\n"
		}
	}
	if a.status == 0 {
		a.status = 200
	}
	if !f.Begin(&exchange.Head{Status: a.status, Fields: []byte(fields), Length: int64(len(a.body))}, now) {
		return false
	}
	if _, ok := f.Write([]byte(a.body)); !ok {
		return false
	}
	return f.Finish() != nil
}

func look(t testing.TB, s *Store, c *Compiled, r *exchange.Request, now int64, want Verdict) Found {
	t.Helper()
	f := s.Look(c, r, now)
	if f.Verdict != want {
		t.Errorf("%s at %v: %v, want %v", r.Parsed.Target.In(r.Head), time.Duration(now), f.Verdict, want)
	}
	return f
}

// The store has room for three pages, so after requests for A, B, C, A and D, the least recently used page B is
// evicted.
func TestLeastRecentlyUsedPageIsEvicted(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	one := New(1<<20, 0)
	put(t, one, c, get(t, "/A"), answer{body: "page"}, 1)
	s := New(3*one.Stats().Bytes, 1000)
	for _, name := range []string{"/A", "/B", "/C"} {
		put(t, s, c, get(t, name), answer{body: "page"}, 1)
	}
	look(t, s, c, get(t, "/A"), 1, Hit)
	put(t, s, c, get(t, "/D"), answer{body: "page"}, 1)
	for _, name := range []string{"/A", "/C", "/D"} {
		look(t, s, c, get(t, name), 1, Hit)
	}
	look(t, s, c, get(t, "/B"), 1, Miss).Fill.end()
}

func TestMemoryOfPagesIsBounded(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	const limit = 4 << 20
	for name, page := range map[string]func(i int) (lang string, a answer){
		"pages": func(i int) (string, answer) {
			return "de", answer{fields: "|Content-Type: text/html|ETag: \"abc\"", body: strings.Repeat("x", i%2000)}
		},
		"pages that vary": func(i int) (string, answer) {
			return fmt.Sprint("l", i%7), answer{fields: "Vary: Accept-Language|Content-Type: text/html",
				body: strings.Repeat("x", i%2000)}
		},
		"empty pages": func(int) (string, answer) { return "de", answer{} },
	} {
		before := heap()
		s := New(limit, 0)
		for i := range 10000 {
			lang, a := page(i)
			put(t, s, c, get(t, fmt.Sprintf("/page/%d?with=a&query=b", i), "Accept-Language: "+lang), a, 1)
			if st := s.Stats(); st.Bytes > limit {
				t.Fatalf("%s: %d bytes after %d pages", name, st.Bytes, i)
			}
		}
		grown := heap() - before
		st := s.Stats()
		if st.Entries < 1000 || st.Bytes < limit*9/10 {
			t.Errorf("%s: %d pages in %d bytes: it should be full", name, st.Entries, st.Bytes)
		}
		if grown > st.Bytes+st.Bytes/20 {
			t.Errorf("%s: %d bytes are counted, and the heap has grown by %d", name, st.Bytes, grown)
		}
		runtime.KeepAlive(s)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestEvictionOfAllPagesResetsEveryCounter(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute, Stale: time.Minute})
	s := New(1<<20, 0)
	for i := range 50 {
		r := get(t, fmt.Sprintf("/%d%%41", i/2), "Accept-Language: "+fmt.Sprint(i%3))
		f := s.Look(c, r, int64(i))
		if f.Fill == nil {
			continue
		}
		switch i % 5 {
		case 0:
			f.Fill.refuse(false, 500, 1)
		case 1:
			f.Fill.end()
		case 2:
			feed(f.Fill, answer{fields: "Set-Cookie: a=b", body: "x"}, 1)
		case 3:
			feed(f.Fill, answer{fields: "Vary: Accept-Language", body: "x"}, 1)
		case 4:
			feed(f.Fill, answer{body: "x"}, 1)
		}
	}
	s.PurgeNow(Pattern{Path: "*"})
	if st := s.Stats(); st.Bytes != 0 || st.Entries != 0 || len(s.paths) != 0 || s.recent.Len() != 0 ||
		len(s.fills) != 0 {
		t.Errorf("left: %+v, %d paths, %d fills", st, len(s.paths), len(s.fills))
	}
}

func TestLookDoesNotAllocate(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute, Vary: []string{"Accept-Encoding"}})
	s := New(1<<20, 0)
	r := get(t, "/page?a=b", "Accept-Encoding: gzip, br", "Accept-Language: de")
	put(t, s, c, r, answer{fields: "Vary: Accept-Language", body: "page"}, 1)
	if n := testing.AllocsPerRun(100, func() {
		if s.Look(c, r, 2).Verdict != Hit {
			t.Fatal("no hit")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRequestsWaitForAFetchOfTheSamePage(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	s := New(1<<20, 0)
	r, logged := get(t, "/"), get(t, "/", "Cookie: a=b")
	first := look(t, s, c, r, 1, Miss)
	if w := look(t, s, c, r, 1, Wait); w.Fill != first.Fill {
		t.Error("waits for another")
	}
	look(t, s, c, logged, 1, Wait)
	if !feed(first.Fill, answer{body: "x"}, 1) {
		t.Fatal("not kept")
	}
	if !first.Fill.For(r) || first.Fill.For(logged) {
		t.Error("who may have the page?")
	}
	look(t, s, c, logged, 1, Bypass)

	// Requests do not wait for an uncacheable page, but after each interval tryEvery, one response is examined again.
	r = get(t, "/private")
	if put(t, s, c, r, answer{fields: "Cache-Control: private"}, 1) {
		t.Error("kept")
	}
	look(t, s, c, r, 2, Bypass)
	f := look(t, s, c, r, 1+tryEvery, Miss)
	look(t, s, c, r, 1+tryEvery, Bypass)
	feed(f.Fill, answer{body: "now"}, 1+tryEvery)
	look(t, s, c, r, 1+tryEvery, Hit)

	// A private page does not affect public pages.
	logged = get(t, "/shop", "Cookie: a=b")
	if put(t, s, c, logged, answer{body: "hello you"}, 1) {
		t.Error("kept")
	}
	look(t, s, c, logged, 2, Bypass)
	put(t, s, c, get(t, "/shop"), answer{body: "hello"}, 2)
	look(t, s, c, get(t, "/shop"), 3, Hit)
	look(t, s, c, logged, 3, Bypass)

	// A page with the directive public is also sent to a client with a password.
	logged = get(t, "/logo", "Authorization: Basic x")
	if !put(t, s, c, logged, answer{fields: "Cache-Control: public, max-age=9", body: "logo"}, 1) {
		t.Error("not kept")
	}
	look(t, s, c, logged, 2, Hit)
	look(t, s, c, get(t, "/logo"), 2, Hit)
}

func TestVarySelectsThePageOfARequest(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute, Vary: []string{"X-Device"}})
	s := New(1<<20, 0)
	de, en := get(t, "/", "Accept-Language: de"), get(t, "/", "Accept-Language: en")
	put(t, s, c, de, answer{fields: "Vary: Accept-Language", body: "hallo"}, 1)
	look(t, s, c, en, 1, Miss).Fill.end()
	put(t, s, c, en, answer{fields: "vary: accept-language", body: "hello"}, 1)
	if f := look(t, s, c, de, 1, Hit); string(f.Page.Body) != "hallo" {
		t.Errorf("got %q", f.Page.Body)
	}
	if f := look(t, s, c, en, 1, Hit); string(f.Page.Body) != "hello" {
		t.Errorf("got %q", f.Page.Body)
	}
	look(t, s, c, get(t, "/", "Accept-Language: de", "X-Device: phone"), 1, Miss).Fill.end()
	if put(t, s, c, get(t, "/star"), answer{fields: "Vary: *"}, 1) {
		t.Error("Vary: * was kept")
	}
	// Both requests wait for the same page until its Vary field is known.
	first := look(t, s, c, get(t, "/new", "Accept-Language: de"), 1, Miss).Fill
	look(t, s, c, get(t, "/new", "Accept-Language: en"), 1, Wait)
	feed(first, answer{fields: "Vary: Accept-Language", body: "neu"}, 1)
	if first.For(en) || !first.For(de) {
		t.Error("who may have the page?")
	}
	// Accept-Encoding fields are compared by their meaning.
	put(t, s, c, get(t, "/z", "Accept-Encoding: gzip, br"), answer{fields: "Vary: Accept-Encoding", body: "z"}, 1)
	look(t, s, c, get(t, "/z", "Accept-Encoding: BR;q=0.5,gzip;q=1.0"), 1, Hit)
	look(t, s, c, get(t, "/z", "Accept-Encoding: gzip, br;q=0"), 1, Miss).Fill.end()
}

func TestKeyHasPathQueryAndHost(t *testing.T) {
	s := New(1<<20, 0)
	c, short := compile(t, Rule{TTL: time.Minute}), compile(t, Rule{TTL: time.Minute, IgnoreQuery: true})
	put(t, s, c, get(t, "/a?x=1"), answer{body: "x"}, 1)
	look(t, s, c, get(t, "/a?x=1"), 1, Hit)
	look(t, s, c, get(t, "/a?x=2"), 1, Miss).Fill.end()
	look(t, s, c, get(t, "/a"), 1, Miss).Fill.end()
	put(t, s, short, get(t, "/b?x=1"), answer{body: "x"}, 1)
	look(t, s, short, get(t, "/b?utm=2"), 1, Hit)
	head := ask(t, "HEAD /a?x=1 HTTP/1.1", "Host: A.Example")
	look(t, s, c, head, 1, Hit)
	look(t, s, c, ask(t, "HEAD /new HTTP/1.1", "Host: a.example"), 1, Bypass)
	look(t, s, c, get(t, "/new", "Range: bytes=0-1"), 1, Bypass)
	look(t, s, c, ask(t, "GET /a?x=1 HTTP/1.1", "Host: b.example"), 1, Miss).Fill.end()
	other := get(t, "/a?x=1")
	other.Peer.HTTPS = true
	look(t, s, c, other, 1, Miss).Fill.end()
}

func TestPageThatIsTooLongIsNotKept(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	s := New(1<<20, 100)
	if put(t, s, c, get(t, "/a"), answer{body: strings.Repeat("x", 101)}, 1) {
		t.Error("kept")
	}
	f := look(t, s, c, get(t, "/b"), 1, Miss).Fill
	f.Begin(&exchange.Head{Status: 200, Length: -1}, 1)
	for i := range 10 {
		if _, ok := f.Write([]byte("0123456789")); !ok {
			t.Fatalf("piece %d is too much", i)
		}
	}
	if _, ok := f.Write([]byte("x")); ok {
		t.Error("too long, and taken")
	}
	f = look(t, s, c, get(t, "/c"), 1, Miss).Fill
	f.Begin(&exchange.Head{Status: 200, Length: 9}, 1)
	f.Write([]byte("short"))
	if f.Finish() != nil {
		t.Error("shorter than was promised, and kept")
	}
	if st := s.Stats(); st.Entries != 0 {
		t.Errorf("%d pages", st.Entries)
	}
}

func TestPurgeRemovesPagesThatMatch(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	for _, tt := range []struct {
		p    Pattern
		left string
		also []Pattern
	}{
		{Pattern{Path: "/blog/1"}, "/ /blog /blog/2 /käse", nil},
		{Pattern{Path: "/blog/1?a=b"}, "/ /blog /blog/1 /blog/2 b:/blog/1 /käse", nil},
		{Pattern{Path: "/blog/1", Host: "b.example"}, "/ /blog /blog/1 /blog/1?a=b /blog/2 /käse", nil},
		{Pattern{Path: "/blog/*"}, "/ /blog /käse", nil},
		{Pattern{Path: "/blog*", Host: "A.EXAMPLE"}, "/ b:/blog/1 /käse", nil},
		{Pattern{Path: "/blog/*", Exact: true}, "/ /blog /blog/1 /blog/1?a=b /blog/2 b:/blog/1 /käse", nil},
		{Pattern{Path: "*"}, "", nil},
		{Pattern{Tag: "two"}, "/ /blog /blog/1 /blog/1?a=b b:/blog/1 /käse", nil},
		{Pattern{Path: "/k%C3%A4se"}, "/ /blog /blog/1 /blog/1?a=b /blog/2 b:/blog/1", nil},
		{Pattern{Path: "/käse"}, "/ /blog /blog/1 /blog/1?a=b /blog/2 b:/blog/1", nil},
		{Pattern{Tag: "TWO"}, "/ /blog/1 /blog/1?a=b", []Pattern{{Path: "/k*"}, {Path: "/blog/*", Host: "b.example"},
			{Path: "/blog"}, {Tag: "three"}}},
	} {
		s := New(1<<20, 0)
		all := map[string]*exchange.Request{"b:/blog/1": ask(t, "GET /blog/1 HTTP/1.1", "Host: b.example"),
			"/käse": get(t, "/k%c3%a4se")}
		for _, target := range []string{"/", "/blog", "/blog/1", "/blog/1?a=b", "/blog/2"} {
			all[target] = get(t, target)
		}
		for name, r := range all {
			a := answer{body: "x"}
			if name == "/blog/2" {
				a.fields = "Fapws-Cache-Tags: one, two"
			}
			put(t, s, c, r, a, 1)
		}
		if n, want := s.PurgeNow(append(tt.also, tt.p)...), 7-len(strings.Fields(tt.left)); n != want {
			t.Errorf("%+v: %d went, want %d", tt.p, n, want)
		}
		for name, r := range all {
			f := s.Look(c, r, 1)
			if left := strings.Contains(" "+tt.left+" ", " "+name+" "); (f.Verdict == Hit) != left {
				t.Errorf("%+v: %s is %v", tt.p, name, f.Verdict)
			}
		}
	}
}

func TestResponseFetchedBeforeAPurgeIsNotKept(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	for _, p := range []Pattern{{Path: "/x"}, {Path: "/*"}, {Tag: "t"}, {Path: "/x?a"}} {
		s := New(1<<20, 0)
		f := look(t, s, c, get(t, "/x?a"), 1, Miss).Fill
		s.PurgeNow(p)
		if !feed(f, answer{body: "old"}, 1) {
			t.Error("who waits gets nothing")
		}
		look(t, s, c, get(t, "/x?a"), 1, Miss).Fill.end()
	}
}

func TestUnchangedPageIsRecognizedByConditions(t *testing.T) {
	const made = "Sun, 06 Nov 1994 08:49:37 GMT"
	c := compile(t, Rule{TTL: time.Minute})
	s := New(1<<20, 0)
	put(t, s, c, get(t, "/"), answer{fields: `ETag: W/"v1"|Last-Modified: ` + made +
		`|Content-Type: text/html|Cache-Control: max-age=60|Content-Location: /x`}, 1)
	for field, want := range map[string]bool{
		`If-None-Match: "v1"`:                                 true,
		`If-None-Match: "v0", W/"v1"`:                         true,
		`If-None-Match: "v"`:                                  false,
		`If-Modified-Since: ` + made:                          true,
		`If-Modified-Since: Sunday, 06-Nov-94 08:49:36 GMT`:   false,
		"If-None-Match: \"v0\"\r\nIf-Modified-Since: " + made: false,
	} {
		r := get(t, "/", field)
		f := look(t, s, c, r, 2, Hit)
		if got := f.Page.Unchanged(r); got != want {
			t.Errorf("%s: %v", field, got)
		}
		if slim := string(appendSlim(nil, f.Page.Fields)); strings.Contains(slim, "Content-Type") ||
			!strings.Contains(slim, "Content-Location") || !strings.Contains(slim, "Cache-Control") {
			t.Errorf("fields of 304: %q", slim)
		}
	}
}

func TestPageHasCodedForms(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute, Compress: true})
	s := New(1<<20, 0)
	body := strings.Repeat("0123456789", 1000)
	plain, zipped := get(t, "/"), get(t, "/", "Accept-Encoding: gzip")
	put(t, s, c, plain, answer{fields: `Content-Type: text/html|ETag: "v1"`, body: body}, 1)
	before := s.Stats().Bytes
	p := look(t, s, c, plain, 1, Hit).Page
	if form, wanted := p.Coded(plain); form != p || wanted != compress.Identity {
		t.Errorf("without Accept-Encoding: %v", wanted)
	}
	if form, wanted := p.Coded(zipped); form != p || wanted != compress.Gzip {
		t.Errorf("gzip: %v", wanted)
	}
	if form, wanted := p.Coded(zipped); form != p || wanted != compress.Identity {
		t.Errorf("gzip is made twice: %v", wanted)
	}
	small, ok := compress.Compress(compress.Gzip, p.Body)
	s.SetCoded(p, compress.Gzip, small, ok)
	form, wanted := p.Coded(zipped)
	if wanted != compress.Identity || string(form.Body) != string(small) {
		t.Fatalf("gzip was made: %v", wanted)
	}
	if got, want := string(form.Fields),
		"Content-Type: text/html\r\nETag: W/\"v1\"\r\nVary: "+
			"Accept-Encoding\r\nContent-Encoding: gzip\r\n"; got != want {
		t.Errorf("fields %q, want %q", got, want)
	}
	if got, want := string(p.Fields), "Content-Type: text/html\r\nETag: \"v1\"\r\nVary: "+
		"Accept-Encoding\r\n"; got != want {
		t.Errorf("fields %q, want %q", got, want)
	}
	if r := get(t, "/", `If-None-Match: W/"v1"`); !p.Unchanged(r) || !form.Unchanged(r) {
		t.Error("the tag of one form is not that of the other")
	}
	if grown := s.Stats().Bytes - before; grown < int64(len(small)) {
		t.Errorf("%d bytes are counted", grown)
	}
	s.SetCoded(p, compress.Zstd, nil, false)
	if form, wanted := p.Coded(get(t, "/", "Accept-Encoding: zstd")); form != p || wanted != compress.Identity {
		t.Errorf("zstd is no use: %v", wanted)
	}
	s.PurgeNow(Pattern{Path: "*"})
	s.SetCoded(p, compress.Zstd, small, true)
	if n := s.Stats().Bytes; n != 0 {
		t.Errorf("%d bytes are left", n)
	}
	for _, a := range []answer{
		{fields: "Content-Type: image/png", body: body},
		{fields: "Content-Type: text/html", body: "short"},
		{fields: "Content-Type: text/html|Content-Encoding: br", body: body},
		{fields: "Content-Type: text/html|Cache-Control: no-transform", body: body},
		{fields: "Content-Type: text/html|Content-Digest: x", body: body},
	} {
		put(t, s, c, plain, a, 1)
		if _, wanted := look(t, s, c, plain, 1, Hit).Page.Coded(zipped); wanted != compress.Identity {
			t.Errorf("%s: %v", a.fields, wanted)
		}
		s.PurgeNow(Pattern{Path: "*"})
	}
}

// One path can have many pages with different queries, and submitting one form can invalidate all of them.
func TestPurgeOfManyQueriesIsNoSlowerThanMakingThem(t *testing.T) {
	s, c := New(256<<20, 0), compile(t, Rule{TTL: time.Hour})
	made := checktest.ProcessorTime(t, func() {
		for i := range 50_000 {
			put(t, s, c, get(t, fmt.Sprintf("/search?q=%d", i)), answer{}, 1)
		}
	})
	purged := checktest.ProcessorTime(t, func() {
		if gone := s.PurgeNow(Pattern{Exact: true, Path: "/search"}); gone != 50_000 {
			t.Errorf("%d pages went", gone)
		}
	})
	if purged > made {
		t.Errorf("the pages were made in %v and went in %v", made, purged)
	}
	if stats := s.Stats(); stats.Bytes != 0 || len(s.paths) != 0 {
		t.Errorf("%+v, %d paths", stats, len(s.paths))
	}
}
