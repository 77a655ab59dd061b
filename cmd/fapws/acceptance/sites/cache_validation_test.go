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
	ln := fapwstest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	o := &origin{t: t, listener: ln, requests: map[string][]*http.Request{}, conns: map[net.Conn]struct{}{}, body: "page"}
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

func serveOrigin(t *testing.T, lines string, flags ...string) (*pages, *origin) {
	t.Helper()
	o := newOrigin(t)
	p := &pages{Server: fapwstest.ServeProxy(t, "http://"+o.listener.Addr().String(), lines, flags...)}
	p.Client = p.Server.Dial()
	return p, o
}

func TestCacheReusesOrValidatesResponsesOfAnUpstream(t *testing.T) {
	t.Parallel()
	p, o := serveOrigin(t, "cache = { heuristic = \"1h\" }\n")
	p.saysOf(target("/heuristic", "Last-Modified: "+longAgo), "miss hit")
	p.saysOf(target("/nothing"), "bypass bypass")
	for i, tt := range []struct {
		fields, said string
	}{
		{"Cache-Control: max-age=60", "miss hit"},
		{`Cache-Control: no-cache|ETag: "a"`, "miss revalidated"},
		{"Cache-Control: max-age=0, must-revalidate|Last-Modified: " + longAgo, "miss revalidated"},
		{"Cache-Control: no-cache", "bypass bypass"},
		{`Cache-Control: no-cache|ETag: "a"|304-Set-Cookie: a=b`, "miss revalidated"},
		{"Cache-Control: max-age=60|ETag: \"a\"|Date: " + longAgo + "|304-Date: Thu, 18 Aug 2050 02:01:18 GMT",
			"miss revalidated"},
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
		for field, condition := range map[string]string{"ETag: ": "If-None-Match", "Last-Modified: ": "If-Modified-Since"} {
			_, value, _ := strings.Cut(tt.fields, field)
			value, _, _ = strings.Cut(value, "|")
			fapwstest.Equalf(t, asked.Get(condition), value, "%s: %s", tt.fields, condition)
		}
	}
}

func TestCacheUpdatesThePageByA304(t *testing.T) {
	t.Parallel()
	p, o := serveOrigin(t, "cache = true\n")
	page := target("/page", `ETag: "a"`, "Cache-Control: no-cache", "304-Cache-Control: max-age=600", "X-Old: 1",
		"X-Own: 1", "304-X-Own: 2", "304-X-New: 3", "Content-Type: text/css", "304-Content-Type: text/html",
		"304-Content-Location: /other")
	p.asks("GET", page).Is(t, "page").Field(t, "Fapws-Cache", "miss", "X-Own", "1")
	for i, said := range []string{"revalidated", "hit"} {
		a := p.asks("GET", page, "X-Asked: "+strconv.Itoa(i)).Is(t, "page")
		a.Field(t, "Fapws-Cache", said, "Cache-Control", "max-age=600", "X-Old", "1", "X-Own", "2", "X-New", "3",
			"Content-Type", "text/css", "Content-Location", "/other")
		fapwstest.Truef(t, a.Header.Get("Age") != "" && len(a.Header["Via"]) == 1, "%v", a.Header)
	}
	if requests := o.saw("/page"); len(requests) != 2 || requests[1].Header.Get("X-Asked") != "0" {
		t.Errorf("%d requests reached the upstream: %v", len(requests), requests)
	}
	// The conditions of the client's request (If-None-Match and others) apply to the copy of the client, and are not
	// forwarded to the upstream.
	own := target("/own", `ETag: "a"`, "Cache-Control: no-cache", "Last-Modified: "+longAgo)
	p.asks("GET", own, `If-None-Match: "b"`).Want(t, 200, "page").Field(t, "Fapws-Cache", "miss")
	p.asks("GET", own, `If-None-Match: "a"`).Want(t, 304).Field(t, "Fapws-Cache", "revalidated", "ETag", `"a"`)
	p.asks("GET", own, `If-None-Match: "b"`).Want(t, 200, "page").Field(t, "Fapws-Cache", "revalidated")
	p.asks("GET", own, "If-Modified-Since: "+longAgo).Want(t, 304).Field(t, "Fapws-Cache", "revalidated")
	p.asks("GET", own, "Range: bytes=0-1").Want(t, 200, "page").Field(t, "Fapws-Cache", "bypass")
	p.asks("HEAD", own).Want(t, 200).Field(t, "Fapws-Cache", "bypass")
	o.mu.Lock()
	o.body = "another"
	o.mu.Unlock()
	p.asks("GET", target("/page2", `ETag: "a"`, "Cache-Control: max-age=0")).Is(t, "another").Field(t, "Fapws-Cache",
		"miss")
	fapwstest.Equalf(t, cacheReportOf(p.Server).Entries, 3, "pages that are kept")
}

