package python_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type absent struct{}

func TestEnvironHasOnlyTheFieldsOfTheClient(t *testing.T) {
	t.Parallel()
	type keys map[string]any
	cases := []struct {
		name, request string
		want          keys
	}{
		{"plain", fapwstest.Get("/x"), keys{
			"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/x", "QUERY_STRING": "",
			"SERVER_PROTOCOL": "HTTP/1.1",
			"RAW_URI":         "/x", "REQUEST_URI": "/x", "REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "127.0.0.1",
			"wsgi.url_scheme": "http",
			"CONTENT_TYPE":    absent{}, "CONTENT_LENGTH": absent{}, "REMOTE_USER": absent{}, "REMOTE_HOST": absent{},
			"AUTH_TYPE":     absent{},
			"DOCUMENT_ROOT": absent{}, "PATH_TRANSLATED": absent{}, "HTTPS": absent{}, "GATEWAY_INTERFACE": absent{},
			"PATH": absent{}, "HOME": absent{},
			"own": absent{}, "exactly a dict": true, "native strings": true,
		}},
		{"1.0", "GET /x HTTP/1.0\r\n\r\n", keys{"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": absent{}}},
		{"an unknown method", "M-SEARCH /x HTTP/1.1\r\nHost: a\r\n\r\n", keys{"REQUEST_METHOD": "M-SEARCH"}},
		{"methods have cases", "get /x HTTP/1.1\r\nHost: a\r\n\r\n", keys{"REQUEST_METHOD": "get"}},
		{"encoded prefix", fapwstest.Get("/%61pp/b"), keys{"SCRIPT_NAME": "/app", "PATH_INFO": "/b",
			"RAW_URI": "/%61pp/b"}},
		{"UTF-8", fapwstest.Get("/app/%E2%82%AC"),
			keys{"PATH_INFO": "/\u00e2\u0082\u00ac", "REQUEST_URI": "/app/%E2%82%AC"}},
		{"raw UTF-8", fapwstest.Get("/app/\u20ac?q=\u00e4"), keys{
			"PATH_INFO": "/\u00e2\u0082\u00ac", "REQUEST_URI": "/app/%E2%82%AC?q=%C3%A4", "QUERY_STRING": "q=%C3%A4"}},
		{"slashes", fapwstest.Get("/app//a%2Fb/"), keys{"PATH_INFO": "//a/b/", "RAW_URI": "/app//a%2Fb/"}},
		{"decoded once", fapwstest.Get("/app/%2541+b"), keys{"PATH_INFO": "/%41+b"}},
		{"query as it is", fapwstest.Get("/app?a=%20+&b=/?&c"),
			keys{"QUERY_STRING": "a=%20+&b=/?&c", "RAW_URI": "/app?a=%20+&b=/?&c", "PATH_INFO": ""}},
		{"empty query", fapwstest.Get("/app?"), keys{"QUERY_STRING": "", "RAW_URI": "/app?"}},
		{"absolute form", "GET http://other:81/app/x?y HTTP/1.1\r\nHost: test\r\n\r\n", keys{
			"HTTP_HOST": "other:81", "SCRIPT_NAME": "/app", "PATH_INFO": "/x", "QUERY_STRING": "y",
			"RAW_URI": "http://other:81/app/x?y"}},
		{"posing", fapwstest.Get("/app/x", "SCRIPT_NAME: /evil", "Script-Name: /evil", "PATH_INFO: /evil",
			"REMOTE_ADDR: 6.6.6.6", "Remote-User: root", "HTTP_HOST: evil", "Content_Length: 7",
			"wsgi.url_scheme: https", "X-Forwarded-For: 6.6.6.6",
			"X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil"), keys{
			"SCRIPT_NAME": "/app", "HTTP_SCRIPT_NAME": "/evil", "PATH_INFO": "/x", "REMOTE_ADDR": "127.0.0.1",
			"REMOTE_USER": absent{}, "HTTP_REMOTE_USER": absent{},
			"HTTP_HOST": "test", "CONTENT_LENGTH": absent{}, "wsgi.url_scheme": "http",
			"HTTP_X_FORWARDED_FOR": absent{}, "HTTP_HTTP_HOST": absent{}}},
		{"fields", fapwstest.Request("POST", "/app", "abc", "Content-Type: text/x; a=\"b\"", "X-A: 1", "x-a: 2",
			"X-Empty:", "X-Odd!#: v", "Cookie: a=1", "cookie: b=2", "X_Posing: as-dashed", "Proxy: evil",
			"X-Latin: \xe9", "X-Padded: \t v \t"), keys{
			"CONTENT_TYPE": "text/x; a=\"b\"", "CONTENT_LENGTH": "3", "HTTP_CONTENT_TYPE": absent{},
			"HTTP_CONTENT_LENGTH": absent{},
			"HTTP_X_A":            "1,2", "HTTP_X_EMPTY": "", "HTTP_X_ODD!#": "v", "HTTP_COOKIE": "a=1; b=2",
			"HTTP_X_POSING": absent{}, "HTTP_PROXY": absent{}, "HTTP_X_LATIN": "\u00e9", "HTTP_X_PADDED": "v"}},
	}
	s := fapwstest.Command{Script: "environ_keys.py", Args: []string{t.TempDir()}}.Serve(t, fapwstest.Threads)
	for _, c := range cases {
		for range 2 {
			got := s.Ask(c.request).Want(t, 200).Object(t)
			for key, want := range c.want {
				value, found := got[key]
				if _, no := want.(absent); no && found || !no && !reflect.DeepEqual(value, want) {
					t.Errorf("%s: %s is %q, want %q", c.name, key, value, want)
				}
			}
			if software, _ := got["SERVER_SOFTWARE"].(string); !strings.HasPrefix(software, "fapws/") {
				t.Errorf("SERVER_SOFTWARE %q", software)
			}
			for _, key := range []string{"wsgi.version", "wsgi.input", "wsgi.errors", "wsgi.multithread",
				"wsgi.multiprocess", "wsgi.run_once", "wsgi.file_wrapper"} {
				if others, _ := got["others"].([]any); !slices.Contains(others, any(key)) {
					t.Errorf("%s: no %s in %v", c.name, key, others)
				}
			}
		}
	}
	// For later requests on the same connection, the server uses cached Python strings for header fields that are
	// the same.
	w := s.Dial()
	for range 5 {
		if got := w.Fetch("/app/x").Want(t, 200).Object(t); got["PATH_INFO"] != "/x" || got["own"] != nil ||
			got["HTTP_HOST"] != "test" {
			t.Errorf("what a handler has done to environ is there in the next request: %v", got)
		}
	}
}

func TestErrorsStreamIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "environ_keys.py", Args: []string{folder}}.Serve(t, fapwstest.Inline)
	w := s.Dial()
	w.Get("/errors")
	s.Says(`(?m)^first line\nsecond and third\nfourth\nno line$`)
	fapwstest.Write(t, folder+"/go", "")
	w.Answer().Is(t, "told")
}
