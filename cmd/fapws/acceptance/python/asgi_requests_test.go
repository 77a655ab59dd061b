package python_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
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
		"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/a b/ä",
		"raw_path": "/a%20b/%c3%a4", "query_string": "x=1&y=%41+%ff", "root_path": "", "server": list{host, float64(number)},
		"client": list{"127.0.0.1", float64(client)}, "version": "3.0",
	})
	headers := list{
		list{"host", "test"}, list{"x-two", "2"}, list{"cookie", "a=b"}, list{"x-two", "3"}, list{"cookie", "c=d"},
		list{"x-empty", ""}, list{"x-high", "é"}, list{"x-mine", "1"},
	}
	fapwstest.Truef(t, reflect.DeepEqual(got["headers"], headers), "headers: %v", got["headers"])
	have(t, "types", got["types"].(dict), dict{
		"path": "str", "raw_path": "bytes", "query_string": "bytes", "root_path": "str", "headers": "list", "method": "str",
		"scheme": "str", "http_version": "str", "state": "dict", "extensions": "dict", "asgi": "dict",
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

func noted(s *fapwstest.Server, path string, want ...any) {
	s.T.Helper()
	var got []any
	fapwstest.Eventually(s.T, fmt.Sprintf("%v is noted of %s", want, path), func() bool {
		got = nil
		fapwstest.Must(s.T, json.Unmarshal([]byte(s.Get("/noted"+path, 200).Text), &got))
		return len(got) >= len(want)
	})
	fapwstest.Equalf(s.T, got, want, "%s", path)
}

func TestASGIReceiveReturnsEachEventInTime(t *testing.T) {
	gone := dict{"type": "http.disconnect"}
	event := func(body string, more bool) dict { return dict{"type": "http.request", "body": body, "more": more} }
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "asgi/receive.py:app")
		for i, test := range []struct {
			request string
			want    list
		}{
			{fapwstest.Get("/twice/0"), list{event("", false)}},
			{fapwstest.Request("POST", "/twice/1", "hello"), list{event("hello", false)}},
			{fapwstest.Chunked("POST", "/twice/2", "hello", 2), list{event("hello", false)}},
			{fapwstest.Chunked("POST", "/twice/3", "", 2), list{event("", false)}},
		} {
			w := s.DialSend(test.request)
			got := w.Answer().Want(t, 200).Object(t)
			fapwstest.Truef(t, reflect.DeepEqual(got["events"], any(test.want)) && got["early"] == false, "%q: %v", test.request,
				got)
			// receive() returns http.disconnect because the response is complete, although the connection stays open.
			noted(s, fmt.Sprintf("/twice/%d", i), list{gone, gone, gone})
			w.Fetch("/ignored").Is(t, `"ignored"`)
		}

		w := s.DialGet("/waits")
		noted(s, "/waits", "waits")
		w.Reset()
		noted(s, "/waits", "waits", gone, "OSError", gone)

		w = s.DialGet("/streams")
		w.Head("GET")
		w.Reset()
		noted(s, "/streams", "OSError", gone, "goes on")

		w = s.Dial()
		w.Fetch("/leaves").Is(t, "hello")
		w.Close()
		noted(s, "/leaves", "no error")

		for i, leave := range []func(*fapwstest.Client){(*fapwstest.Client).Reset, func(w *fapwstest.Client) { w.Close() }} {
			w = s.Dial()
			path := fmt.Sprintf("/half/%d", i)
			w.Send("POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
			noted(s, path, "began")
			leave(w)
			noted(s, path, "began", "http.disconnect")
		}

		w = s.DialSend("POST /cancelled HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
		fapwstest.Eventually(t, "it has waited in vain", func() bool {
			return strings.Contains(s.Get("/noted/cancelled", 200).Text, "timeout")
		})
		w.Send("world")
		w.Answer().Is(t, `"helloworld"`)
	})
}

// A result of receive() may be awaited once, like a coroutine.
func TestASGIReceiveInSeveralTasksReturnsSeparateEvents(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/receive.py:app")
	begin := func(path string) *fapwstest.Client {
		return s.DialSend("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
	}
	event := func(body string, more bool) dict { return dict{"type": "http.request", "body": body, "more": more} }
	for _, path := range []string{"/shared/itself", "/shared/coroutine"} {
		w := begin(path)
		noted(s, path, "waits")
		w.Send("1\r\n1\r\n0\r\n\r\n")
		got := w.Answer().Want(t, 200).Object(t)
		want := dict{"others": list{"RuntimeError", "RuntimeError", "RuntimeError", "RuntimeError",
			"CancelledError"}, "got": list{event("1", false)}, "after": "RuntimeError"}
		fapwstest.Equalf(t, got, want, "%s", path)
	}
	w := begin("/several")
	noted(s, "/several", "a waits")
	w.Send("1\r\n1\r\n")
	noted(s, "/several", "a waits", "c waits")
	w.Send("1\r\n2\r\n")
	noted(s, "/several", "a waits", "c waits", "e waits")
	w.Send("1\r\n3\r\n0\r\n\r\n")
	got := w.Answer().Want(t, 200).Object(t)
	want := dict{"got": list{list{"a", "1"}, list{"d", "2"}, list{"e", "3"}},
		"cancelled": list{false, true, true, false, false}}
	fapwstest.Equal(t, got, want)
}

func TestASGIDuplexSendsWhileTheRequestArrives(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "asgi/receive.py:app")
		for _, path := range []string{"/duplex", "/together"} {
			w := s.Dial()
			for range 2 {
				w.Send("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
				if path == "/together" {
					w.Send("1\r\n\n\r\n")
				}
				lines := bufio.NewReader(w.Head("POST").Body)
				for i := range 20 {
					line, err := lines.ReadString('\n')
					fapwstest.Needf(t, (i <= 0 || strings.EqualFold(line, fmt.Sprintf("line %d\n", i))) && err == nil, "%s: %q, %v",
						path, line, err)
					text := fmt.Sprintf("line %d\n", i+1)
					w.Send(fmt.Sprintf("%x\r\n%s\r\n", len(text), text))
				}
				w.Send("0\r\n\r\n")
				rest, err := io.ReadAll(lines)
				fapwstest.Truef(t, err == nil && strings.EqualFold(string(rest), "line 20\n"), "%s: %q, %v", path, rest, err)
			}
		}
	})
}

