package cache

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/compress"
	"fapws/runtime/exchange"
)

func confirm(f *Fill, fields string, now int64) (*Page, bool) {
	if fields != "" {
		fields = strings.ReplaceAll(fields, "|", "\r\n") + "\r\n"
	}
	return f.Confirm(&exchange.Head{Status: 304, Fields: []byte(fields)}, now)
}

func TestPageMakesConditionsOfItsValidators(t *testing.T) {
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	for _, tt := range []struct {
		status           int
		etag, date, want string
	}{
		{200, `"a"`, "", `If-None-Match: "a"|`},
		{200, `W/"a"`, date, `If-None-Match: W/"a"|If-Modified-Since: ` + date + "|"},
		{200, "", date, "If-Modified-Since: " + date + "|"},
		{200, "a", "today", ""},
		{200, `"a"b"`, "", ""},
		{200, "", "", ""},
		{404, `"a"`, date, ""},
	} {
		p := &Page{Head: exchange.Head{Status: tt.status}, etag: []byte(tt.etag), date: []byte(tt.date)}
		checktest.Equalf(t, strings.ReplaceAll(string(p.Conditions()), "\r\n", "|"), tt.want, "%+v", tt)
	}
}

func TestPageIsFreshAgainAfterA304(t *testing.T) {
	const s1 = second
	c := compile(t, Rule{Compress: true})
	statuses := map[string]CacheStatus{"hit": Hit, "expired": Expired, "bypass": Bypass}
	for _, tt := range checktest.Cases(t, "testdata/confirmed.txt", 5) {
		stored, fields, next := tt[0], tt[1], statuses[tt[3]]
		s := New(1<<20, 0)
		r := get(t, "/")
		put(t, s, c, r, answer{fields: stored, body: "page"}, 0)
		f := look(t, s, c, r, 10*s1, Expired)
		look(t, s, c, r, 10*s1, Wait)
		p, shared := confirm(f.Fill, fields, 10*s1)
		got := strings.ReplaceAll(strings.TrimSuffix(string(p.Fields), "\r\n"), "\r\n", "|")
		checktest.Truef(t, got == tt[2] && string(p.Body) == "page" && p.Status == 200 && shared == (tt[4] == "yes"),
			"%s, %s: %s %q, shared %v", stored, fields, got, p.Body, shared)
		if f := look(t, s, c, r, 10*s1+1, next); f.Fill != nil {
			f.Fill.end()
		}
		s.PurgeNow(Pattern{Path: "*"})
		if st := s.Stats(); st.Bytes != 0 || st.Entries != 0 || st.Revalidated != 1 {
			t.Errorf("%s, %s: %+v are left", stored, fields, st)
		}
	}
}

func TestCodedFormsAreValidatedWithTheirPage(t *testing.T) {
	c := compile(t, Rule{Compress: true})
	s := New(1<<20, 0)
	r, zipped := get(t, "/"), get(t, "/", "Accept-Encoding: gzip")
	body := strings.Repeat("text ", 1000)
	put(t, s, c, r, answer{fields: `ETag: "a"|Content-Type: text/plain|Cache-Control: max-age=5`, body: body}, 0)
	old := look(t, s, c, r, 1, Hit).Page
	s.SetCoded(old, compress.Gzip, []byte("zipped"), true)
	before := s.Stats()
	for i := range int64(3) {
		now := (i + 1) * 10 * second
		p, _ := confirm(look(t, s, c, r, now, Expired).Fill, fmt.Sprintf("X: %d", i), now)
		form, wanted := look(t, s, c, zipped, now, Hit).Page.Coded(zipped)
		if string(form.Body) != "zipped" || wanted != compress.Identity ||
			!strings.Contains(string(form.Fields), fmt.Sprintf("X: %d\r\n", i)) ||
			strings.Count(string(p.Fields), "Vary: Accept-Encoding") != 1 ||
			strings.Count(string(form.Fields), `ETag: W/"a"`) != 1 {
			t.Errorf("%q %q", form.Body, form.Fields)
		}
		if i == 0 {
			before = s.Stats()
		} else if now := s.Stats(); now.Bytes != before.Bytes {
			t.Errorf("%d bytes became %d", before.Bytes, now.Bytes)
		}
	}
	// A compressed form of the previous page is not kept for the new page.
	s.SetCoded(old, compress.Zstd, []byte("late"), true)
	s.PurgeNow(Pattern{Path: "*"})
	st := s.Stats()
	checktest.Equalf(t, st.Bytes, 0, "%+v are left", st)
}

