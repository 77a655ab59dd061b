package python_test

import (
	"net"
	"reflect"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestEnvironDescribesTheServer(t *testing.T) {
	serial := fapwstest.Mode{Name: "one thread", Flags: []string{"--workers", "1", "--threads", "1"}}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, serial, fapwstest.Workers,
		fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "environ.py")
		w := s.Dial()
		w.Send(fapwstest.Request("POST", "/show/x%20y?a=%20b", "the body", "Content-Type: text/x", "Cookie: a=1"))
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
			if value, found := got[key]; found && value != "" {
				t.Errorf("%s of the next request: %q", key, value)
			}
		}
	})
}

func TestEnvironClassOfAScriptAddsKeys(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "classes.py")
	form := "name=caf%C3%A9&n=2&n=3&empty="
	a := s.Ask(fapwstest.Request("POST", "/show/%C3%A9%2F?n=1&q=a+b%26", form,
		"Content-Type: application/x-www-form-urlencoded; charset=utf-8")).Want(t, 200)
	a.Field(t, "Cache-Control", "no-store").Field(t, "X-Given", "1")
	want := map[string]any{
		"params": map[string]any{"n": []any{"1", "2", "3"}, "q": []any{"a b&"}, "name": []any{"caf\u00e9"},
			"empty": []any{""}},
		"again": form[3:], "uri": "/show/\u00e9/?n=1&q=a+b%26", "raw_path": "/show/%C3%A9%2F",
		"remote_addr": "127.0.0.1",
		"environ":     true, "start_response": true, "missing": "none",
	}
	if got := a.Object(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	a = s.Ask(fapwstest.Request("POST", "/show?n=1", "n=2", "Content-Type: text/plain")).Want(t, 200)
	if got := a.Object(t)["params"]; !reflect.DeepEqual(got, map[string]any{"n": []any{"1"}}) {
		t.Errorf("params: %q", got)
	}
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
			if !strings.Contains(set[name], part) {
				t.Errorf("cookie %s: %q without %q", name, set[name], part)
			}
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
