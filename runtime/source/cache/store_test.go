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
	checktest.Try(parsed.Parse(head, &http1.Limits{RequestLine: 8 << 10, FieldLine: 8 << 10, Head: 32 << 10,
		Fields: 100})).Must(t)
	return &exchange.Request{Head: head, Parsed: parsed, Path: http1.DecodePath(nil, parsed.Path.In(head)),
		Peer: &exchange.Peer{}}
}

func get(t testing.TB, target string, fields ...string) *exchange.Request {
	t.Helper()
	return ask(t, append([]string{"GET " + target + " HTTP/1.1", "Host: a.example"}, fields...)...)
}

func compile(t testing.TB, r Rule) *Compiled {
	t.Helper()
	return checktest.Try(Compile(r)).Must(t)
}

type answer struct {
	status       int
	fields, body string
}

func put(t testing.TB, s *Store, c *Compiled, r *exchange.Request, a answer, now int64) bool {
	t.Helper()
	f := s.Lookup(c, r, now)
	checktest.Needf(t, f.Fill != nil, "%s: %v, it should be fetched", r.Parsed.Target.In(r.Head), f.CacheStatus)
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

func look(t testing.TB, s *Store, c *Compiled, r *exchange.Request, now int64, want CacheStatus) Found {
	t.Helper()
	f := s.Lookup(c, r, now)
	checktest.Equalf(t, f.CacheStatus, want, "%s at %v", r.Parsed.Target.In(r.Head), time.Duration(now))
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
			st := s.Stats()
			checktest.Needf(t, st.Bytes <= limit, "%s: %d bytes after %d pages", name, st.Bytes, i)
		}
		grown := heap() - before
		st := s.Stats()
		checktest.Truef(t, st.Entries >= 1000 && st.Bytes >= limit*9/10,
			"%s: %d pages in %d bytes: it should be full", name, st.Entries, st.Bytes)
		checktest.Truef(t, grown <= st.Bytes+st.Bytes/20,
			"%s: %d bytes are counted, and the heap has grown by %d", name, st.Bytes, grown)
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
		f := s.Lookup(c, get(t, fmt.Sprintf("/%d%%41", i/2), "Accept-Language: "+fmt.Sprint(i%3)), int64(i))
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
	st := s.Stats()
	checktest.Truef(t, st.Bytes == 0 && st.Entries == 0 && len(s.paths) == 0 && s.recent.Len() == 0 && len(s.fills) == 0,
		"left: %+v, %d paths, %d fills", st, len(s.paths), len(s.fills))
}

func TestLookDoesNotAllocate(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute, Vary: []string{"Accept-Encoding"}})
	s := New(1<<20, 0)
	r := get(t, "/page?a=b", "Accept-Encoding: gzip, br", "Accept-Language: de")
	put(t, s, c, r, answer{fields: "Vary: Accept-Language", body: "page"}, 1)
	checktest.Equalf(t, testing.AllocsPerRun(100, func() {
		checktest.Needf(t, s.Lookup(c, r, 2).CacheStatus == Hit, "no hit")
	}), 0, "allocations")
}

func TestRequestsWaitForAFetchOfTheSamePage(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	s := New(1<<20, 0)
	r, logged := get(t, "/"), get(t, "/", "Cookie: a=b")
	first := look(t, s, c, r, 1, Miss)
	checktest.Equalf(t, look(t, s, c, r, 1, Wait).Fill, first.Fill, "waits for another")
	look(t, s, c, logged, 1, Wait)
	checktest.Needf(t, feed(first.Fill, answer{body: "x"}, 1), "not kept")
	checktest.Truef(t, first.Fill.For(r) && !first.Fill.For(logged), "who may have the page?")
	look(t, s, c, logged, 1, Bypass)

	// Requests do not wait for an uncacheable page, but after each interval tryEvery, one response is examined again.
	r = get(t, "/private")
	checktest.Truef(t, !put(t, s, c, r, answer{fields: "Cache-Control: private"}, 1), "kept")
	look(t, s, c, r, 2, Bypass)
	f := look(t, s, c, r, 1+tryEvery, Miss)
	look(t, s, c, r, 1+tryEvery, Bypass)
	feed(f.Fill, answer{body: "now"}, 1+tryEvery)
	look(t, s, c, r, 1+tryEvery, Hit)

	// A private page does not affect public pages.
	logged = get(t, "/shop", "Cookie: a=b")
	checktest.Truef(t, !put(t, s, c, logged, answer{body: "hello you"}, 1), "kept")
	look(t, s, c, logged, 2, Bypass)
	put(t, s, c, get(t, "/shop"), answer{body: "hello"}, 2)
	look(t, s, c, get(t, "/shop"), 3, Hit)
	look(t, s, c, logged, 3, Bypass)

	// A page with the directive public is also sent to a client with a password.
	logged = get(t, "/logo", "Authorization: Basic x")
	checktest.Truef(t, put(t, s, c, logged, answer{fields: "Cache-Control: public, max-age=9", body: "logo"}, 1),
		"not kept")
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
	checktest.Equal(t, string(look(t, s, c, de, 1, Hit).Page.Body), "hallo")
	checktest.Equal(t, string(look(t, s, c, en, 1, Hit).Page.Body), "hello")
	look(t, s, c, get(t, "/", "Accept-Language: de", "X-Device: phone"), 1, Miss).Fill.end()
	checktest.Truef(t, !put(t, s, c, get(t, "/star"), answer{fields: "Vary: *"}, 1), "Vary: * was kept")
	// Both requests wait for the same page until its Vary field is known.
	first := look(t, s, c, get(t, "/new", "Accept-Language: de"), 1, Miss).Fill
	look(t, s, c, get(t, "/new", "Accept-Language: en"), 1, Wait)
	feed(first, answer{fields: "Vary: Accept-Language", body: "neu"}, 1)
	checktest.Truef(t, !first.For(en) && first.For(de), "who may have the page?")
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
	look(t, s, c, ask(t, "HEAD /a?x=1 HTTP/1.1", "Host: A.Example"), 1, Hit)
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
	checktest.Truef(t, !put(t, s, c, get(t, "/a"), answer{body: strings.Repeat("x", 101)}, 1), "kept")
	f := look(t, s, c, get(t, "/b"), 1, Miss).Fill
	f.Begin(&exchange.Head{Status: 200, Length: -1}, 1)
	for i := range 10 {
		_, ok := f.Write([]byte("0123456789"))
		checktest.Needf(t, ok, "piece %d is too much", i)
	}
	_, ok := f.Write([]byte("x"))
	checktest.Truef(t, !ok, "too long, and taken")
	f = look(t, s, c, get(t, "/c"), 1, Miss).Fill
	f.Begin(&exchange.Head{Status: 200, Length: 9}, 1)
	f.Write([]byte("short"))
	checktest.Equalf(t, f.Finish(), nil, "shorter than was promised, and kept")
	checktest.Equalf(t, s.Stats().Entries, 0, "pages")
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
		n, want := s.PurgeNow(append(tt.also, tt.p)...), 7-len(strings.Fields(tt.left))
		checktest.Equalf(t, n, want, "%+v: went", tt.p)
		for name, r := range all {
			f := s.Lookup(c, r, 1)
			left := strings.Contains(" "+tt.left+" ", " "+name+" ")
			checktest.Equalf(t, f.CacheStatus == Hit, left, "%+v: %s is %v", tt.p, name, f.CacheStatus)
		}
	}
}

