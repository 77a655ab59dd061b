package acceptance

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCachedRanges: of a page that is kept a client gets the part it asks for (RFC 9110 §14.2), if what
// it has of it is of that very page (§13.1.5), without a call of the handler.
func TestCachedRanges(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		p := servePages(t, m)
		const date = "Fri, 20 Nov 2026 10:00:00 GMT"
		query := func(fields ...string) string {
			q := url.Values{}
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				q.Add(name, value)
			}
			return "/ttl?" + q.Encode()
		}
		page := query(`Etag: "v1"`, "Last-Modified: "+date, "Content-Type: text/x-own")
		p.asks("GET", page, "Range: bytes=0-1").want(t, 200).field(t, "Fapws-Cache", "bypass") // still the response of the handler
		whole := p.asks("GET", page).want(t, 200).field(t, "Fapws-Cache", "miss")
		n := len(whole.body)
		part := func(body, where string, fields ...string) {
			t.Helper()
			a := p.asks("GET", page, fields...).want(t, 206).field(t, "Fapws-Cache", "hit").field(t, "Content-Type", "text/x-own").field(t, "Etag", `"v1"`)
			a.field(t, "Content-Range", "bytes "+where+"/"+strconv.Itoa(n)).field(t, "Content-Length", strconv.Itoa(len(body)))
			if a.body != body || a.Status != "206 Partial Content" || a.Header.Get("Age") == "" {
				t.Errorf("%s: %s %q, not %q", fields, a.Status, a.body, body)
			}
		}
		all := func(fields ...string) {
			t.Helper()
			p.asks("GET", page, fields...).is(t, whole.body).field(t, "Fapws-Cache", "hit").field(t, "Content-Range", "")
		}
		part(whole.body[2:5], "2-4", "Range: bytes=2-4")
		part(whole.body, "0-"+strconv.Itoa(n-1), "Range: bytes=0-")
		part(whole.body[n-2:], strconv.Itoa(n-2)+"-"+strconv.Itoa(n-1), "Range: bytes=-2")
		part(whole.body[1:], "1-"+strconv.Itoa(n-1), "range: BYTES=1-99999999999999999999")
		part(whole.body[:1], "0-0", "Range: bytes=0-0", `If-Range: "v1"`)
		part(whole.body[:1], "0-0", "Range: bytes=0-0", "If-Range: "+date)
		part(whole.body[:1], "0-0", "Range: bytes=0-0", `If-None-Match: "v2"`)
		part(whole.body[:1], "0-0", "Range: bytes=0-0", "Accept-Encoding: gzip")
		for _, fields := range [][]string{
			{"Range: bytes=0-0", `If-Range: "v2"`},
			{"Range: bytes=0-0", `If-Range: W/"v1"`},
			{"Range: bytes=0-0", "If-Range: Fri, 20 Nov 2026 10:00:01 GMT"},
			{"Range: bytes=0-0", "If-Range:"},
			{"Range: bytes=0-0", `If-Range: "v1"`, `If-Range: "v1"`},
			{"Range: bytes=0-0", "Range: bytes=1-1"},
			{"Range: bytes=0-0", `If-Match: "v2"`},
			{"Range: bytes=0-0", "If-Unmodified-Since: " + date},
			{"Range: bytes=0-0,2-2"}, // several are answered with all
			{"Range: bytes=2-1"}, {"Range: bytes="}, {"Range: bytes"}, {"Range: lines=0-1"}, {"Range: bytes=x-"}, {"Range: bytes=-"},
		} {
			all(fields...)
		}
		for _, r := range []string{"bytes=" + strconv.Itoa(n) + "-", "bytes=-0", "bytes=99999999999999999999-"} {
			a := p.asks("GET", page, "Range: "+r)
			a.field(t, "Content-Range", "bytes */"+strconv.Itoa(n)).field(t, "Etag", "")
			if a.StatusCode != 416 {
				t.Errorf("%s: %s", r, a.Status)
			}
		}
		p.asks("GET", page, "Range: bytes=0-0", `If-None-Match: "v1"`).want(t, 304).field(t, "Content-Range", "")
		p.asks("HEAD", page, "Range: bytes=0-0").want(t, 200).field(t, "Content-Length", strconv.Itoa(n))
		if got := p.called("/ttl"); got != 2 {
			t.Errorf("the handler was called %d times", got)
		}

		// An application that wants no parts of it, other statuses, and weak tags.
		for _, fields := range [][]string{{"Accept-Ranges: none"}, {"status: 404"}} {
			target := strings.Replace(query(fields...), "/ttl", "/anyone", 1)
			first := p.asks("GET", target)
			if a := p.asks("GET", target, "Range: bytes=0-0"); a.body != first.body || a.StatusCode != first.StatusCode || a.Header.Get("Fapws-Cache") != "hit" {
				t.Errorf("%s: %s %q, %v", target, a.Status, a.body, a.Header)
			}
		}
		weak := query(`Etag: W/"v1"`)
		body := p.asks("GET", weak).want(t, 200).body
		p.asks("GET", weak, "Range: bytes=0-0", `If-Range: W/"v1"`).is(t, body)
		p.asks("GET", weak, "Range: bytes=0-0").want(t, 206)

		// Parts are of the page as the handler made it, whatever forms of it there are.
		large := p.asks("GET", "/large").want(t, 200).body
		for end := time.Now().Add(patience); p.asks("GET", "/large", "Accept-Encoding: gzip").Header.Get("Content-Encoding") == ""; {
			if time.Now().After(end) {
				t.Fatal("it is not compressed")
			}
		}
		a := p.asks("GET", "/large", "Accept-Encoding: gzip", "Range: bytes=100-199").want(t, 206).field(t, "Content-Encoding", "")
		if a.body != large[100:200] {
			t.Errorf("%q", a.body)
		}
		// Several at once on a connection.
		for range 10 {
			p.wire.send(get("/large", "Range: bytes=0-3") + get("/large", "Range: bytes=5000-") + get("/large"))
		}
		for range 10 {
			if a := p.wire.answer(); a.body != "0123" || a.StatusCode != 206 {
				t.Errorf("%s %q", a.Status, a.body)
			}
			if a := p.wire.answer(); a.StatusCode != 416 {
				t.Errorf("%s", a.Status)
			}
			p.wire.answer().is(t, large)
		}
	})
}
