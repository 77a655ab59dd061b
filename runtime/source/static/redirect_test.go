package static

import (
	"testing"

	"fapws/runtime/exchange/exchangetest"
)

func TestRedirectTargetUsesPartsOfTheRequest(t *testing.T) {
	for _, test := range []struct{ target, request, want string }{
		{"/new", "/old/a", "/new"},
		{"/new", "/old/a?b=1", "/new?b=1"},
		{"/new?", "/old/a?b=1", "/new"},
		{"/new?c#end", "/old/a?b=1", "/new?c#end"},
		{"/new/$1#end", "/old/a%20b?b", "/new/a%20b?b#end"},
		{"${scheme}://example.org${path}?${query}", "/old/a?b", "http://example.org/old/a?b"},
		{"https://${host}/", "/old/", "https://h.example/"},
		{"/x/$1", "/old/%0d%0aX:1", "/x/%0d%0aX:1"},
	} {
		to, err := NewRedirect(test.target, 0)
		if err != nil {
			t.Fatal(err)
		}
		var c exchangetest.Client
		to.Start(c.Exchange("GET "+test.request+" HTTP/1.1\r\nHost: h.example:8000\r\n\r\n", "/old/"))
		r := c.Replies[0]
		if got := string(r.Fields); r.Status != 302 || got != "Location: "+test.want+"\r\n" {
			t.Errorf("%s to %s: %d %q, want %q", test.request, test.target, r.Status, got, test.want)
		}
	}
}