func TestASGIUnreadBodyDoesNotBreakTheConnection(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/receive.py:app")
	w := s.DialSend("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
	w.Answer().Want(t, 403)
	w.Send("0123456789", fapwstest.Request("POST", "/ignored", "GET /early HTTP/1.1\r\n\r\n"), fapwstest.Get("/ignored"))
	w.Answer().Is(t, `"ignored"`)
	w.Answer().Is(t, `"ignored"`)

	// The client gets the response before it has sent the whole body. It may continue to send the body until it has
	// read the response.
	w = s.DialSend("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 8000000\r\n\r\n", strings.Repeat("x", 8_000_000))
	a := w.Answer().Want(t, 403)
	fapwstest.Truef(t, a.Close, "no Connection: close: %v", a.Header)
	w.Closed()

	w = s.Dial()
	w.Ask("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n").Want(t, 100)
	w.Answer().Want(t, 403)
}

// The request body is malformed or too large, and the application has sent nothing yet.
func TestASGIBrokenBodyGetsAnErrorAndADisconnect(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Inline, "asgi/receive.py:app", "--max-body-size", "1K")
	for i, test := range []struct {
		rest   string
		status int
	}{{"400\r\n" + strings.Repeat("x", 1024) + "\r\n", 413}, {"x\r\n", 400}} {
		w := s.Dial()
		path := fmt.Sprintf("/half/%d", i)
		w.Send("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		noted(s, path, "began")
		w.Send(test.rest)
		w.Answer().Want(t, test.status)
		w.Closed()
		noted(s, path, "began", "http.disconnect")
	}
	fapwstest.TooBig(t, s, fapwstest.Request("POST", "/twice", strings.Repeat("b", 1025)), "")
}
