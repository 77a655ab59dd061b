package http1

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

const (
	testTime = 784111777 // the example in RFC 9110 §5.6.7, in seconds since 1970
	testDate = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
)

func TestHeadOfAResponseHasItsFieldsAndFraming(t *testing.T) {
	const common = "Server: fapws\r\n" + testDate
	for _, c := range []struct {
		name string
		r    ResponseHead
		want string
		body Framing
		keep bool
	}{
		{"hello", ResponseHead{Status: 200, Length: 5, Type: "text/html; charset=utf-8", Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + common + "Content-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\n\r\n",
			Sized, true},
		{"fields", ResponseHead{Status: 200, Reason: []byte("OK"), Fields: []byte("A: b\r\nC: d\r\n"), Version: HTTP11,
			KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + common + "A: b\r\nC: d\r\nContent-Length: 0\r\n\r\n", Sized, true},
		{"own reason", ResponseHead{Status: 200, Reason: []byte("Fine"), Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 200 Fine\r\n" + common + "Content-Length: 0\r\n\r\n", Sized, true},
		{"registered reason", ResponseHead{Status: 404, Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 404 Not Found\r\n" + common + "Content-Length: 0\r\n\r\n", Sized, true},
		{"unknown status, 9112 4: the space stays", ResponseHead{Status: 799, Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 799 \r\n" + common + "Content-Length: 0\r\n\r\n", Sized, true},
		{"own Date", ResponseHead{Status: 200, HasDate: true, Fields: []byte("Date: x\r\n"), Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\nServer: fapws\r\nDate: x\r\nContent-Length: 0\r\n\r\n", Sized, true},
		{"own Server", ResponseHead{Status: 200, HasServer: true, Fields: []byte("Server: x\r\n"), Version: HTTP11,
			KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + testDate + "Server: x\r\nContent-Length: 0\r\n\r\n", Sized, true},
		{"own Server and Date", ResponseHead{Status: 201, HasServer: true, HasDate: true, Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", Sized, true},
		{"close", ResponseHead{Status: 200, Length: 1, Version: HTTP11},
			"HTTP/1.1 200 OK\r\n" + common + "Content-Length: 1\r\nConnection: close\r\n\r\n", Sized, false},
		{"keep-alive on 1.0", ResponseHead{Status: 200, Length: 1, KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + common + "Content-Length: 1\r\nConnection: keep-alive\r\n\r\n", Sized, true},
		{"close on 1.0", ResponseHead{Status: 200, Length: 1},
			"HTTP/1.1 200 OK\r\n" + common + "Content-Length: 1\r\nConnection: close\r\n\r\n", Sized, false},
		{"unknown length", ResponseHead{Status: 200, Length: -1, Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + common + "Transfer-Encoding: chunked\r\n\r\n", Chunked, true},
		{"unknown length, close", ResponseHead{Status: 200, Length: -1, Version: HTTP11},
			"HTTP/1.1 200 OK\r\n" + common + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n", Chunked, false},
		{"unknown length on 1.0, 9112 6.1", ResponseHead{Status: 200, Length: -1, KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + common + "Connection: close\r\n\r\n", UntilClose, false},
		{"HEAD", ResponseHead{Status: 200, Length: 5, Type: "a/b", Head: true, Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + common + "Content-Type: a/b\r\nContent-Length: 5\r\n\r\n", NoBody, true},
		{"HEAD, unknown length", ResponseHead{Status: 200, Length: -1, Head: true, Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + common + "Transfer-Encoding: chunked\r\n\r\n", NoBody, true},
		{"HEAD, unknown length on 1.0", ResponseHead{Status: 200, Length: -1, Head: true, KeepAlive: true},
			"HTTP/1.1 200 OK\r\n" + common + "Connection: close\r\n\r\n", NoBody, false},
		{"101", ResponseHead{Status: 101, Length: -1, Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 101 Switching Protocols\r\n" + common + "\r\n", NoBody, true},
		{"204, 9110 8.6", ResponseHead{Status: 204, Length: 5, Type: "a/b", Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 204 No Content\r\n" + common + "\r\n", NoBody, true},
		{"205, 9110 15.3.6", ResponseHead{Status: 205, Length: -1, Type: "a/b", Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 205 Reset Content\r\n" + common + "Content-Length: 0\r\n\r\n", NoBody, true},
		{"304, 9112 6.1", ResponseHead{Status: 304, Length: -1, Type: "a/b", Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 304 Not Modified\r\n" + common + "\r\n", NoBody, true},
		{"304 on 1.0", ResponseHead{Status: 304, Length: -1, KeepAlive: true},
			"HTTP/1.1 304 Not Modified\r\n" + common + "Connection: keep-alive\r\n\r\n", NoBody, true},
		{"largest length", ResponseHead{Status: 206, Length: 1<<63 - 1, Version: HTTP11, KeepAlive: true},
			"HTTP/1.1 206 Partial Content\r\n" + common + "Content-Length: 9223372036854775807\r\n\r\n", Sized, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tm := NewTemplate("fapws", testTime)
			r := c.r
			checktest.Equal(t, string(tm.AppendHead([]byte("before|"), &r)), "before|"+c.want)
			checktest.Truef(t, r.Body == c.body && r.KeepAlive == c.keep,
				"body %v, keep-alive %v, want %v, %v", r.Body, r.KeepAlive, c.body, c.keep)
		})
	}
}

func TestTemplateSetsServerAndDate(t *testing.T) {
	tm := NewTemplate("", testTime)
	head := func() string {
		return string(tm.AppendHead(nil, &ResponseHead{Status: 200, Version: HTTP11, KeepAlive: true}))
	}
	got, want := head(), "HTTP/1.1 200 OK\r\n"+testDate+"Content-Length: 0\r\n\r\n"
	checktest.Equalf(t, got, want, "without a server name")
	tm.SetTime(0)
	got, want = head(), "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
	checktest.Equalf(t, got, want, "after SetTime")
}

func TestResponsesDoNotAllocate(t *testing.T) {
	tm := NewTemplate("fapws", testTime)
	dst := make([]byte, 0, 4096)
	now := int64(testTime)
	checktest.Equalf(t, testing.AllocsPerRun(100, func() {
		now++
		tm.SetTime(now)
		for _, r := range []ResponseHead{{Status: 200, Length: 7}, {Status: 404, Length: -1, Version: HTTP11},
			{Status: 799, Length: 1 << 60}} {
			dst = tm.AppendHead(dst[:0], &r)
		}
		dst = AppendChunkHeader(dst, 100)
	}), 0, "allocations")
}

func TestDatesOfAllFormatsAreParsed(t *testing.T) {
	const want = 784111777 // the example in RFC 9110 §5.6.7, in seconds since 1970
	for _, text := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "sun, 06 NOV 1994 08:49:37 gMT", "Sunday, 06-Nov-94 08:49:37 GMT",
		"SUNDAY, 06-nov-94 08:49:37 gmt",
		"Sun Nov  6 08:49:37 1994", "Sun Nov 06 08:49:37 1994",
	} {
		got, ok := ParseDate([]byte(text))
		checktest.Truef(t, ok && got == want, "%q: %d %v", text, got, ok)
	}
	for _, text := range []string{
		"", "0", "-1", "Sun, 06 Nov 1994", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
		"Sun, 06  Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08.49.37 GMT",
		"Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sunday, 06-Nov-94 08:49:37 CET",
		"Someday, 06-Nov-94 08:49:37 GMT", "06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 31 Feb 1994 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 1994 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
	} {
		got, ok := ParseDate([]byte(text))
		checktest.Truef(t, !ok, "%q: %d", text, got)
	}
	for unix := int64(0); unix < 1<<33; unix += 123_456_789 {
		text, at := AppendDate(nil, unix), time.Unix(unix, 0).UTC()
		if got, ok := ParseDate(text); !ok || got != unix || string(text) != at.Format(http.TimeFormat) {
			t.Errorf("%s: %d %v, want %d", text, got, ok, unix)
		}
		got, ok := ParseDate([]byte(at.Format(time.ANSIC)))
		checktest.Truef(t, ok && got == unix, "%s as of asctime: %d %v", text, got, ok)
	}
}

func TestBrowserIsRecognizedByItsAcceptField(t *testing.T) {
	for fields, want := range map[string]bool{
		"Accept: text/html,*/*;q=0.8": true, "accept: TEXT/HTML": true,
		"Accept: a/b\r\nAccept: c/d, text/html;level=1": true,
		"Accept: */*": false, "Accepts: text/html": false, "X: text/html": false, "Accept: a/text/html": false,
		"Accept: text/html;q=0, */*": false, "Accept: text/html; level=1; Q=0.000": false, "Accept: text/html;q=0.001": true,
	} {
		var r Request
		checktest.Try(r.Parse([]byte("GET / HTTP/1.0\r\n"+fields+"\r\n\r\n"), &DefaultLimits)).Must(t)
		checktest.Equalf(t, r.HTML, want, "%s", fields)
	}
	for head, want := range map[string]bool{
		"GET /%zz HTTP/1.1\r\nAccept: a/b, text/html;q=0.9\r\n\r\n": true, "GET /aaaaaaaaaaaaaaaaaaaaaa": true,
		"GET /%zz HTTP/1.1\r\nAccept: text/html;q=0\r\nX: y\r\n\r\n": false, "GET /aaaaaaaaaaaaaaaa HTTP/1.1\r\n": false,
		"GET /": false,
	} {
		checktest.Equalf(t, FromBrowser([]byte(head), 16), want, "%q", head)
	}
}

// If the text only repeats the status, the page has a sentence about the status instead.
func TestErrorPageHasASentenceAndALinkHome(t *testing.T) {
	for status := 400; status < 600; status++ {
		page := ErrorPage{Status: status, Text: StatusText(status), Home: "/a\"b"}
		text := string(page.HTML())
		_, rest, _ := strings.Cut(text, "<p>")
		sentence, _, _ := strings.Cut(rest, "</p>")
		checktest.Truef(t, strings.HasSuffix(sentence, ".") && strings.Contains(text, ` href="/a&#34;b/">`) &&
			!strings.Contains(text, "<h1></h1>"), "%d: %s", status, text)
	}
	page := ErrorPage{Status: 404, Text: "no <such> thing", Details: "a <b>\n> c <d>", Note: "Request <1>"}
	for _, want := range []string{"<p>No &lt;such&gt; thing.</p>", "<pre class=plain>a &lt;b&gt;\n<b class=bad>&gt; c &lt;d&gt;</b></pre>", "Request &lt;1&gt;</p>"} {
		checktest.Has(t, string(page.HTML()), want)
	}
}
