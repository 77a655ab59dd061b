package python_test

import (
	"net"
	"net/url"
	"path/filepath"
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
		{"encoded prefix", fapwstest.Get("/%61pp/b"), keys{"SCRIPT_NAME": "/app", "PATH_INFO": "/b", "RAW_URI": "/%61pp/b"}},
		{"UTF-8", fapwstest.Get("/app/%E2%82%AC"), keys{"PATH_INFO": "/\u00e2\u0082\u00ac", "REQUEST_URI": "/app/%E2%82%AC"}},
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
			"wsgi.url_scheme: https", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil"), keys{
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
			software, _ := got["SERVER_SOFTWARE"].(string)
			fapwstest.Truef(t, strings.HasPrefix(software, "fapws/"), "SERVER_SOFTWARE %q", software)
			for _, key := range []string{"wsgi.version", "wsgi.input", "wsgi.errors", "wsgi.multithread",
				"wsgi.multiprocess", "wsgi.run_once", "wsgi.file_wrapper"} {
				others, _ := got["others"].([]any)
				fapwstest.Truef(t, slices.Contains(others, any(key)), "%s: no %s in %v", c.name, key, others)
			}
		}
	}
	// For later requests on the same connection, the server uses cached Python strings for header fields that are
	// the same.
	w := s.Dial()
	for range 5 {
		got := w.Fetch("/app/x").Want(t, 200).Object(t)
		fapwstest.Truef(t, got["PATH_INFO"] == "/x" && got["own"] == nil && got["HTTP_HOST"] == "test",
			"what a handler has done to environ is there in the next request: %v", got)
	}
}

func TestErrorsStreamIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "environ_keys.py", Args: []string{folder}}.Serve(t, fapwstest.Inline)
	w := s.DialGet("/errors")
	s.Says(`(?m)^first line\nsecond and third\nfourth\nno line$`)
	fapwstest.Write(t, folder+"/go", "")
	w.Answer().Is(t, "told")
}

func TestScriptThatUsesKeysOfEnvironHasThem(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		fapwstest.Write(t, filepath.Join(folder, "helper.py"),
			"def first(environ):\n    return environ.get('fapws.params')['a'][0]\n")
		beside := fapwstest.Write(t, filepath.Join(folder, "beside.py"),
			"import helper\n\ndef handler(environ, start_response):\n    return helper.first(environ)\n\nPATHS = "+
				"[('/', handler)]\n")
		script := fapwstest.Write(t, filepath.Join(folder, "script.py"), `
def params(environ, start_response):
    return {key: environ[key] for key in ("fapws.params", "fapws.uri", "fapws.remote_addr", "fapws.raw_path")}

PATHS = [("/params", params)]
`)
		plain := fapwstest.Write(t, filepath.Join(folder, "plain", "plain.py"),
			"def handler(environ, start_response):\n    return type(environ).__name__\n\nPATHS = [('/', handler)]\n")
		got := fapwstest.Command{Script: script}.Serve(t, m).Get("/params?a=1&a=2", 200).Object(t)
		have(t, "/params", got, map[string]any{
			"fapws.params": map[string]any{"a": []any{"1", "2"}}, "fapws.uri": "/params?a=1&a=2",
			"fapws.remote_addr": "127.0.0.1", "fapws.raw_path": "/params",
		})
		fapwstest.Command{Script: beside}.Serve(t, m).Get("/?a=b", 200).Is(t, "b")
		fapwstest.Command{Script: plain}.Serve(t, m).Get("/", 200).Is(t, "dict")
	})
}

