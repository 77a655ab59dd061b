package python_test

import (
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func have(t *testing.T, what string, object, want map[string]any) {
	t.Helper()
	for name, value := range want {
		fapwstest.Equalf(t, object[name], value, "%s: %s", what, name)
	}
}

type (
	list = []any
	dict = map[string]any
)

func TestASGIScopeHasAllFields(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Inline, "asgi/scope.py:app")
	host, port, _ := net.SplitHostPort(s.Address)
	number, _ := strconv.Atoi(port)
	w := s.Dial()
	_, mine, _ := net.SplitHostPort(w.LocalAddr().String())
	client, _ := strconv.Atoi(mine)
	w.Send(fapwstest.Get("/a%20b/%c3%a4?x=1&y=%41+%ff", "X-Two: 2", "Cookie: a=b", "x-two:  3 ", "Cookie: c=d",
		"X-Empty:", "X_Under: 1", "proxy: evil", "X-High: \xe9"))
	got := w.Answer().Want(t, 200).Object(t)
	have(t, "scope", got, dict{
		"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http",
		"path": "/a b/ä", "raw_path": "/a%20b/%c3%a4", "query_string": "x=1&y=%41+%ff", "root_path": "",
		"server": list{host, float64(number)}, "client": list{"127.0.0.1", float64(client)},
		"version": "3.0",
	})
	headers := list{
		list{"host", "test"}, list{"x-two", "2"}, list{"cookie", "a=b"}, list{"x-two", "3"}, list{"cookie", "c=d"},
		list{"x-empty", ""},
		list{"x-high", "é"}, list{"x-mine", "1"},
	}
	fapwstest.Truef(t, reflect.DeepEqual(got["headers"], headers), "headers: %v", got["headers"])
	have(t, "types", got["types"].(dict), dict{
		"path": "str", "raw_path": "bytes", "query_string": "bytes", "root_path": "str", "headers": "list",
		"method": "str", "scheme": "str",
		"http_version": "str", "state": "dict", "extensions": "dict", "asgi": "dict",
	})
	version, _ := got["asgi"].(dict)["spec_version"].(string)
	fapwstest.Truef(t, version >= "2.3", "spec_version %q", version)
	fapwstest.Truef(t, got["extensions"].(dict)["http.response.pathsend"] != nil, "extensions: %v", got["extensions"])

	for _, test := range []struct {
		request string
		want    dict
	}{
		{"GET / HTTP/1.0\r\n\r\n", dict{"http_version": "1.0", "path": "/", "raw_path": "/", "query_string": "",
			"headers": list{list{"x-mine", "1"}}}},
		{fapwstest.Get("/?"), dict{"path": "/", "raw_path": "/", "query_string": ""}},
		{fapwstest.Get("/%2F%3f%25/x"), dict{"path": "//?%/x", "raw_path": "/%2F%3f%25/x"}},
		{fapwstest.Get("/%ff%fe"), dict{"path": "/\ufffd\ufffd", "raw_path": "/%ff%fe"}},
		{fapwstest.Get("//a//b/../c"), dict{"path": "//a//c", "raw_path": "//a//b/../c"}},
		{"GET http://other.example:81/abs?q HTTP/1.1\r\nHost: test\r\n\r\n",
			dict{"path": "/abs", "raw_path": "/abs", "query_string": "q",
				"headers": list{list{"host", "other.example:81"}, list{"x-mine", "1"}}}},
		{"PROPFIND /x HTTP/1.1\r\nHost: test\r\n\r\n", dict{"method": "PROPFIND"}},
		{"OPTIONS /x HTTP/1.1\r\nHost: test\r\n\r\n", dict{"method": "OPTIONS"}},
		{fapwstest.Request("POST", "/x", "body", "Content-Type: text/plain"),
			dict{"method": "POST", "headers": list{list{"host", "test"}, list{"content-type", "text/plain"},
				list{"content-length", "4"}, list{"x-mine", "1"}}}},
	} {
		have(t, fmt.Sprintf("%q", test.request), s.Ask(test.request).Want(t, 200).Object(t), test.want)
	}
	a := s.Ask(fapwstest.Request("HEAD", "/x", ""))
	fapwstest.Truef(t, a.StatusCode == 200 && a.Text == "", "HEAD: %d %q", a.StatusCode, a.Text)

	// The state is copied for each request. The copy is shallow: requests share mutable values.
	shared := func() int {
		state := s.Get("/state", 200).Object(t)["state"].(dict)
		have(t, "state", state, dict{"seen": 1.0})
		return len(state["shared"].(list))
	}
	before := shared()
	fapwstest.Equalf(t, shared(), before+1, "requests do not share a mutable value of the state")
}

func TestASGIScopeIsRightWithPrefixesAndProxies(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/mounted.py")
	for target, want := range map[string]dict{
		"/api/v1/x%20y?q": {"path": "/api/v1/x y", "raw_path": "/api/v1/x%20y", "root_path": "/api/v1", "query_string": "q"},
		"/api/v1":         {"path": "/api/v1", "root_path": "/api/v1"},
		"/api/v1/":        {"path": "/api/v1/", "root_path": "/api/v1"},
		"/else":           {"path": "/else", "root_path": ""},
	} {
		have(t, target, s.Get(target, 200).Object(t), want)
	}
	path := filepath.Join(t.TempDir(), "s")
	s = fapwstest.Serve(t, fapwstest.Threads, "asgi/mounted.py", "--root-path", "/outer", "--forwarded-allow-ips",
		"127.0.0.1", "--bind", "unix:"+path)
	for target, want := range map[string]dict{
		"/outer/api/v1/x": {"path": "/outer/api/v1/x", "raw_path": "/outer/api/v1/x", "root_path": "/outer/api/v1"},
		"/outer/x":        {"path": "/outer/x", "root_path": "/outer", "scheme": "http"},
		"/x":              {"path": "/outer/x", "root_path": "/outer"}, // a proxy has stripped the root path
	} {
		have(t, target, s.Get(target, 200).Object(t), want)
	}
	got := s.Get("/x", 200, "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https",
		"X-Forwarded-Host: www.example").Object(t)
	have(t, "forwarded", got, dict{"scheme": "https", "client": list{"192.0.2.7", 0.0}})
	host := got["headers"].(list)[0]
	fapwstest.Truef(t, reflect.DeepEqual(host, list{"host", "www.example"}), "host: %v", host)
	got = fapwstest.Dial(t, "unix", path).Fetch("/x").Want(t, 200).Object(t)
	have(t, "unix socket", got, dict{"server": list{path, nil}, "client": nil, "path": "/outer/x"})
}
