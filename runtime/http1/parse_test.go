package http1

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

const helloRequest = "GET / HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"

const wrkRequest = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8888\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n"

const browserRequest = "GET /articles/2024/view?id=42&lang=en HTTP/1.1\r\n" +
	"Host: www.example.org\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://www.example.org/articles/2024/index\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=yes\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\n\r\n"

const postRequest = "POST /submit HTTP/1.1\r\nHost: localhost:8888\r\n" +
	"Content-Type: application/json\r\nContent-Length: 4096\r\n\r\n"

func describe(r *Request, head []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Method.In(head), r.Path.In(head))
	part := func(name string, s Span) {
		if s.Len > 0 {
			fmt.Fprintf(&b, " %s=%s", name, s.In(head))
		}
	}
	part("query", r.Query)
	part("authority", r.Authority)
	part("host", r.Host)
	b.WriteString(" " + r.Version.String()[5:])
	switch r.Body {
	case Sized:
		fmt.Fprintf(&b, " sized=%d", r.Length)
	case Chunked:
		b.WriteString(" chunked")
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"keep", r.KeepAlive}, {"upgrade", r.Upgrade}, {"expect", r.Expect100}, {"trailers", r.Trailers},
		{"head", r.Head}, {"safe", r.Safe}, {"altered", !r.Plain},
	} {
		if flag.set {
			b.WriteString(" " + flag.name)
		}
	}
	return b.String()
}

