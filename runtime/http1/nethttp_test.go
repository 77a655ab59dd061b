package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// FuzzAgainstNetHTTP checks that net/http and this package read the same request, and find its end at the same byte, if
// both accept the bytes. All deliberate differences are bytes that one of the two packages rejects.
func FuzzAgainstNetHTTP(f *testing.F) {
	for _, in := range seeds() {
		line, rest, _ := strings.Cut(strings.TrimLeft(in, "\r\n"), "\r\n")
		fields, body, _ := strings.Cut(rest, "\r\n\r\n")
		f.Add(line, fields, body)
	}
	for _, c := range acceptTable {
		line, rest, _ := strings.Cut(strings.TrimLeft(c.in, "\r\n"), "\r\n")
		f.Add(line, strings.TrimSuffix(rest, "\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n")
	}
	f.Add("0 http://%80 HTTP/1.0", "", "")
	// The fuzzed input consists of parts of a request, because most changes to a whole request make it invalid.
	f.Fuzz(func(t *testing.T, line, fields, body string) {
		in := []byte(line + "\r\n" + fields + "\r\n\r\n" + body)
		var r Request
		n, err := r.Parse(in, &DefaultLimits)
		if err != nil {
			return
		}
		// net/http does not accept empty lines before a request.
		msg := in[n-r.HeadLen:]
		head, rest := msg[:r.HeadLen], msg[r.HeadLen:]
		src := bytes.NewReader(msg)
		br := bufio.NewReader(src)
		std, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		compareHeads(t, &r, head, std)

		want, stdErr := io.ReadAll(std.Body)
		unread := br.Buffered() + src.Len()
		got, used, err := readBody(&r, rest)
		if err != nil {
			return // net/http is stricter about chunks
		}
		if stdErr != nil {
			checktest.Needf(t, laxOnPurpose(rest, stdErr), "%q: body accepted, net/http says %v", msg, stdErr)
			return
		}
		checktest.Needf(t, bytes.Equal(got, want), "%q: body %q, net/http %q", msg, got, want)
		checktest.Needf(t, len(rest)-used == unread,
			"%q: next message after %d bytes of body, net/http after %d", msg, used, len(rest)-unread)
	})
}

func compareHeads(t *testing.T, r *Request, head []byte, std *http.Request) {
	t.Helper()
	same := func(what, got, want string) {
		t.Helper()
		checktest.Needf(t, got == want, "%q: %s %q, net/http %q", head, what, got, want)
	}
	same("method", string(r.Method.In(head)), std.Method)
	same("target", string(r.Target.In(head)), std.RequestURI)
	same("path", string(DecodePath(nil, r.Path.In(head))), pathOf(std.URL))
	same("query", string(r.Query.In(head)), std.URL.RawQuery)
	host := string(r.Host.In(head))
	if r.Authority.Len > 0 {
		host = decodedHost(t, string(r.Authority.In(head)))
	}
	same("host", host, std.Host)
	checktest.Needf(t, (r.Version > HTTP10) == std.ProtoAtLeast(1, 1), "%q: %s, net/http %s", head, r.Version, std.Proto)
	checktest.Needf(t, r.KeepAlive != std.Close || !std.ProtoAtLeast(1, 0),
		"%q: keep-alive %v, net/http close %v", head, r.KeepAlive, std.Close)
	length := int64(0)
	switch r.Body {
	case Sized:
		length = r.Length
	case Chunked:
		length = -1
	}
	checktest.Needf(t, length == std.ContentLength, "%q: length %d, net/http %d", head, length, std.ContentLength)

	// net/http removes Host, Transfer-Encoding and Trailer from the header.
	ours := http.Header{}
	for _, f := range r.Fields {
		name := string(f.Name.In(head))
		if EqualFold([]byte(name), "host") || EqualFold([]byte(name), "transfer-encoding") ||
			EqualFold([]byte(name), "trailer") {
			continue
		}
		ours.Add(name, string(f.Value.In(head)))
	}
	std.Header.Del("Trailer")
	checktest.Needf(t, len(ours) == len(std.Header), "%q: fields %v, net/http %v", head, ours, std.Header)
	for name, values := range ours {
		checktest.Needf(t, slices.Equal(values, std.Header[name]),
			"%q: %s is %q, net/http %q", head, name, values, std.Header[name])
	}
}

// decodedHost returns the authority of an absolute-form target in the form of net/http, which decodes octets outside
// ASCII in a target but not in a Host field. A Request keeps the authority as received. RFC 3986 §3.2.2 permits
// percent-encoding in a registered name, but the decoded octet would be invalid in the Host field that applications and
// upstreams receive (RFC 9110 §7.2).
func decodedHost(t *testing.T, authority string) string {
	t.Helper()
	host, err := url.PathUnescape(authority)
	checktest.Mustf(t, err, "authority %q", authority)
	return host
}

func pathOf(u *url.URL) string {
	if u.Path == "" {
		return "/"
	}
	return u.Path
}

func readBody(r *Request, src []byte) (body []byte, n int, err error) {
	switch r.Body {
	case Sized:
		if int64(len(src)) < r.Length {
			return nil, 0, io.ErrUnexpectedEOF
		}
		return src[:r.Length], int(r.Length), nil
	case Chunked:
		return readChunked(src, nil)
	}
	return nil, 0, nil
}

// FuzzChunkedAgainstNetHTTP checks that net/http accepts every chunked body that this package accepts, and decodes the
// same data.
func FuzzChunkedAgainstNetHTTP(f *testing.F) {
	for _, in := range chunkedSeeds {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, _, err := readChunked(in, nil)
		if err != nil {
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		switch {
		case err == nil && !bytes.Equal(got, want):
			t.Fatalf("%q: %q, net/http %q", in, got, want)
		case err != nil && !laxOnPurpose(in, err):
			t.Fatalf("%q: accepted, net/http says %v", in, err)
		}
	})
}

func laxOnPurpose(body []byte, err error) bool {
	// net/http rejects whitespace before ";", which recipients must ignore (RFC 9112 §7.1.1).
	if bytes.Contains(body, []byte(" ;")) || bytes.Contains(body, []byte("\t;")) {
		return true
	}
	// net/http also limits the ratio of framing to data.
	return strings.Contains(err.Error(), "too much")
}