func TestA304AppliesToThePageOfItsRequest(t *testing.T) {
	c := compile(t, Rule{})
	s := New(1<<20, 0)
	de, en := get(t, "/", "Accept-Language: de", "X: 1"), get(t, "/", "Accept-Language: en", "X: 1")
	for _, r := range []*exchange.Request{de, en} {
		put(t, s, c, r, answer{fields: `ETag: "a"|Vary: Accept-Language|Cache-Control: max-age=5`,
			body: string(r.Parsed.Fields[1].Value.In(r.Head))}, 0)
	}
	confirm(look(t, s, c, de, 10*second, Expired).Fill, "", 10*second)
	checktest.Equal(t, string(look(t, s, c, de, 11*second, Hit).Page.Body), "de")
	f := look(t, s, c, en, 11*second, Expired).Fill
	confirm(f, "Vary: Accept-Language, X", 11*second)
	checktest.Equal(t, string(look(t, s, c, en, 12*second, Hit).Page.Body), "en")
	checktest.Truef(t, f.For(en) && !f.For(de) && !f.For(get(t, "/", "Accept-Language: en", "X: 2")),
		"the page is given to other requests")
	look(t, s, c, get(t, "/", "Accept-Language: en", "X: 2"), 12*second, Miss).Fill.end()
}

func TestPageMayChangeWhileItIsValidated(t *testing.T) {
	const page = `ETag: "a"|Cache-Control: max-age=5`
	c := compile(t, Rule{})
	r := get(t, "/")
	for _, tt := range []struct {
		name string
		does func(*Store)
		next CacheStatus
	}{
		{"nothing", func(*Store) {}, Hit},
		{"a purge", func(s *Store) { s.PurgeNow(Pattern{Path: "/"}) }, Miss},
		{"a purge by tag", func(s *Store) { s.PurgeNow(Pattern{Tag: "x"}) }, Expired},
		{"no room", func(s *Store) { s.remove(s.nodes[string(keyOf(c, r))]) }, Hit},
	} {
		s := New(1<<20, 0)
		put(t, s, c, r, answer{fields: page, body: "page"}, 0)
		f := look(t, s, c, r, 10*second, Expired).Fill
		tt.does(s)
		p, _ := confirm(f, "", 10*second)
		checktest.Equalf(t, string(p.Body), "page", "%s", tt.name)
		next := look(t, s, c, r, 11*second, tt.next)
		if next.Fill != nil {
			next.Fill.end()
		}
		s.PurgeNow(Pattern{Path: "*"})
		st := s.Stats()
		checktest.Truef(t, st.Bytes == 0 && len(s.fills) == 0, "%s: %+v are left", tt.name, st)
	}
}

func keyOf(c *Compiled, r *exchange.Request) []byte { return c.appendKey(nil, r) }