func TestTooManyParametersAreAClientError(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/form.py", `
from fapws.base import Environ

def form(environ, start_response):
    return str(sum(map(len, environ["fapws.params"].values())))

PATHS = [("/form", form)]
`)
	s := fapwstest.Command{Script: script, Flags: []string{"--limit-request-line", "64K", "--limit-request-head",
		"128K"}}.Serve(t, fapwstest.Threads)
	form := "Content-Type: application/x-www-form-urlencoded"
	s.Ask(fapwstest.Get("/form?"+strings.Repeat("a=b&", 999))).Want(t, 200).Is(t, "999")
	s.Ask(fapwstest.Get("/form?"+strings.Repeat("a=b&", 3000))).Want(t, 400, "too many parameters")
	s.Ask(fapwstest.Request("POST", "/form", strings.Repeat("a=b&", 3000), form)).Want(t, 413, "too many parameters")
	s.Ask(fapwstest.Request("POST", "/form", "a="+strings.Repeat("%41", 3_300_000), form)).Want(t, 413, "form too large")
	s.Ask(fapwstest.Request("POST", "/form", "a="+strings.Repeat("%41", 600_000), form)).Want(t, 200).Is(t, "1")
}

func TestEnvironDescribesTheServer(t *testing.T) {
	serial := fapwstest.Mode{Name: "one thread", Flags: []string{"--workers", "1", "--threads", "1"}}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, serial, fapwstest.Workers,
		fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "environ.py")
		w := s.DialSend(fapwstest.Request("POST", "/show/x%20y?a=%20b", "the body", "Content-Type: text/x", "Cookie: a=1"))
		_, port, _ := net.SplitHostPort(s.Address)
		_, clientPort, _ := net.SplitHostPort(w.LocalAddr().String())
		have(t, m.Name, w.Answer().Want(t, 200).Object(t), dict{
			"type": "builtins.dict", "body": "the body", "CONTENT_TYPE": "text/x", "CONTENT_LENGTH": "8",
			"SCRIPT_NAME": "/show", "PATH_INFO": "/x y", "QUERY_STRING": "a=%20b", "HTTP_COOKIE": "a=1",
			"SERVER_PORT": port, "REMOTE_PORT": clientPort, "wsgi.version": list{1.0, 0.0},
			"wsgi.multithread":  !m.Inline() && !m.Forks() && m.Name != serial.Name,
			"wsgi.multiprocess": m.Workers() || m.Forks(), "wsgi.run_once": m.Forks(),
		})
		got := w.Fetch("/show").Want(t, 200).Object(t)
		for _, key := range []string{"CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_COOKIE", "fapws.uri"} {
			value, found := got[key]
			fapwstest.Truef(t, !found || value == "", "%s of the next request: %q", key, value)
		}
	})
}

func TestEnvironClassOfAScriptAddsKeys(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "classes.py")
	form := "name=caf%C3%A9&n=2&n=3&empty="
	a := s.Ask(fapwstest.Request("POST", "/show/%C3%A9%2F?n=1&q=a+b%26", form,
		"Content-Type: application/x-www-form-urlencoded; charset=utf-8")).Want(t, 200)
	a.Field(t, "Cache-Control", "no-store", "X-Given", "1")
	want := map[string]any{
		"params": map[string]any{"n": []any{"1", "2", "3"}, "q": []any{"a b&"}, "name": []any{"caf\u00e9"},
			"empty": []any{""}},
		"again": form[3:], "uri": "/show/\u00e9/?n=1&q=a+b%26", "raw_path": "/show/%C3%A9%2F",
		"remote_addr": "127.0.0.1",
		"environ":     true, "start_response": true, "missing": "none",
	}
	fapwstest.Equal(t, a.Object(t), want)
	a = s.Ask(fapwstest.Request("POST", "/show?n=1", "n=2", "Content-Type: text/plain")).Want(t, 200)
	got := a.Object(t)["params"]
	fapwstest.Truef(t, reflect.DeepEqual(got, map[string]any{"n": []any{"1"}}), "params: %q", got)
}

func TestStartResponseSetsCookiesFieldsAndRedirects(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "classes.py")
	a := s.Get("/cookies", 202).Want(t, 202, "(202, ('X-Late', 'yes'))").Field(t, "X-Late", "yes")
	set := map[string]string{}
	for _, line := range a.Header.Values("Set-Cookie") {
		name, rest, _ := strings.Cut(line, "=")
		set[name] = strings.ToLower(rest)
	}
	for name, parts := range map[string][]string{
		"plain": {`"a b\073c"`},
		"all":   {"v;", "max-age=60", "path=/p", "domain=example.org", "secure", "httponly", "samesite=lax"},
		"dated": {"expires=thu, 01 jan 1970 00:00:00 gmt"},
		"old":   {"max-age=0"},
	} {
		for _, part := range parts {
			fapwstest.Truef(t, strings.Contains(set[name], part), "cookie %s: %q without %q", name, set[name], part)
		}
	}
}

func TestAliasesOfFapws3NamesWork(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "aliases.py")
	s.Get("/built-in", 200).Is(t, "<class 'dict'>").Field(t, "Set-Cookie", "c=v; Path=/")
	for target, status := range map[string]int{"/301": 301, "/302": 302, "/303": 303, "/307": 307, "/308": 308} {
		s.Get(target, status).Field(t, "Location", "/x")
	}
}

// A body in a file is read in large pieces, even for many short lines.
func TestInputReadsLikeBytesIO(t *testing.T) {
	t.Parallel()
	calls := []string{
		"i.read()", "i.read(-1)", "i.read(None)", "i.read(0)", "i.read(5)", "i.read(10**9)", "i.read(2**40)",
		"[i.read(5), i.read(10**9), i.read(1), i.read(), i.read(-1)]",
		"i.readline()", "i.readline(-1)", "i.readline(None)", "i.readline(0)", "i.readline(2)", "i.readline(10**9)",
		"[i.readline(3), i.readline(), i.readline(), i.readline()]",
		"[i.read(), i.readline(), i.readlines(), list(i)]",
		"i.readlines()", "i.readlines(-1)", "i.readlines(None)", "i.readlines(0)", "i.readlines(1)", "i.readlines(4)",
		"i.readlines(5)", "i.readlines(10**9)",
		"list(i)", "[next(i), i.read(2), next(i), i.readline(1), i.readlines()]", "[i.read() and 1, next(i)]",
		"next(iter(i))",
		"iter(i) is i", "[line for line in i][-1]", "i.read(True)",
		"i.read('1')", "i.read(1.5)", "i.read(1, 2)", "i.readline('1')", "i.readlines('1')",
	}
	bodies := []string{
		"", "\n", "one", "one\ntwo\n\nfour", "one\r\ntwo\r\n",
		strings.Repeat("x", 150_000) + "\n" + strings.Repeat("a line of the body\n", 6_000) + "end",
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "input_calls.py")
	s.Ask(fapwstest.Request("POST", "/lines", strings.Repeat("\n", 400_000))).Is(t, "400000 True")
	w := s.Dial()
	for _, body := range bodies {
		for _, call := range calls {
			target := "/compare?" + url.QueryEscape(call)
			target = strings.ReplaceAll(target, "+", "%20")
			w.Ask(fapwstest.Request("POST", target, body)).Is(t, "same")
			w.Ask(fapwstest.Chunked("POST", target, body, 5000)).Is(t, "same")
		}
	}
}

// A thread of the application reads wsgi.input after the handler has returned. The thread must not read another file
// that now has the same descriptor.
func TestInputThatIsReadAfterTheHandlerIsAtItsEnd(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "input_calls.py")
	body, want := strings.Repeat("x", 2<<20), strings.TrimSpace(strings.Repeat("end ", 20))
	for range 20 {
		s.Ask(fapwstest.Request("POST", "/elsewhere", body)).Is(t, "returned")
	}
	fapwstest.Eventually(t, "all threads have read to the end", func() bool { return s.Get("/ended", 200).Text == want })
}

// The server receives the whole body before the handler runs. CONTENT_LENGTH is the length without chunk headers (RFC
// 3875 §4.1.2). Some frameworks rely on CONTENT_LENGTH alone.
func TestInputOfAChunkedBodyHasContentLength(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		w := fapwstest.Serve(t, m, "input_calls.py").Dial()
		for _, c := range []struct{ request, length string }{
			{fapwstest.Get("/about"), ""},
			{fapwstest.Get("/about", "Content-Length: 0"), "0"},
			{fapwstest.Request("POST", "/about", ""), ""},
			{fapwstest.Request("POST", "/about", "", "Content-Length: 0"), "0"},
			{fapwstest.Request("POST", "/about", "twelve bytes"), "12"},
			{fapwstest.Chunked("POST", "/about", "twelve bytes", 5), "12"},
			{fapwstest.Chunked("POST", "/about", "", 5), "0"},
			{fapwstest.Chunked("PUT", "/about", strings.Repeat("x", 300_000), 8000), "300000"},
		} {
			w.Send(c.request)
			want := map[string]any{"wsgi.input_terminated": true}
			if c.length != "" {
				want["CONTENT_LENGTH"] = c.length
			}
			fapwstest.Equalf(t, w.Answer().Want(t, 200).Object(t), want, "%.60q", c.request)
		}
	})
}
