package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fapws/runtime/http1"
	"fapws/runtime/source/proxy"
)

// The head of the client's response names the announced trailers. Fields that must not be trailers are dropped.
func TestTrailersReachClientsThatAcceptThem(t *testing.T) {
	const (
		field = "Trailer: Content-Digest, X-Sum\r\n"
		body  = "\r\n5\r\nhello\r\n0\r\n"
	)
	many := strings.Repeat("X-A: b\r\n", http1.MaxTrailers)
	url, _ := upstream(t, func(r *http.Request) []string {
		head := "HTTP/1.1 200 OK\r\nDate: d\r\nX-TE: " + r.Header.Get("TE") + "\r\n"
		switch trailers := r.URL.Query().Get("t"); r.URL.Path {
		case "/announced":
			return []string{head + "Trailer: X-Sum, Set-Cookie\r\nTrailer: content-digest\r\nTransfer-Encoding: " +
				"chunked\r\n\r\n5\r\nhello\r\n0\r\n" + trailers + "\r\n"}
		case "/many":
			return []string{head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + many + trailers + "\r\n"}
		case "/empty":
			return []string{head + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"}
		default:
			return []string{head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + trailers + "\r\n"}
		}
	})
	address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
	for _, test := range []struct{ path, te, ends, lacks string }{
		{"/?t=X-Sum:+1%0d%0a", "trailers", body + "X-Sum: 1\r\n\r\n", "Trailer:"},
		{"/?t=X-Sum:+1%0d%0aX-Sum:+2%0d%0a", "trailers", body + "X-Sum: 1\r\nX-Sum: 2\r\n\r\n", ""},
		{"/?t=X-Sum:+1%0d%0a", "gzip", body + "\r\n", "X-Sum"},
		{"/announced?t=X-Sum:+1%0d%0aSet-Cookie:+a%0d%0a", "trailers", body + "X-Sum: 1\r\n\r\n", "Cookie"},
		{"/announced?t=X-Sum:+1%0d%0a", "gzip", body + "\r\n", "Trailer:"},
		{"/announced", "trailers", body + "\r\n", ""},
		{"/empty", "trailers", "\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", ""},
		{"/many", "trailers", body + many + "\r\n", ""},
		{"/many?t=X-B:+c%0d%0a", "trailers", body + "\r\n", ""},
		{"/?t=Content-Length:+1%0d%0aX_S:+1%0d%0a", "trailers", body + "X_s: 1\r\n\r\n", "Length"},
	} {
		got := talk(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: h\r\nTE: %s\r\nConnection: close\r\n\r\n",
			test.path, test.te))
		wantTE := "X-TE: \r\n"
		if test.te == "trailers" {
			wantTE = "X-TE: trailers\r\n"
		}
		if !strings.HasSuffix(got, test.ends) || test.lacks != "" && strings.Contains(got, test.lacks) ||
			!strings.Contains(strings.ReplaceAll(got, "X-Te", "X-TE"), wantTE) {
			t.Errorf("%s, TE: %s: %q", test.path, test.te, got)
		}
		if announces := strings.HasPrefix(test.path, "/announced") && test.te == "trailers"; strings.Contains(got,
			field) != announces {
			t.Errorf("%s, TE: %s: %q", test.path, test.te, got)
		}
	}
	if got := talk(t, address, "HEAD /announced HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: "+
		"close\r\n\r\n"); strings.Contains(got, "Trailer:") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("HEAD: %q", got)
	}
	if text := logged(); !strings.Contains(text, `dropped the trailer field "Set-Cookie"`) {
		t.Error(text)
	}
}