// If the page must be confirmed for each request, a late confirmation does not replace a newer page.
func TestEachRequestIsValidatedWithoutWaiting(t *testing.T) {
	c := compile(t, Rule{Stale: time.Minute})
	s := New(1<<20, 0)
	r := get(t, "/")
	put(t, s, c, r, answer{fields: `ETag: "1"|Cache-Control: no-cache`, body: "one"}, 0)
	first, second := look(t, s, c, r, 1, Expired), look(t, s, c, r, 1, Expired)
	checktest.Truef(t, first.Fill != second.Fill && string(first.Page.Conditions()) == "If-None-Match: \"1\"\r\n",
		"%+v %+v", first, second)
	third := look(t, s, c, r, 1, Expired)
	checktest.Truef(t, feed(second.Fill, answer{fields: `ETag: "2"|Cache-Control: no-cache`, body: "two"}, 2),
		"a new page is not kept")
	p, shared := confirm(first.Fill, "", 3)
	checktest.Truef(t, string(p.Body) == "one" && !shared, "%q, shared %v", p.Body, shared)
	if f := look(t, s, c, r, 4, Expired); string(f.Page.Body) != "two" {
		t.Errorf("an older page is back: %q", f.Page.Body)
	} else {
		f.Fill.end()
	}
	// If the handler fails, the page is kept. A successful response that cannot be stored removes the page.
	third.Fill.refuse(false, 503, 5)
	f := look(t, s, c, r, 6, Expired)
	checktest.Truef(t, !f.Page.Instead(503, true, 6), "a page that says no-cache is sent in place of an error")
	f.Fill.Begin(&exchange.Head{Status: 200, Fields: []byte("Cache-Control: no-store\r\n")}, 7)
	look(t, s, c, r, 8, Miss).Fill.end()
	// HEAD requests and range requests are sent to the handler, because a page with no-cache must be confirmed.
	put(t, s, c, r, answer{fields: `ETag: "1"|Cache-Control: no-cache`, body: "one"}, 9)
	look(t, s, c, ask(t, "HEAD / HTTP/1.1", "Host: a.example"), 10, Bypass)
	look(t, s, c, get(t, "/", "Range: bytes=0-1"), 10, Bypass)
	look(t, s, c, get(t, "/", "Cookie: a"), 10, Bypass)
}

func TestStalePageReplacesAnErrorIfItMay(t *testing.T) {
	for _, tt := range checktest.Cases(t, "testdata/stale.txt", 3) {
		control := tt[0]
		at := checktest.Try(strconv.ParseInt(tt[1], 10, 64)).Must(t) * second
		c := compile(t, Rule{})
		s := New(1<<20, 0)
		r := get(t, "/")
		put(t, s, c, r, answer{fields: `ETag: "a"|Cache-Control: ` + control, body: "page"}, 0)
		f := s.Lookup(c, r, at)
		failed := f.Page.Instead(503, false, at)
		got := fmt.Sprint(failed, f.Page.Instead(502, true, at), f.Page.Instead(404, false, at))
		checktest.Equalf(t, got, tt[2], "%s after %s s", control, tt[1])
		if !failed {
			continue
		}
		f.Fill.Failed(at)
		// Until the next attempt, other requests get the stale page.
		checktest.Equalf(t, look(t, s, c, r, at+1, Stale).Fill, nil, "%s: another request is tried at once", control)
		checktest.Truef(t, s.Lookup(c, r, at+tryEvery).Fill != nil, "%s: nothing is tried again", control)
	}
}

func TestEquivalentListsInFieldsShareAPage(t *testing.T) {
	c := compile(t, Rule{})
	for _, tt := range []struct {
		vary, one, other string
		same             bool
	}{
		{"Foo", "1,2", "1 ,\t2", true},
		{"Foo", "1, 2", "1 2", false},
		{"Foo", "a b", "a  b", false},
		{"Foo", `"a, b"`, `"a,b"`, false},
		{"Foo", "A", "a", false},
		{"Accept-Language", "en, de;q=0.5", "EN,de;q=0.5", true},
		{"Accept-Language", "en, de", "de, en", false},
	} {
		s := New(1<<20, 0)
		put(t, s, c, get(t, "/", tt.vary+": "+tt.one), answer{fields: "Cache-Control: max-age=9|Vary: " + tt.vary}, 0)
		f := s.Lookup(c, get(t, "/", tt.vary+": "+tt.other), 1)
		checktest.Equalf(t, f.CacheStatus == Hit, tt.same, "%s: %q and %q: %v", tt.vary, tt.one, tt.other, f.CacheStatus)
	}
}
