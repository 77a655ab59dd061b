package runtime

import (
	"strings"
	"testing"
)

func TestNotice(t *testing.T) {
	t.Parallel()
	const (
		page  = "<!doctype html><title>no</title>"
		html  = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"
		close = "Connection: close\r\n\r\n"
	)
	get := func(fields string) string { return "GET /a HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" }
	end := get("Connection: close\r\n")
	for _, test := range []struct{ name, request, want string }{
		{"a browser", get(html) + end, "500:" + page + " 200:GET /a?"},
		{"in capitals", get("ACCEPT: Text/HTML\r\n") + end, "500:" + page + " 200:GET /a?"},
		{"a tool", get("Accept: */*\r\n") + end, "200:GET /a? 200:GET /a?"},
		{"a script", get("Accept: application/json\r\n") + end, "200:GET /a? 200:GET /a?"},
		{"a form", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + html + "\r\nabc" + end, "500:" + page + " 200:GET /a?"},
		{"a form that is under way", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + html + "\r\n", "500:" + page},
		{"behind one in flight", "GET /later HTTP/1.1\r\nHost: x\r\n\r\n" + get(html) + end, "200:later  500:" + page + " 200:GET /a?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			modes(t, func(t *testing.T, inline bool) {
				s := serve(t, Config{}, newApp(inline, demo))
				s.SetOverridePage(500, []byte(page), false)
				if got := bodies(t, s.talk(t, test.request)); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
	t.Run("its head", func(t *testing.T) {
		s := serve(t, Config{}, newApp(true, demo))
		s.SetOverridePage(500, []byte(page), false)
		got := s.talk(t, "HEAD / HTTP/1.1\r\nHost: x\r\n"+html+close)
		for _, want := range []string{"HTTP/1.1 500 ", "\r\nContent-Type: text/html; charset=utf-8\r\n", "\r\nCache-Control: no-store\r\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in %q", want, got)
			}
		}
		if !strings.HasSuffix(got, "\r\n\r\n") {
			t.Errorf("HEAD has a body: %q", got)
		}
	})
	t.Run("taken away", func(t *testing.T) {
		s := serve(t, Config{}, newApp(true, demo))
		s.SetOverridePage(500, []byte(page), false)
		s.SetOverridePage(0, nil, false)
		if got := bodies(t, s.talk(t, get(html+"Connection: close\r\n"))); got != "200:GET /a?" {
			t.Errorf("got %q", got)
		}
	})
}
