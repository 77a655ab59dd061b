package sites_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// origin is an upstream server for tests. The query of a request contains the header fields of the response, as
// "Name=value". A name "304-Name" is a field for a 304 response only. origin responds with 304 to a request with the
// current ETag or Last-Modified.
type origin struct {
	t        *testing.T
	listener net.Listener

	mu       sync.Mutex
	requests map[string][]*http.Request
	conns    map[net.Conn]struct{}
	body     string
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{t: t, listener: ln, requests: map[string][]*http.Request{}, conns: map[net.Conn]struct{}{},
		body: "page"}
	t.Cleanup(o.close)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.conns[c] = struct{}{}
			o.mu.Unlock()
			go o.serve(c)
		}
	}()
	return o
}

func (o *origin) close() {
	o.listener.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		c.Close()
	}
}

// serve writes responses itself, because package http would correct some of them.
func (o *origin) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		o.mu.Lock()
		o.requests[r.URL.Path] = append(o.requests[r.URL.Path], r)
		body := o.body
		o.mu.Unlock()
		query := r.URL.Query()
		same := query.Get("ETag") != "" && r.Header.Get("If-None-Match") == query.Get("ETag") ||
			query.Get("Last-Modified") != "" && r.Header.Get("If-Modified-Since") == query.Get("Last-Modified")
		answer := query.Get("early")
		if same {
			answer += "HTTP/1.1 304 Not Modified\r\n"
		} else {
			status := query.Get("status")
			if status == "" {
				status = "200"
			}
			answer += "HTTP/1.1 " + status + " As told\r\n"
		}
		for name, values := range query {
			field, of304 := strings.CutPrefix(name, "304-")
			if name == "status" || name == "early" || of304 && !same || !of304 && same && len(query["304-"+name]) > 0 {
				continue
			}
			for _, value := range values {
				answer += field + ": " + value + "\r\n"
			}
		}
		if !same {
			answer += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
		} else {
			answer += "\r\n"
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func (o *origin) saw(path string) []*http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.requests[path]
}

func target(path string, fields ...string) string {
	q := url.Values{}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		q.Add(name, value)
	}
	return path + "?" + q.Encode()
}

const longAgo = "Sun, 06 Nov 1994 08:49:37 GMT"

func serveOrigin(t *testing.T, lines string) (*pages, *origin) {
	t.Helper()
	o := newOrigin(t)
	p := &pages{Server: fapwstest.ServeProxy(t, "http://"+o.listener.Addr().String(), lines)}
	p.Client = p.Server.Dial()
	return p, o
}

func TestCacheReusesOrValidatesResponsesOfAnUpstream(t *testing.T) {
	t.Parallel()
	p, o := serveOrigin(t, "cache = true\n")
	for i, tt := range []struct {
		fields string
		said   string
	}{
		{"Cache-Control: max-age=60", "miss hit"},
		{"ETag: \"a\"", "bypass bypass"},
		{`Cache-Control: no-cache|ETag: "a"`, "miss revalidated"},
		{`Cache-Control: max-age=60, no-cache|ETag: W/"a"`, "miss revalidated"},
		{"Cache-Control: max-age=0, must-revalidate|Last-Modified: " + longAgo, "miss revalidated"},
		{`Cache-Control: max-age=60|Age: 60|ETag: "a"|Last-Modified: ` + longAgo, "miss revalidated"},
		{`Expires: 0|ETag: "a"`, "miss revalidated"},
		{"Cache-Control: no-cache", "bypass bypass"},
		{`Cache-Control: no-cache|ETag: "a"|Set-Cookie: a=b`, "bypass bypass"},
		{`Cache-Control: no-cache|ETag: "a"|304-Set-Cookie: a=b`, "miss revalidated"},
		{"Expires: Thu, 18 Aug 2050 02:01:18 GMT", "miss hit"},
		{"Cache-Control: max-age=60|ETag: \"a\"|Date: " + longAgo, "miss revalidated"},
		{"Cache-Control: max-age=60|ETag: \"a\"|Date: " + longAgo + "|304-Date: Thu, 18 Aug 2050 02:01:18 GMT",
			"miss revalidated"},
		{"CDN-Cache-Control: max-age=60|Cache-Control: no-store", "miss hit"},
		{"status: 503|Cache-Control: max-age=60, must-understand", "bypass bypass"},
	} {
		path := "/" + strconv.Itoa(i)
		p.saysOf(target(path, strings.Split(tt.fields, "|")...), tt.said)
		requests := o.saw(path)
		if want := 1 + strings.Count(tt.said, "revalidated") +
			strings.Count(tt.said, "bypass bypass"); len(requests) != want {
			t.Errorf("%s: %d requests reached the upstream, want %d", tt.fields, len(requests), want)
			continue
		}
		if !strings.Contains(tt.said, "revalidated") {
			continue
		}
		asked := requests[1].Header
		for field, condition := range map[string]string{"ETag: ": "If-None-Match",
			"Last-Modified: ": "If-Modified-Since"} {
			_, value, has := strings.Cut(tt.fields, field)
			value, _, _ = strings.Cut(value, "|")
			if got := asked.Get(condition); has && got != value || !has && got != "" {
				t.Errorf("%s: %s is %q", tt.fields, condition, got)
			}
		}
	}
}