// The key of a cached page contains only the codings that the cache knows. The server removes all other codings from
// Accept-Encoding, because other clients with the same key could not read them. A page that was made without a field of
// its key is not kept.
func TestPageDependsOnlyOnItsKey(t *testing.T) {
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
		fapwstest.Equalf(t, o.saw(path)[0].Header.Get("Accept-Encoding"), c.seen, "%q became", c.sent)
	}
	page := target("/page", "Cache-Control: max-age=60", "Vary: Accept-Language")
	p.saysOf(page, "bypass bypass", "Accept-Language: de", "Connection: keep-alive, accept-language")
	p.saysOf(page, "miss hit", "Accept-Language: de", "Connection: Keep-Alive, TE", "TE: trailers")
	p.saysOf(page, "hit", "Accept-Language: de", "Connection: x, accept-language")
}

// Header fields of the page may forbid that the cache sends the page when it is stale.
func TestStalePageIsSentWhileTheUpstreamIsDown(t *testing.T) {
	t.Parallel()
	p, o := serveOrigin(t, "cache = true\n")
	wanted := map[string]int{
		"max-age=1": 200, "max-age=1, public": 200, "s-maxage=1, stale-if-error=3600": 200, "max-age=1, must-revalidate": 502,
		"max-age=1, proxy-revalidate": 502, "s-maxage=1": 502, "max-age=1, no-cache": 502,
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
	p, _ := serveOrigin(t, "cache = true\n", "--http1-early-hints")
	page := target("/page", "Cache-Control: max-age=60",
		"early: HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
	in := bufio.NewReader(p.Server.DialSend(fapwstest.Get(page, "Sec-Fetch-Mode: navigate")).Conn)
	for i, want := range []int{102, 103, 200} {
		r := fapwstest.Try(http.ReadResponse(in, nil)).Must(t)
		fapwstest.Truef(t, r.StatusCode == want && (r.Header.Get("Link") != "") == (want == 103), "response %d: %s %v", i,
			r.Status, r.Header)
		if want == 200 {
			io.Copy(io.Discard, r.Body)
		}
	}
	p.asks("GET", page).Is(t, "page").Field(t, "Fapws-Cache", "hit", "Link", "")
	old := p.Server.DialSend("GET ", target("/old", "early: HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"),
		" HTTP/1.0\r\n\r\n")
	old.Answer().Want(t, 200).Field(t, "Link", "")
}

// With If-Range, the server sends a range (RFC 9110 §14.2) only if the client's partial copy has the same ETag or date
// as the cached page (§13.1.5).
func TestCachedPageSendsRangesWithoutTheHandler(t *testing.T) {
	t.Parallel()
	p := servePages(t, fapwstest.Threads)
	const date = "Fri, 20 Nov 2026 10:00:00 GMT"
	page := target("/ttl", `Etag: "v1"`, "Last-Modified: "+date, "Content-Type: text/x-own")
	p.asks("GET", page, "Range: bytes=0-1").Want(t, 200).Field(t, "Fapws-Cache", "bypass")
	whole := p.asks("GET", page).Want(t, 200).Field(t, "Fapws-Cache", "miss")
	n := len(whole.Text)
	part := func(body, where string, fields ...string) {
		t.Helper()
		a := p.asks("GET", page, fields...).Want(t, 206).Field(t, "Fapws-Cache", "hit", "Content-Type",
			"text/x-own", "Etag", `"v1"`)
		a.Field(t, "Content-Range", "bytes "+where+"/"+strconv.Itoa(n), "Content-Length", strconv.Itoa(len(body)))
		fapwstest.Truef(t, a.Text == body && a.Status == "206 Partial Content" && a.Header.Get("Age") != "",
			"%s: %s %q, not %q", fields, a.Status, a.Text, body)
	}
	all := func(fields ...string) {
		t.Helper()
		p.asks("GET", page, fields...).Is(t, whole.Text).Field(t, "Fapws-Cache", "hit", "Content-Range", "")
	}
	part(whole.Text[2:5], "2-4", "Range: bytes=2-4")
	part(whole.Text[n-2:], strconv.Itoa(n-2)+"-"+strconv.Itoa(n-1), "Range: bytes=-2")
	part(whole.Text[:1], "0-0", "Range: bytes=0-0", `If-Range: "v1"`)
	part(whole.Text[:1], "0-0", "Range: bytes=0-0", "If-Range: "+date)
	part(whole.Text[:1], "0-0", "Range: bytes=0-0", `If-None-Match: "v2"`)
	part(whole.Text[:1], "0-0", "Range: bytes=0-0", "Accept-Encoding: gzip")
	for _, fields := range [][]string{
		{"Range: bytes=0-0", `If-Range: "v2"`},
		{"Range: bytes=0-0", `If-Range: W/"v1"`},
		{"Range: bytes=0-0", `If-Match: "v2"`},
		{"Range: bytes=0-0,2-2"}, // several ranges get the whole page
		{"Range: bytes=2-1"},
	} {
		all(fields...)
	}
	p.asks("GET", page, "Range: bytes=-0").Want(t, 416).Field(t, "Content-Range", "bytes */"+strconv.Itoa(n), "Etag", "")
	p.asks("GET", page, "Range: bytes=0-0", `If-None-Match: "v1"`).Want(t, 304).Field(t, "Content-Range", "")
	p.asks("HEAD", page, "Range: bytes=0-0").Want(t, 200).Field(t, "Content-Length", strconv.Itoa(n))
	fapwstest.Equalf(t, p.called("/ttl"), 2, "calls of the handler")

	// The server sends no ranges if the application forbids them, if the status is not 200, or if the tag is weak.
	for _, fields := range [][]string{{"Accept-Ranges: none"}, {"status: 404"}} {
		other := target("/anyone", fields...)
		first := p.asks("GET", other)
		a := p.asks("GET", other, "Range: bytes=0-0")
		fapwstest.Truef(t, a.Text == first.Text && a.StatusCode == first.StatusCode && a.Header.Get("Fapws-Cache") == "hit",
			"%s: %s %q, %v", other, a.Status, a.Text, a.Header)
	}
	weak := target("/ttl", `Etag: W/"v1"`)
	body := p.asks("GET", weak).Want(t, 200).Text
	p.asks("GET", weak, "Range: bytes=0-0", `If-Range: W/"v1"`).Is(t, body)
	p.asks("GET", weak, "Range: bytes=0-0").Want(t, 206)

	large := p.asks("GET", "/large").Want(t, 200).Text
	fapwstest.Eventually(t, "it is compressed", func() bool {
		return p.asks("GET", "/large", "Accept-Encoding: gzip").Header.Get("Content-Encoding") != ""
	})
	a := p.asks("GET", "/large", "Accept-Encoding: gzip", "Range: bytes=100-199").Want(t, 206).Field(t,
		"Content-Encoding", "")
	fapwstest.Equal(t, a.Text, large[100:200])
}
