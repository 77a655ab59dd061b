package http_test

import (
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestOnlyFieldsOfATrustedProxyChangeEnviron(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	s := fapwstest.Serve(t, fapwstest.Threads, "environ.py", "--forwarded-allow-ips", "127.0.0.1", "--access-logfile", log)
	_, port, _ := strings.Cut(s.Address, ":")
	const other = "127.0.0.2" // all addresses in 127/8 are local
	fields := []string{"X-Forwarded-For: 198.51.100.9, 192.0.2.1:4711", "X-Forwarded-Proto: https",
		"X-Forwarded-Host: a.example:8443", "X-Forwarded-Prefix: /app"}
	w, others := s.Dial(), s.DialFrom(other)
	for range 4 {
		for _, c := range []struct {
			w      *fapwstest.Client
			fields []string
			want   map[string]any
		}{
			{w, fields, map[string]any{
				"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "wsgi.url_scheme": "https", "HTTPS": "on",
				"HTTP_HOST":   "a.example:8443",
				"SERVER_NAME": "a.example", "SERVER_PORT": "8443", "SCRIPT_NAME": "/app/show", "PATH_INFO": "/x",
				"HTTP_X_FORWARDED_PREFIX": "/app",
			}},
			{others, fields, map[string]any{
				"REMOTE_ADDR": other, "wsgi.url_scheme": "http", "HTTPS": nil, "HTTP_HOST": "test",
				"SERVER_NAME": "127.0.0.1", "SERVER_PORT": port,
				"SCRIPT_NAME": "/show", "PATH_INFO": "/x", "HTTP_X_FORWARDED_PREFIX": nil,
			}},
			{w, []string{`Forwarded: for="[2001:db8::1]";proto=http;host=b.example, for=127.0.0.1`}, map[string]any{
				"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": "", "wsgi.url_scheme": "http", "HTTPS": nil,
				"HTTP_HOST":   "b.example",
				"SERVER_NAME": "b.example", "SERVER_PORT": "80", "SCRIPT_NAME": "/show",
			}},
			{w, []string{"X-Forwarded-For: <script>", "X-Forwarded-Proto: javascript", "X-Forwarded-Host: a b",
				"X-Forwarded-Prefix: /../x"}, map[string]any{
				"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "test", "SERVER_NAME": "127.0.0.1",
				"SERVER_PORT": port, "SCRIPT_NAME": "/show",
			}},
			{w, []string{"X-Ingress-Path: /ingress/1"}, map[string]any{"SCRIPT_NAME": "/ingress/1/show"}},
			{others, []string{"X-Ingress-Path: /ingress/1"}, map[string]any{"SCRIPT_NAME": "/show", "HTTP_X_INGRESS_PATH": nil}},
			{w, nil, map[string]any{"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTPS": nil,
				"SCRIPT_NAME": "/show", "SERVER_PORT": port}},
		} {
			got := c.w.Fetch("/show/x", c.fields...).Want(t, 200).Object(t)
			for key, value := range c.want {
				fapwstest.Equalf(t, got[key], value, "%q: %s", c.fields, key)
			}
		}
	}
	w.Fetch("/show/last", fields...)
	s.Stop()
	fapwstest.Has(t, fapwstest.Read(t, log), "192.0.2.1 - - [")
	fapwstest.Lacks(t, fapwstest.Read(t, log), "198.51.100.9")
}

func TestProxyProtocolSetsTheAddressesOfAConnection(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "environ.py", "--forwarded-allow-ips", "127.0.0.1", "--proxy-protocol")
	w := s.DialSend("PROXY TCP4 192.0.2.1 192.0.2.80 4711 443\r\n", fapwstest.Get("/show/x"))
	for range 3 {
		got := w.Answer().Want(t, 200).Object(t)
		for key, value := range map[string]string{"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711",
			"SERVER_NAME": "192.0.2.80", "SERVER_PORT": "443"} {
			fapwstest.Truef(t, got[key] == value, "%s is %q, want %q", key, got[key], value)
		}
		w.Get("/show/x")
	}
	w = s.DialGet("/show/x")
	w.Gone()
	s.Says(`warning client 127\.0\.0\.1:\d+: connection closed: missing PROXY protocol header: "GET .*"; ` +
		`let the proxy send one`)
	w = s.DialFrom("127.0.0.2")
	w.Fetch("/show/x").Want(t, 200)
	w.Send("PROXY TCP4 192.0.2.1 192.0.2.80 4711 443\r\n\r\n")
	w.Answer().Want(t, 400)
}

func TestRootPathIsStrippedFromThePathAndAddedToRedirects(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "files.py", Args: []string{folder},
		Flags: []string{"--root-path", "/outer/app"}}.Serve(t, fapwstest.Threads)
	fapwstest.Write(t, folder+"/site/sub/index.html", "index")
	for _, before := range []string{"/outer/app", ""} {
		for _, mount := range []string{"/static", "/handler"} {
			s.Get(before+mount+"/sub/", 200).Is(t, "index")
			s.Get(before+mount+"/sub?x", 301).Field(t, "Location", "/outer/app"+mount+"/sub/?x")
		}
	}
	s = fapwstest.Serve(t, fapwstest.Threads, "environ.py", "--root-path", "/outer/app")
	for target, want := range map[string][2]string{
		"/outer/app/show/x": {"/outer/app/show", "/x"},
		"/show/x":           {"/outer/app/show", "/x"},
		"/outer/app/show":   {"/outer/app/show", ""},
		"/show/%78%2F":      {"/outer/app/show", "/x/"},
	} {
		w := s.Dial()
		for range 3 {
			got := w.Fetch(target).Want(t, 200).Object(t)
			fapwstest.Truef(t, got["SCRIPT_NAME"] == want[0] && got["PATH_INFO"] == want[1], "%s: %q and %q, want %q", target,
				got["SCRIPT_NAME"], got["PATH_INFO"], want)
		}
	}
}