func TestResponseFetchedBeforeAPurgeIsNotKept(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	for _, p := range []Pattern{{Path: "/x"}, {Path: "/*"}, {Tag: "t"}, {Path: "/x?a"}} {
		s := New(1<<20, 0)
		f := look(t, s, c, get(t, "/x?a"), 1, Miss).Fill
		s.PurgeNow(p)
		checktest.Truef(t, feed(f, answer{body: "old"}, 1), "who waits gets nothing")
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
		checktest.Equalf(t, f.Page.Unchanged(r), want, "%s", field)
		slim := string(appendSlim(nil, f.Page.Fields))
		checktest.Truef(t, !strings.Contains(slim, "Content-Type") && strings.Contains(slim, "Content-Location") &&
			strings.Contains(slim, "Cache-Control"), "fields of 304: %q", slim)
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
	form, wanted := p.Coded(plain)
	checktest.Truef(t, form == p && wanted == compress.Identity, "without Accept-Encoding: %v", wanted)
	form, wanted = p.Coded(zipped)
	checktest.Truef(t, form == p && wanted == compress.Gzip, "gzip: %v", wanted)
	form, wanted = p.Coded(zipped)
	checktest.Truef(t, form == p && wanted == compress.Identity, "gzip is made twice: %v", wanted)
	small, ok := compress.Compress(compress.Gzip, p.Body)
	s.SetCoded(p, compress.Gzip, small, ok)
	form, wanted = p.Coded(zipped)
	checktest.Needf(t, wanted == compress.Identity && string(form.Body) == string(small), "gzip was made: %v", wanted)
	got, want := string(form.Fields),
		"Content-Type: text/html\r\nETag: W/\"v1\"\r\nVary: Accept-Encoding\r\nContent-Encoding: gzip\r\n"
	checktest.Equalf(t, got, want, "fields")
	got, want = string(p.Fields), "Content-Type: text/html\r\nETag: \"v1\"\r\nVary: Accept-Encoding\r\n"
	checktest.Equalf(t, got, want, "fields")
	r := get(t, "/", `If-None-Match: W/"v1"`)
	checktest.Truef(t, p.Unchanged(r) && form.Unchanged(r), "the tag of one form is not that of the other")
	grown := s.Stats().Bytes - before
	checktest.Truef(t, grown >= int64(len(small)), "%d bytes are counted", grown)
	s.SetCoded(p, compress.Zstd, nil, false)
	form, wanted = p.Coded(get(t, "/", "Accept-Encoding: zstd"))
	checktest.Truef(t, form == p && wanted == compress.Identity, "zstd is no use: %v", wanted)
	s.PurgeNow(Pattern{Path: "*"})
	s.SetCoded(p, compress.Zstd, small, true)
	checktest.Equalf(t, s.Stats().Bytes, 0, "bytes are left")
	for _, a := range []answer{
		{fields: "Content-Type: image/png", body: body},
		{fields: "Content-Type: text/html", body: "short"},
		{fields: "Content-Type: text/html|Content-Encoding: br", body: body},
		{fields: "Content-Type: text/html|Cache-Control: no-transform", body: body},
		{fields: "Content-Type: text/html|Content-Digest: x", body: body},
	} {
		put(t, s, c, plain, a, 1)
		_, wanted := look(t, s, c, plain, 1, Hit).Page.Coded(zipped)
		checktest.Truef(t, wanted == compress.Identity, "%s: %v", a.fields, wanted)
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
		checktest.Equalf(t, s.PurgeNow(Pattern{Exact: true, Path: "/search"}), 50_000, "pages went")
	})
	checktest.Truef(t, purged <= made, "the pages were made in %v and went in %v", made, purged)
	stats := s.Stats()
	checktest.Truef(t, stats.Bytes == 0 && len(s.paths) == 0, "%+v, %d paths", stats, len(s.paths))
}
