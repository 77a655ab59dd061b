package route

import (
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

func TestMountForPlainHTTPDoesNotMatchHTTPS(t *testing.T) {
	table := checktest.Try(New([]Site{{Mounts: []Mount{{Prefix: "/", Plain: true, Except: []string{"/.well-known/a/"}},
		{Prefix: "/"}}}}, false)).Must(t)
	for _, c := range []struct {
		scheme, path string
		mount        int
	}{
		{"", "/x", 0}, {"http", "/", 0}, {"https", "/", 1}, {"https", "/.well-known/a/b", 1},
		{"", "/.well-known/a/b", 1}, {"", "/.well-known/a/", 1}, {"", "/.well-known/a", 0},
		{"", "/.well-known/a/../b", 0}, {"", "//.well-known/a/b", 1},
	} {
		head := []byte("GET " + c.path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		limits := http1.DefaultLimits
		var r http1.Request
		checktest.Try(r.Parse(head, &limits)).Must(t)
		var d Decision
		table.Decide(&d, Request{Parsed: &r, Head: head, Client: &conn.Peer{HTTPS: c.scheme == "https"}})
		checktest.Equalf(t, d.Mount, c.mount, "%q %s: mount", c.scheme, c.path)
	}
}