func TestCacheUpdatesThePageByA304(t *testing.T) {
	t.Parallel()
	p, o := serveOrigin(t, "cache = true\n")
	page := target("/page", `ETag: "a"`, "Cache-Control: no-cache", "304-Cache-Control: max-age=600", "X-Old: 1",
		"X-Own: 1", "304-X-Own: 2", "304-X-New: 3", "Content-Type: text/css", "304-Content-Type: text/html",
		"304-Content-Location: /other")
	p.asks("GET", page).Is(t, "page").Field(t, "Fapws-Cache", "miss").Field(t, "X-Own", "1")
	for i, said := range []string{"revalidated", "hit"} {
		a := p.asks("GET", page, "X-Asked: "+strconv.Itoa(i)).Is(t, "page").Field(t, "Fapws-Cache", said).Field(t,
			"Cache-Control", "max-age=600")
		a.Field(t, "X-Old", "1").Field(t, "X-Own", "2").Field(t, "X-New", "3").Field(t, "Content-Type", "text/css").
			Field(t, "Content-Location", "/other")
		if a.Header.Get("Age") == "" || len(a.Header["Via"]) != 1 {
			t.Errorf("%v", a.Header)
		}
	}
	if requests := o.saw("/page"); len(requests) != 2 || requests[1].Header.Get("X-Asked") != "0" {
		t.Errorf("%d requests reached the upstream: %v", len(requests), requests)
	}
	// The conditions of the client's request (If-None-Match and others) apply to the copy of the client, and are not
	// forwarded to the upstream.
	own := target("/own", `ETag: "a"`, "Cache-Control: no-cache", "Last-Modified: "+longAgo)
	p.asks("GET", own, `If-None-Match: "b"`).Want(t, 200, "page").Field(t, "Fapws-Cache", "miss")
	p.asks("GET", own, `If-None-Match: "a"`).Want(t, 304).Field(t, "Fapws-Cache", "revalidated").Field(t, "ETag", `"a"`)
	p.asks("GET", own, `If-None-Match: "b"`).Want(t, 200, "page").Field(t, "Fapws-Cache", "revalidated")
	p.asks("GET", own, "If-Modified-Since: "+longAgo).Want(t, 304).Field(t, "Fapws-Cache", "revalidated")
	p.asks("GET", own, "Range: bytes=0-1").Want(t, 200, "page").Field(t, "Fapws-Cache", "bypass")
	p.asks("HEAD", own).Want(t, 200).Field(t, "Fapws-Cache", "bypass")
	o.mu.Lock()
	o.body = "another"
	o.mu.Unlock()
	p.asks("GET", target("/page2", `ETag: "a"`, "Cache-Control: max-age=0")).Is(t, "another").Field(t, "Fapws-Cache",
		"miss")
	if got := cacheReportOf(p.Server).Entries; got != 3 {
		t.Errorf("%d pages are kept, want 3", got)
	}
}

// The key of a cached page contains only the codings that the cache knows. The server removes all other codings from
// Accept-Encoding, because other clients with the same key could not read them.
func TestUpstreamDoesNotGetCodingsThatAreNotInTheKey(t *testing.T) {
	t.Parallel()
	p, o := serveOrigin(t, "cache = true")
	for i, c := range []struct{ sent, seen string }{
		{"br, gzip;q=0.5", "br, gzip;q=0.5"},
		{"gzip;q=0, br", "br"},
		{"x-gzip", ""},
		{"gzip;q=2, br, dcb;q=1, zstd", "br,zstd"},
	} {
		path := fmt.Sprintf("/%d", i)
		p.asks("GET", target(path, "Cache-Control: max-age=60", "Vary: Accept-Encoding"), "Accept-Encoding: "+c.sent)
		if seen := o.saw(path)[0].Header.Get("Accept-Encoding"); seen != c.seen {
			t.Errorf("%q became %q", c.sent, seen)
		}
	}
}

func TestPageMadeWithoutAFieldOfItsKeyIsNotKept(t *testing.T) {
	t.Parallel()
	p, _ := serveOrigin(t, "cache = true")
	page := target("/page", "Cache-Control: max-age=60", "Vary: Accept-Language")
	p.saysOf(page, "bypass bypass", "Accept-Language: de", "Connection: keep-alive, accept-language")
	p.saysOf(page, "miss hit", "Accept-Language: de", "Connection: Keep-Alive, TE", "TE: trailers")
	p.saysOf(page, "hit", "Accept-Language: de", "Connection: x, accept-language")
}

func TestCacheHeuristicKeepsPagesWithLastModified(t *testing.T) {
	t.Parallel()
	p, _ := serveOrigin(t, "cache = { heuristic = \"1h\" }\n")
	p.saysOf(target("/a", "Last-Modified: "+longAgo), "miss hit")
	p.saysOf(target("/g"), "bypass bypass")
}

