package sites_test

import (
	"strconv"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
		a := p.asks("GET", page, fields...).Want(t, 206).Field(t, "Fapws-Cache", "hit").Field(t, "Content-Type",
			"text/x-own").Field(t, "Etag", `"v1"`)
		a.Field(t, "Content-Range", "bytes "+where+"/"+strconv.Itoa(n)).Field(t, "Content-Length",
			strconv.Itoa(len(body)))
		if a.Text != body || a.Status != "206 Partial Content" || a.Header.Get("Age") == "" {
			t.Errorf("%s: %s %q, not %q", fields, a.Status, a.Text, body)
		}
	}
	all := func(fields ...string) {
		t.Helper()
		p.asks("GET", page, fields...).Is(t, whole.Text).Field(t, "Fapws-Cache", "hit").Field(t, "Content-Range", "")
	}
	part(whole.Text[2:5], "2-4", "Range: bytes=2-4")
	part(whole.Text, "0-"+strconv.Itoa(n-1), "Range: bytes=0-")
	part(whole.Text[n-2:], strconv.Itoa(n-2)+"-"+strconv.Itoa(n-1), "Range: bytes=-2")
	part(whole.Text[1:], "1-"+strconv.Itoa(n-1), "range: BYTES=1-99999999999999999999")
	part(whole.Text[:1], "0-0", "Range: bytes=0-0", `If-Range: "v1"`)
	part(whole.Text[:1], "0-0", "Range: bytes=0-0", "If-Range: "+date)
	part(whole.Text[:1], "0-0", "Range: bytes=0-0", `If-None-Match: "v2"`)
	part(whole.Text[:1], "0-0", "Range: bytes=0-0", "Accept-Encoding: gzip")
	for _, fields := range [][]string{
		{"Range: bytes=0-0", `If-Range: "v2"`},
		{"Range: bytes=0-0", `If-Range: W/"v1"`},
		{"Range: bytes=0-0", `If-Match: "v2"`},
		{"Range: bytes=0-0,2-2"}, // several ranges get the whole page
		{"Range: bytes=2-1"}, {"Range: bytes="}, {"Range: bytes"}, {"Range: lines=0-1"}, {"Range: bytes=x-"},
		{"Range: bytes=-"},
	} {
		all(fields...)
	}
	for _, r := range []string{"bytes=" + strconv.Itoa(n) + "-", "bytes=-0", "bytes=99999999999999999999-"} {
		a := p.asks("GET", page, "Range: "+r)
		a.Field(t, "Content-Range", "bytes */"+strconv.Itoa(n)).Field(t, "Etag", "")
		if a.StatusCode != 416 {
			t.Errorf("%s: %s", r, a.Status)
		}
	}
	p.asks("GET", page, "Range: bytes=0-0", `If-None-Match: "v1"`).Want(t, 304).Field(t, "Content-Range", "")
	p.asks("HEAD", page, "Range: bytes=0-0").Want(t, 200).Field(t, "Content-Length", strconv.Itoa(n))
	if got := p.called("/ttl"); got != 2 {
		t.Errorf("the handler was called %d times", got)
	}

	// The server sends no ranges if the application forbids them, if the status is not 200, or if the tag is weak.
	for _, fields := range [][]string{{"Accept-Ranges: none"}, {"status: 404"}} {
		other := target("/anyone", fields...)
		first := p.asks("GET", other)
		if a := p.asks("GET", other, "Range: bytes=0-0"); a.Text != first.Text || a.StatusCode != first.StatusCode ||
			a.Header.Get("Fapws-Cache") != "hit" {
			t.Errorf("%s: %s %q, %v", other, a.Status, a.Text, a.Header)
		}
	}
	weak := target("/ttl", `Etag: W/"v1"`)
	body := p.asks("GET", weak).Want(t, 200).Text
	p.asks("GET", weak, "Range: bytes=0-0", `If-Range: W/"v1"`).Is(t, body)
	p.asks("GET", weak, "Range: bytes=0-0").Want(t, 206)

	large := p.asks("GET", "/large").Want(t, 200).Text
	for end := time.Now().Add(fapwstest.Patience); p.asks("GET", "/large", "Accept-Encoding: gzip").
		Header.Get("Content-Encoding") == ""; {
		if time.Now().After(end) {
			t.Fatal("it is not compressed")
		}
	}
	a := p.asks("GET", "/large", "Accept-Encoding: gzip", "Range: bytes=100-199").Want(t, 206).Field(t,
		"Content-Encoding", "")
	if a.Text != large[100:200] {
		t.Errorf("%q", a.Text)
	}
}