func on11(line, fields string) string { return line + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" }

var acceptTable = []struct{ name, in, want string }{
	{"hello", helloRequest, "GET / host=localhost:8888 1.1 keep safe"},
	{"HTTP/1.0 without fields", "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 safe"},
	{"later minor version, 9110 2.5", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "GET / host=h 1.1 keep safe"},
	{"last minor version", "GET / HTTP/1.9\r\nHost: h\r\n\r\n", "GET / host=h 1.1 keep safe"},
	{"one empty line before, 9112 2.2", "\r\n" + helloRequest, "GET / host=localhost:8888 1.1 keep safe"},
	{"two empty lines before", "\r\n\r\n" + helloRequest, "GET / host=localhost:8888 1.1 keep safe"},

	{"HEAD", on11("HEAD /", ""), "HEAD / host=h 1.1 keep head safe"},
	{"OPTIONS", on11("OPTIONS /x", ""), "OPTIONS /x host=h 1.1 keep safe"},
	{"TRACE", on11("TRACE /", ""), "TRACE / host=h 1.1 keep safe"},
	{"POST without length has no body, 9112 6.3", on11("POST /", ""), "POST / host=h 1.1 keep"},
	{"DELETE", on11("DELETE /", ""), "DELETE / host=h 1.1 keep"},
	{"methods are case-sensitive, 9110 9.1", on11("get /", ""), "get / host=h 1.1 keep"},
	{"unregistered method", on11("M-SEARCH /", ""), "M-SEARCH / host=h 1.1 keep"},
	{"longest method", on11(strings.Repeat("M", maxMethod)+" /", ""), strings.Repeat("M", maxMethod) +
		" / host=h 1.1 keep"},

	{"query", on11("GET /a?b=c", ""), "GET /a query=b=c host=h 1.1 keep safe"},
	{"empty query", on11("GET /a?", ""), "GET /a host=h 1.1 keep safe"},
	{"query with ? and raw %", on11("GET /?q=100%&r=?%zz%00", ""), "GET / query=q=100%&r=?%zz%00 host=h 1.1 keep safe"},
	{"encoded path", on11("GET /a%20b%2F", ""), "GET /a%20b%2F host=h 1.1 keep safe altered"},
	{"empty segment", on11("GET /a//b", ""), "GET /a//b host=h 1.1 keep safe altered"},
	{"dot segment", on11("GET /a/..", ""), "GET /a/.. host=h 1.1 keep safe altered"},
	{"backslash", on11("GET /a\\b", ""), "GET /a\\b host=h 1.1 keep safe altered"},
	{"dots and slashes in the query", on11("GET /a?//../%41", ""), "GET /a query=//../%41 host=h 1.1 keep safe"},
	{"encoded at the end", on11("GET /%fF", ""), "GET /%fF host=h 1.1 keep safe altered"},
	{"what browsers send raw", on11("GET /{a}|\\^`\"<>[]?{b}|\\^`\"<>[]", ""),
		"GET /{a}|\\^`\"<>[] query={b}|\\^`\"<>[] host=h 1.1 keep safe altered"},
	{"slashes and dots stay", on11("GET //a/../b/./", ""), "GET //a/../b/./ host=h 1.1 keep safe altered"},
	{"asterisk, 9112 3.2.4", on11("OPTIONS *", ""), "OPTIONS * host=h 1.1 keep safe"},
	{"absolute, 9112 3.2.2", on11("GET http://a.example:80/x?y", ""),
		"GET /x query=y authority=a.example:80 host=h 1.1 keep safe"},
	{"absolute, scheme in capitals", on11("GET HTTP://a/x", ""), "GET /x authority=a host=h 1.1 keep safe"},
	{"absolute https", on11("GET https://a/%41", ""), "GET /%41 authority=a host=h 1.1 keep safe altered"},
	{"absolute without path, 9110 4.2.3", on11("GET http://a", ""), "GET / authority=a host=h 1.1 keep safe"},
	{"absolute without path, with query", on11("GET https://a?y/z", ""),
		"GET / query=y/z authority=a host=h 1.1 keep safe"},
	{"absolute with IPv6", on11("GET http://[::1]:8/x", ""), "GET /x authority=[::1]:8 host=h 1.1 keep safe"},
	{"absolute on 1.0", "GET http://a/ HTTP/1.0\r\n\r\n", "GET / authority=a 1.0 safe"},

	{"empty Host, 9112 3.2", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / 1.1 keep safe"},
	{"Host in another case", "GET / HTTP/1.1\r\nhOST: h\r\n\r\n", "GET / host=h 1.1 keep safe"},
	{"Host on 1.0", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET / host=h 1.0 safe"},
	{"whitespace around a value, 9112 5.1", "GET / HTTP/1.1\r\nHost: \t h:1 \t\r\n\r\n", "GET / host=h:1 1.1 keep safe"},
	{"no whitespace", "GET / HTTP/1.1\r\nHost:h\r\n\r\n", "GET / host=h 1.1 keep safe"},

	{"close, 9112 9.3", on11("GET /", "Connection: close\r\n"), "GET / host=h 1.1 safe"},
	{"close in any case, in a list", on11("GET /", "Connection: foo, CLOSE\t,bar\r\n"), "GET / host=h 1.1 safe"},
	{"close in a list without spaces", on11("GET /", "Connection: foo,close,bar\r\n"), "GET / host=h 1.1 safe"},
	{"close wins", on11("GET /", "Connection: close\r\nConnection: keep-alive\r\n"), "GET / host=h 1.1 safe"},
	{"close in the second field", on11("GET /", "Connection: keep-alive\r\nconnection: close\r\n"),
		"GET / host=h 1.1 safe"},
	{"keep-alive on 1.0", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 1.0 keep safe"},
	{"keep-alive and close on 1.0", "GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n", "GET / 1.0 safe"},
	{"upgrade, 9110 7.8", on11("GET /", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
		"GET / host=h 1.1 keep upgrade safe"},
	{"not a token of the list", on11("GET /", "Connection: not-close, close-not, \"close\", ,,\r\n"),
		"GET / host=h 1.1 keep safe"},
	{"not Connection", on11("GET /", "Connectiom: close\r\nProxy-Connection: close\r\n"), "GET / host=h 1.1 keep safe"},

	{"sized", on11("POST /", "Content-Length: 12\r\n"), "POST / host=h 1.1 sized=12 keep"},
	{"sized 0", on11("POST /", "content-length: 0\r\n"), "POST / host=h 1.1 sized=0 keep"},
	{"sized on GET", on11("GET /", "Content-Length: 1\r\n"), "GET / host=h 1.1 sized=1 keep safe"},
	{"leading zeros", on11("POST /", "Content-Length: 0000000000000000000000012\r\n"), "POST / host=h 1.1 sized=12 keep"},
	{"largest length", on11("POST /", "Content-Length: 9223372036854775807\r\n"),
		"POST / host=h 1.1 sized=9223372036854775807 keep"},
	{"sized on 1.0", "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", "POST / 1.0 sized=5"},
	{"same length in a list, 9112 6.3", on11("POST /", "Content-Length: 5, 5\r\n"), "POST / host=h 1.1 sized=5 keep"},
	{"same length again, 9112 6.3", on11("POST /", "Content-Length: 5\r\nContent-Length: 5,5\r\n"),
		"POST / host=h 1.1 sized=5 keep"},
	{"chunked", on11("POST /", "Transfer-Encoding: chunked\r\n"), "POST / host=h 1.1 chunked keep"},
	{"chunked in another case", on11("POST /", "transfer-encoding: ChunKed\r\n"), "POST / host=h 1.1 chunked keep"},
	{"names that begin alike", on11("POST /", "Content-Lengti: 5\r\nTransfer-Encodinh: x\r\nContent: 7\r\n"),
		"POST / host=h 1.1 keep"},

	{"expect, 9110 10.1.1", on11("POST /", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
		"POST / host=h 1.1 sized=5 keep expect"},
	{"te, 9110 10.1.4", on11("GET /", "TE: gzip;q=0.5, Trailers\r\n"), "GET / host=h 1.1 keep trailers safe"},
	{"te in two fields", on11("GET /", "TE: trailers\r\nTE: gzip\r\n"), "GET / host=h 1.1 keep trailers safe"},
	{"te without trailers", on11("GET /", "TE: gzip, trailers2\r\n"), "GET / host=h 1.1 keep safe"},
	{"te on 1.0 is ignored", "GET / HTTP/1.0\r\nTE: trailers\r\n\r\n", "GET / 1.0 safe"},
	{"expect in another case", on11("POST /", "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n"),
		"POST / host=h 1.1 chunked keep expect"},
	{"expect without body", on11("GET /", "Expect: 100-continue\r\n"), "GET / host=h 1.1 keep safe"},
	{"expect with an empty body", on11("POST /", "Expect: 100-continue\r\nContent-Length: 0\r\n"),
		"POST / host=h 1.1 sized=0 keep"},
	{"expect on 1.0 is ignored", "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
		"POST / 1.0 sized=5"},
	{"any expectation on 1.0", "POST / HTTP/1.0\r\nExpect: tea\r\n\r\n", "POST / 1.0"},
}

func TestValidHeadsAreParsed(t *testing.T) {
	for _, c := range acceptTable {
		t.Run(c.name, func(t *testing.T) {
			const body = "GET / body or next request"
			buf := []byte(c.in + body)
			var r Request
			n, err := r.Parse(buf, &DefaultLimits)
			checktest.Mustf(t, err, "%q", c.in)
			checktest.Equalf(t, n, len(c.in), "bytes taken")
			head := buf[n-r.HeadLen : n]
			checktest.Equalf(t, strings.TrimLeft(c.in, "\r\n"), string(head), "head")
			checktest.Equal(t, describe(&r, head), c.want)
		})
	}
}

func TestInvalidHeadsAreRejectedWithAStatus(t *testing.T) {
	many := func(n int) string { return strings.Repeat("X: y\r\n", n) }
	for _, c := range []struct {
		name, in string
		code     int
	}{
		// Empty lines and line ends, RFC 9112 §2.2.
		{"three empty lines", "\r\n\r\n\r\n" + helloRequest, 400},
		{"third empty line, not ended", "\r\n\r\n\r", 400},
		{"empty line of LF", "\n" + helloRequest, 400},
		{"space first", " " + helloRequest, 400},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		{"NUL", "\x00", 400},
		{"CR without LF first", "\rGET / HTTP/1.1\r\n\r\n", 400},
		{"LF ends request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
		{"LF ends field", "GET / HTTP/1.1\r\nHost: h\n\r\n", 400},
		{"LF ends head", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
		{"CR CR LF", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", 400},
		{"CR CR LF ends head", "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n", 400},
		{"CR in value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400},
		{"CR instead of CRLF", "GET / HTTP/1.1\rHost: h\r\n\r\n", 400},

		// Request line, RFC 9112 §3.
		{"HTTP/0.9", "GET /\r\n\r\n", 400},
		{"only a method", "GET\r\n\r\n", 400},
		{"method and space", "GET \r\n\r\n", 400},
		{"no target", "GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"no target, one space", "GET HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"two spaces before target", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"two spaces after target", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"tab after method", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"tab before version", "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"space at the end", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
		{"space in target", on11("GET /a b", ""), 400},
		{"two targets", "GET / /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"method not a token", on11("GE(T /", ""), 400},
		{"method with colon", on11("GET: /", ""), 400},
		{"method with NUL", on11("GE\x00T /", ""), 400},
		{"method of no token", on11("G\xc3\x89T /", ""), 400},
		{"long method, 9112 3", on11(strings.Repeat("M", maxMethod+1)+" /", ""), 501},

		// HTTP-version, RFC 9112 §2.3, RFC 9110 §2.5.
		{"small letters", "GET / http/1.1\r\nHost: h\r\n\r\n", 400},
		{"no name", "GET / 1.1\r\nHost: h\r\n\r\n", 400},
		{"other name", "GET / HTTQ/1.1\r\nHost: h\r\n\r\n", 400},
		{"no minor", "GET / HTTP/1\r\nHost: h\r\n\r\n", 400},
		{"two digits", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400},
		{"two digits before", "GET / HTTP/11.1\r\nHost: h\r\n\r\n", 400},
		{"comma", "GET / HTTP/1,1\r\nHost: h\r\n\r\n", 400},
		{"letter", "GET / HTTP/x.1\r\nHost: h\r\n\r\n", 400},
		{"letter after dot", "GET / HTTP/1.x\r\nHost: h\r\n\r\n", 400},
		{"space in it", "GET / HTTP /1.1\r\nHost: h\r\n\r\n", 400},
		{"RTSP", "OPTIONS / RTSP/1.0\r\n\r\n", 400},
		{"HTTP/0.9 written out", "GET / HTTP/0.9\r\n\r\n", 505},
		{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
		{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505},
		{"HTTP/9.9", "GET / HTTP/9.9\r\nHost: h\r\n\r\n", 505},
		{"HTTP/2 preface, 9113 3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},

		// Request target, RFC 9112 §3.2.
		{"fragment", on11("GET /#a", ""), 400},
		{"fragment in query", on11("GET /?a#a", ""), 400},
		{"fragment in absolute", on11("GET http://a/#a", ""), 400},
		{"control in path", on11("GET /a\x01", ""), 400},
		{"tab in path", on11("GET /a\tb", ""), 400},
		{"DEL in path", on11("GET /a\x7f", ""), 400},
		{"invalid UTF-8 in path", on11("GET /\xc3", ""), 400},
		{"Latin-1 in path", on11("GET /\xe4b", ""), 400},
		{"control and UTF-8 in path", on11("GET /\xc3\xa4\x01", ""), 400},
		{"a surrogate in path", on11("GET /\xed\xa0\x80", ""), 400},
		{"a long form in path", on11("GET /\xc0\xaf", ""), 400},
		{"UTF-8 in authority", on11("GET http://\xc3\xa4/", ""), 400},
		{"UTF-8 and a fragment", on11("GET /\xc3\xa4#", ""), 400},
		{"control in query", on11("GET /?\x01", ""), 400},
		{"invalid UTF-8 in query", on11("GET /?a=\xa4", ""), 400},
		{"UTF-8 divided by the question mark", on11("GET /\xc3?\xa4", ""), 400},
		{"control and UTF-8 in query", on11("GET /?\xc3\xa4\x7f", ""), 400},
		{"NUL in path", on11("GET /\x00", ""), 400},
		{"encoded NUL", on11("GET /a%00", ""), 400},
		{"bad percent", on11("GET /%zz", ""), 400},
		{"half percent", on11("GET /%4", ""), 400},
		{"half percent before query", on11("GET /%4?1", ""), 400},
		{"bare percent", on11("GET /%", ""), 400},
		{"percent u", on11("GET /%u0041", ""), 400},
		{"percent, bad second digit", on11("GET /%4g", ""), 400},
		{"asterisk with GET", on11("GET *", ""), 400},
		{"asterisk and more", on11("OPTIONS *a", ""), 400},
		{"asterisk path", on11("OPTIONS */", ""), 400},
		{"relative", on11("GET index.html", ""), 400},
		{"only query", on11("GET ?a", ""), 400},
		{"host and port", on11("GET h:80", ""), 400},
		{"other scheme", on11("GET ftp://a/", ""), 400},
		{"scheme alone", on11("GET http://", ""), 400},
		{"scheme and port", on11("GET http://:80/", ""), 400},
		{"scheme and path", on11("GET http:///x", ""), 400},
		{"one slash", on11("GET http:/x", ""), 400},
		{"user", on11("GET http://u@a/", ""), 400},
		{"user and password, 9110 4.2.4", on11("GET http://u:p@a/", ""), 400},
		{"bad port", on11("GET http://a:80b/", ""), 400},
		{"CONNECT, 9110 9.3.6", on11("CONNECT h:443", ""), 501},
		{"CONNECT with path", on11("CONNECT /", ""), 501},

		// Fields, RFC 9112 §5.
		{"space before colon, 9112 5.1", on11("GET /", "X : y\r\n"), 400},
		{"tab before colon", on11("GET /", "X\t: y\r\n"), 400},
		{"space before first field, 9112 2.2", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
		{"folded, 9112 5.2", on11("GET /", "X: a\r\n b\r\n"), 400},
		{"folded with tab", on11("GET /", "X: a\r\n\tb\r\n"), 400},
		{"folded Content-Length", on11("POST /", "Content-Length:\r\n 5\r\n"), 400},
		{"whitespace line", on11("GET /", " \r\n"), 400},
		{"no colon", on11("GET /", "X\r\n"), 400},
		{"no name, 9110 5.1", on11("GET /", ": x\r\n"), 400},
		{"name with space", on11("GET /", "X Y: z\r\n"), 400},
		{"name with slash", on11("GET /", "X/Y: z\r\n"), 400},
		{"name with quote", on11("GET /", "X\"Y: z\r\n"), 400},
		{"name with NUL", on11("GET /", "X\x00: z\r\n"), 400},
		{"name not ASCII", on11("GET /", "\xc3\xa4: z\r\n"), 400},
		{"NUL in value, 9110 5.5", on11("GET /", "X: a\x00b\r\n"), 400},
		{"control in value", on11("GET /", "X: a\x1fb\r\n"), 400},
		{"control at the start of a value", on11("GET /", "X: \vb\r\n"), 400},
		{"control at the end of a long value", on11("GET /", "X: 01234567890123456789\f\r\n"), 400},
		{"DEL in value", on11("GET /", "X: 0123456789\x7f\r\n"), 400},

		// Host, RFC 9112 §3.2.
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"no Host with absolute", "GET http://a/ HTTP/1.1\r\n\r\n", 400},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400},
		{"two Hosts on 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"two Hosts, one empty", "GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n", 400},
		{"Host with slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"Host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
		{"Host with space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"Host not ASCII", "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", 400},
		{"Host bad even with absolute", "GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},

		// Content-Length, RFC 9110 §8.6, RFC 9112 §6.3.
		{"empty length", on11("POST /", "Content-Length:\r\n"), 400},
		{"blank length", on11("POST /", "Content-Length:  \r\n"), 400},
		{"sign", on11("POST /", "Content-Length: +5\r\n"), 400},
		{"negative", on11("POST /", "Content-Length: -5\r\n"), 400},
		{"hexadecimal", on11("POST /", "Content-Length: 0x5\r\n"), 400},
		{"letters", on11("POST /", "Content-Length: 5a\r\n"), 400},
		{"fraction", on11("POST /", "Content-Length: 5.0\r\n"), 400},
		{"space inside", on11("POST /", "Content-Length: 5 5\r\n"), 400},
		{"underscore", on11("POST /", "Content-Length: 1_0\r\n"), 400},
		{"quoted", on11("POST /", "Content-Length: \"5\"\r\n"), 400},
		{"2^63", on11("POST /", "Content-Length: 9223372036854775808\r\n"), 400},
		{"2^64+5", on11("POST /", "Content-Length: 18446744073709551621\r\n"), 400},
		{"different", on11("POST /", "Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
		{"different in a list", on11("POST /", "Content-Length: 5, 6\r\n"), 400},
		{"same number, other digits", on11("POST /", "Content-Length: 5\r\nContent-Length: 05\r\n"), 400},
		{"empty member", on11("POST /", "Content-Length: 5,\r\n"), 400},
		{"empty member first", on11("POST /", "Content-Length: ,5\r\n"), 400},
		{"empty second field", on11("POST /", "Content-Length: 5\r\nContent-Length:\r\n"), 400},

		// Transfer-Encoding, RFC 9112 §6.1, §6.3.
		{"length and coding", on11("POST /", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
		{"coding and length", on11("POST /", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
		{"length and unknown coding", on11("POST /", "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n"), 400},
		{"coding on 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"chunked twice", on11("POST /", "Transfer-Encoding: chunked, chunked\r\n"), 400},
		{"chunked in two fields", on11("POST /", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
		{"chunked not last", on11("POST /", "Transfer-Encoding: chunked, gzip\r\n"), 400},
		{"chunked not last, two fields",
			on11("POST /", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400},
		{"no chunked", on11("POST /", "Transfer-Encoding: gzip\r\n"), 400},
		{"identity", on11("POST /", "Transfer-Encoding: identity\r\n"), 400},
		{"xchunked", on11("POST /", "Transfer-Encoding: xchunked\r\n"), 400},
		{"chunked with vertical tab", on11("POST /", "Transfer-Encoding: \vchunked\r\n"), 400},
		{"chunked in quotes", on11("POST /", "Transfer-Encoding: \"chunked\"\r\n"), 400},
		{"chunked with parameter", on11("POST /", "Transfer-Encoding: chunked;q=1\r\n"), 400},
		{"empty coding", on11("POST /", "Transfer-Encoding:\r\n"), 400},
		{"chunked and nothing", on11("POST /", "Transfer-Encoding: chunked,\r\n"), 400},
		{"nothing and chunked", on11("POST /", "Transfer-Encoding: , chunked\r\n"), 400},
		{"space before colon of coding", on11("POST /", "Transfer-Encoding : chunked\r\n"), 400},
		{"gzip, chunked", on11("POST /", "Transfer-Encoding: gzip, chunked\r\n"), 501},
		{"gzip, chunked in two fields", on11("POST /", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 501},

		// Expect, RFC 9110 §10.1.1.
		{"other expectation", on11("POST /", "Expect: tea\r\n"), 417},
		{"more expectations", on11("POST /", "Expect: 100-continue, tea\r\n"), 417},
		{"second expectation", on11("POST /", "Expect: 100-continue\r\nExpect: tea\r\n"), 417},
		{"empty expectation", on11("POST /", "Expect:\r\n"), 417},

		// Limits, RFC 9110 §5.4, RFC 9112 §3, RFC 6585 §5.
		{"long target", on11("GET /"+strings.Repeat("a", DefaultLimits.RequestLine), ""), 414},
		{"long target, not ended", "GET /" + strings.Repeat("a", DefaultLimits.RequestLine), 414},
		{"long method, not ended", strings.Repeat("A", DefaultLimits.RequestLine+2), 414},
		{"long name", on11("GET /", strings.Repeat("X", DefaultLimits.FieldLine)+": y\r\n"), 431},
		{"long value", on11("GET /", "X: "+strings.Repeat("y", DefaultLimits.FieldLine)+"\r\n"), 431},
		{"long value, not ended", "GET / HTTP/1.1\r\nX: " + strings.Repeat("y", DefaultLimits.FieldLine), 431},
		{"many fields", on11("GET /", many(DefaultLimits.Fields)), 431},
		{"large head", string(largeHead(DefaultLimits.Head + 1)), 431},
		{"large head, not ended", string(largeHead(DefaultLimits.Head + 20)[:DefaultLimits.Head]), 431},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, feed := range []struct {
				name  string
				parse func(*Request, []byte, *Limits) (int, error)
			}{{"whole", (*Request).Parse}, {"bytewise", parseBytewise}} {
				var r Request
				n, err := feed.parse(&r, []byte(c.in), &DefaultLimits)
				se, ok := err.(*StatusError)
				checktest.Needf(t, ok, "%s: took %d bytes, error %v, want %d", feed.name, n, err, c.code)
				checktest.Truef(t, se.Status == c.code && n == 0,
					"%s: %d %q after %d bytes, want %d", feed.name, se.Status, se.Text, n, c.code)
				checktest.Equalf(t, r.Resume, Resume{}, "%s: Resume after an error", feed.name)
			}
		})
	}
}

// The text of an error is logged and sent to the client.
func TestRejectionNamesTheCause(t *testing.T) {
	for _, c := range []struct {
		in   string
		want *StatusError
	}{
		{on11("GET /", " X: y\r\n"), errFolded},
		{on11("GET /", "\tX: y\r\n"), errFolded},
		{on11("GET /", "(X: y\r\n"), errFieldName},
		{on11("GET index.html", ""), errTargetForm},
		{on11("GET a#b", ""), errTarget},
		{on11("GET http://u@a/", ""), errAuthority},
		{on11("GET http://a?#", ""), errTarget},
		{on11("POST /", "Content-Length: 5, 6\r\n"), errLengths},
		{on11("POST /", "Content-Length: x\r\n"), errLength},
	} {
		var r Request
		_, err := r.Parse([]byte(c.in), &DefaultLimits)
		checktest.Truef(t, err == c.want, "%q: %v, want %v", c.in, err, c.want)
	}
}

func TestIncompleteHeadNeedsMoreInput(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"nothing", ""},
		{"CR", "\r"},
		{"CRLF", "\r\n"},
		{"CRLF CR", "\r\n\r"},
		{"two empty lines", "\r\n\r\n"},
		{"method", "GE"},
		{"a line is not judged before it ends", "GET \x01\x02"},
		{"CR of the request line", "GET / HTTP/1.1\r"},
		{"request line", "GET / HTTP/1.1\r\n"},
		{"field not ended", "GET / HTTP/1.1\r\n bad\x00"},
		{"CR of the last line", "GET / HTTP/1.1\r\nHost: h\r\n\r"},
		{"longest request line", "GET /" + strings.Repeat("a", DefaultLimits.RequestLine-5) + "\r"},
		{"longest field", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", DefaultLimits.FieldLine-3) + "\r"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			n, err := r.Parse([]byte(c.in), &DefaultLimits)
			checktest.Truef(t, n == 0 && err == ErrNeedMore, "Parse(%q) = %d, %v", c.in, n, err)
		})
	}
}

func limits(line, field, head, fields int) Limits {
	d := DefaultLimits
	return Limits{cmp.Or(line, d.RequestLine), cmp.Or(field, d.FieldLine), cmp.Or(head, d.Head), cmp.Or(fields, d.Fields)}
}

func TestLimitsAreExact(t *testing.T) {
	for _, c := range []struct {
		name, in      string
		exact, tooFew Limits
		refusal       int
	}{
		{"request line", on11("GET /abc", ""), limits(17, 0, 0, 0), limits(16, 0, 0, 0), 414},
		{"request line against head", on11("GET /abc", ""), limits(0, 0, 30, 0), limits(0, 0, 16, 0), 414},
		{"field line", on11("GET /", "X: 1234\r\n"), limits(0, 7, 0, 0), limits(0, 6, 0, 0), 431},
		{"head", on11("GET /", ""), limits(0, 0, 27, 0), limits(0, 0, 26, 0), 431},
		{"fields", on11("GET /", "A: b\r\nC: d\r\n"), limits(0, 0, 0, 3), limits(0, 0, 0, 2), 431},
		{"default head", string(largeHead(DefaultLimits.Head)), DefaultLimits, limits(0, 0, DefaultLimits.Head-1, 0), 431},
		{"default fields", on11("GET /", strings.Repeat("X: y\r\n", DefaultLimits.Fields-1)), DefaultLimits,
			limits(0, 0, 0, DefaultLimits.Fields-1), 431},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			n, err := r.Parse([]byte(c.in), &c.exact)
			checktest.Truef(t, n == len(c.in) && err == nil, "at the limit: %d, %v", n, err)
			_, err = r.Parse([]byte(c.in), &c.tooFew)
			se, ok := err.(*StatusError)
			checktest.Truef(t, ok && se.Status == c.refusal, "beyond the limit: %v, want %d", err, c.refusal)
		})
	}
}

func TestFieldsAreParsedInOrder(t *testing.T) {
	in := []byte("\r\nGET / HTTP/1.1\r\nHost: h\r\nX-A:1\r\nx_b: \t two words\t\r\nEmpty:\r\nX-A: \xe4\tb\r\n" +
		"Content-Length: 5, 5\r\nContent-Length: 5\r\nLast: !\r\n\r\n")
	// Equal Content-Length fields are merged (RFC 9112 §6.3).
	want := "Host=h|X-A=1|x_b=two words|Empty=|X-A=\xe4\tb|Content-Length=5|Last=!"
	var r Request
	n := checktest.Try(r.Parse(in, &DefaultLimits)).Must(t)
	head := in[n-r.HeadLen : n]
	var got []string
	for _, f := range r.Fields {
		got = append(got, string(f.Name.In(head))+"="+string(f.Value.In(head)))
	}
	checktest.Equal(t, strings.Join(got, "|"), want)
}

func TestReusedRequestHasNothingOfThePreviousRequest(t *testing.T) {
	var r Request
	first := on11("OPTIONS http://a/%41?q", "Connection: close, upgrade\r\nExpect: 100-continue\r\nContent-Length: 5\r\n")
	checktest.Try(r.Parse([]byte(first), &DefaultLimits)).Must(t)
	buf := []byte("GET /x HTTP/1.0\r\n\r\n")
	_, err := r.Parse(buf, &DefaultLimits)
	checktest.Must(t, err)
	got, want := describe(&r, buf), "GET /x 1.0 safe"
	checktest.Truef(t, got == want && len(r.Fields) == 0, "got %s with %d fields, want %s", got, len(r.Fields), want)
}

func TestParseDoesNotAllocate(t *testing.T) {
	var r Request
	lim := &DefaultLimits
	r.Parse([]byte(browserRequest), lim)
	for _, in := range []string{helloRequest, browserRequest, postRequest,
		on11("POST /", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"),
		on11("GET http://a/", "Connection: close\r\n"),
		on11("POST /", "Content-Length: 5\r\nContent-Length: 6\r\n"), "GET / HTTP/9.9\r\n", "GET / HT"} {
		buf := []byte(in)
		checktest.Equalf(t, testing.AllocsPerRun(100, func() {
			r.Resume = Resume{}
			r.Parse(buf, lim)
		}), 0, "%q: allocations", in)
	}
}

func TestOnlyParseWholeAcceptsHTTP2(t *testing.T) {
	limits := DefaultLimits
	for head, want := range map[string]string{
		"GET /a HTTP/2.0\r\nhost: h\r\n\r\n": "HTTP/2.0",
		"GET /a HTTP/1.1\r\nHost: h\r\n\r\n": "HTTP/1.1",
		"GET /a HTTP/1.0\r\n\r\n":            "HTTP/1.0",
		"GET /a HTTP/2.0\r\n\r\n":            "missing Host header",
		"GET /a HTTP/2.1\r\nhost: h\r\n\r\n": "HTTP version not supported",
		"GET /a HTTP/2.0\r\nhost: h\r\n":     "not an HTTP request",
	} {
		var r Request
		err := r.ParseWhole([]byte(head), &limits)
		got := r.Version.String()
		if err != nil {
			got = err.Error()
		}
		checktest.Equalf(t, got, want, "%q", head)
		_, err = r.Parse([]byte("GET /a HTTP/2.0\r\nhost: h\r\n\r\n"), &limits)
		checktest.Truef(t, err == errVersion, "%v", err)
	}
}

func TestUTF8InATargetIsPercentEncoded(t *testing.T) {
	for target, want := range map[string]string{
		"/\u00e4/b?c=\u20ac&d": "/%C3%A4/b?c=%E2%82%AC&d",
		"/?\u00e4":             "/?%C3%A4",
		"/%C3\u00e4":           "/%C3%C3%A4",
		"http://h/\U0001f600":  "http://h/%F0%9F%98%80",
		"http://h?\u00e4":      "http://h?%C3%A4",
	} {
		fields := " HTTP/1.1\r\nHost: h\r\nX: \u00e4\r\n\r\n"
		head := []byte("GET " + target + fields)
		var r Request
		_, err := r.Parse(head, &DefaultLimits)
		checktest.Needf(t, err == nil && r.Raw, "%q: %v", target, err)
		encoded := r.AppendEncoded(nil, head)
		checktest.Equalf(t, string(encoded), "GET "+want+fields, "%q", target)
		err = r.ParseWhole(encoded, &DefaultLimits)
		checktest.Truef(t, err == nil && !r.Raw && string(r.Target.In(encoded)) == want, "%q: %v, %q", target, err, encoded)
	}
}