// Header fields of the page may forbid that the cache sends the page when it is stale.
func TestStalePageIsSentWhileTheUpstreamIsDown(t *testing.T) {
	t.Parallel()
	p, o := serveOrigin(t, "cache = true\n")
	wanted := map[string]int{
		"max-age=1": 200, "max-age=1, public": 200, "s-maxage=1, stale-if-error=3600": 200,
		"max-age=1, must-revalidate": 502, "max-age=1, proxy-revalidate": 502, "s-maxage=1": 502,
		"max-age=1, no-cache": 502,
	}
	page := func(control string) string { return target("/page", `ETag: "a"`, "Cache-Control: "+control) }
	for control := range wanted {
		p.asks("GET", page(control)).Want(t, 200)
	}
	o.close()
	for control, status := range wanted {
		var a *fapwstest.Answer
		fapwstest.Eventually(t, control+" is stale", func() bool {
			a = p.asks("GET", page(control))
			return a.Header.Get("Fapws-Cache") != "hit"
		})
		if a.Want(t, status); status == 200 {
			a.Is(t, "page").Field(t, "Fapws-Cache", "stale")
		}
	}
}

func TestInterimResponsesAreNotPartOfTheCachedPage(t *testing.T) {
	t.Parallel()
	p, _ := serveOrigin(t, "cache = true\n")
	page := target("/page", "Cache-Control: max-age=60",
		"early: HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
	w := p.Server.Dial()
	w.Send(fapwstest.Get(page, "Sec-Fetch-Mode: navigate"))
	in := bufio.NewReader(w.Conn)
	for i, want := range []int{102, 103, 200} {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != want || (r.Header.Get("Link") != "") != (want == 103) {
			t.Errorf("response %d: %s %v", i, r.Status, r.Header)
		}
		if want == 200 {
			io.Copy(io.Discard, r.Body)
		}
	}
	p.asks("GET", page).Is(t, "page").Field(t, "Fapws-Cache", "hit").Field(t, "Link", "")
	old := p.Server.Dial()
	old.Send("GET ", target("/old", "early: HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"), " HTTP/1.0\r\n\r\n")
	old.Answer().Want(t, 200).Field(t, "Link", "")
}

// Requests with different values of a field in Vary get different pages.
func TestSimultaneousRequestsAreEachValidated(t *testing.T) {
	t.Parallel()
	p, o := serveOrigin(t, "cache = true\n")
	page := target("/page", `ETag: "a"`, "Cache-Control: no-cache", "Vary: Accept-Language")
	p.asks("GET", page, "Accept-Language: de").Want(t, 200)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			w := p.Server.Dial()
			for range 20 {
				w.Send(fapwstest.Get(page, "Accept-Language: de"))
				if a := w.Answer(); a.StatusCode != 200 || a.Text != "page" ||
					a.Header.Get("Fapws-Cache") != "revalidated" {
					t.Errorf("%s %v %q", a.Status, a.Header, a.Text)
				}
			}
		})
	}
	wg.Wait()
	if n := len(o.saw("/page")); n != 321 {
		t.Errorf("%d requests reached the upstream, want 321", n)
	}
}

// The page has Cache-Control: no-cache.
func TestValidatedPageIsNeverOlderThanItsRequest(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/versions.py", `
from fapws.cache import purge

version = 0

def page(environ, start_response):
    n = version
    fields = [("Cache-Control", "no-cache"), ("ETag", f'"{n}"')]
    if environ.get("HTTP_IF_NONE_MATCH") == f'"{n}"':
        start_response("304 Not Modified", fields)
        return []
    start_response("200 OK", fields)
    return [str(n).encode()]

def newer(environ, start_response):
    global version
    version += 1
    return str(version)

def drop(environ, start_response):
    purge("/page")
    return "purged"

PATHS = [("/page", page), ("/newer", newer), ("/drop", drop)]
`)
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: script, Flags: []string{"--cache"}}.Serve(t, m)
		var newest atomic.Int64
		var clients sync.WaitGroup
		for client := range 8 {
			clients.Go(func() {
				for i := range 60 {
					switch {
					case client == 0:
						n, _ := strconv.ParseInt(s.Get("/newer", 200).Text, 10, 64)
						newest.Store(n)
					case client == 1 && i%3 == 0:
						s.Get("/drop", 200)
					case client == 2:
						w := s.Dial()
						w.Send(fapwstest.Get("/page"))
						w.Close()
						continue
					}
					before := newest.Load()
					got := s.Get("/page", 200)
					if n, err := strconv.ParseInt(got.Text, 10, 64); err != nil || n < before ||
						got.Header.Get("ETag") != strconv.Quote(got.Text) {
						t.Errorf("%q with %v, when it was version %d", got.Text, got.Header, before)
					}
				}
			})
		}
		clients.Wait()
	})
}
