package acceptance

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dialFrom connects from an address of this machine.
func dialFrom(t *testing.T, from, to string) *wire {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &wire{t, c, bufio.NewReader(c)}
}

// What a trusted proxy says is in environ, and others' fields are fields only,
// also when requests look the same but for who sends them.
func TestTrustedProxy(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		log := filepath.Join(t.TempDir(), "log")
		s := serve(t, m, "environ.py", "--forwarded-allow-ips", "127.0.0.1", "--access-logfile", log)
		_, port, _ := strings.Cut(s.address, ":")
		const other = "127.0.0.2" // everything in 127/8 is us
		fields := []string{"X-Forwarded-For: 198.51.100.9, 192.0.2.1:4711", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example:8443", "X-Forwarded-Prefix: /app"}
		w, others := s.dial(), dialFrom(t, other, s.address)
		for range 4 { // the third time it comes from a cache
			for _, c := range []struct {
				w      *wire
				fields []string
				want   map[string]any
			}{
				{w, fields, map[string]any{
					"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "wsgi.url_scheme": "https", "HTTPS": "on", "HTTP_HOST": "a.example:8443",
					"SERVER_NAME": "a.example", "SERVER_PORT": "8443", "SCRIPT_NAME": "/app/show", "PATH_INFO": "/x", "HTTP_X_FORWARDED_PREFIX": "/app",
				}},
				{others, fields, map[string]any{
					"REMOTE_ADDR": other, "wsgi.url_scheme": "http", "HTTPS": nil, "HTTP_HOST": "test", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": port,
					"SCRIPT_NAME": "/show", "PATH_INFO": "/x", "HTTP_X_FORWARDED_PREFIX": "/app",
				}},
				{w, []string{`Forwarded: for="[2001:db8::1]";proto=http;host=b.example, for=127.0.0.1`}, map[string]any{
					"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": "", "wsgi.url_scheme": "http", "HTTPS": nil, "HTTP_HOST": "b.example",
					"SERVER_NAME": "b.example", "SERVER_PORT": "80", "SCRIPT_NAME": "/show",
				}},
				{w, []string{`Forwarded: for=127.0.0.1;proto=https;host=evil.example`, "X-Forwarded-For: 192.0.2.9"}, map[string]any{
					"REMOTE_ADDR": "192.0.2.9", "wsgi.url_scheme": "http", "HTTP_HOST": "test", "SCRIPT_NAME": "/show",
				}},
				{w, []string{"X-Forwarded-For: <script>", "X-Forwarded-Proto: javascript", "X-Forwarded-Host: a b", "X-Forwarded-Prefix: /../x"}, map[string]any{
					"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "test", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": port, "SCRIPT_NAME": "/show",
				}},
				{w, nil, map[string]any{"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTPS": nil, "SCRIPT_NAME": "/show", "SERVER_PORT": port}},
			} {
				c.w.send(get("/show/x", c.fields...))
				got := c.w.answer().want(t, 200).object(t)
				for key, value := range c.want {
					if got[key] != value {
						t.Errorf("%q: %s is %q, want %q", c.fields, key, got[key], value)
					}
				}
			}
		}
		w.send(get("/show/last", fields...))
		w.answer()
		s.signal(syscall.SIGTERM)
		s.ended() // the log is whole then
		text, err := os.ReadFile(log)
		if err != nil || !strings.Contains(string(text), "192.0.2.1 - - [") || strings.Contains(string(text), "198.51.100.9") {
			t.Errorf("access log: %s, %v", text, err)
		}
	})
}

func TestProxyProtocol(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "environ.py", "--forwarded-allow-ips", "127.0.0.1", "--proxy-protocol", "--log-level", "debug")
		w := s.dial()
		w.send("PROXY TCP4 192.0.2.1 192.0.2.80 4711 443\r\n", get("/show/x"))
		for range 3 {
			got := w.answer().want(t, 200).object(t)
			for key, value := range map[string]string{"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "SERVER_NAME": "192.0.2.80", "SERVER_PORT": "443"} {
				if got[key] != value {
					t.Errorf("%s is %q, want %q", key, got[key], value)
				}
			}
			w.get("/show/x")
		}
		w = s.dial()
		w.get("/show/x")
		w.gone()
		s.says(`debug 127\.0\.0\.1:\d+ is closed: no header of the PROXY protocol: "GET `)
		w = dialFrom(t, "127.0.0.2", s.address)
		w.get("/show/x")
		w.answer().want(t, 200)
		w.send("PROXY TCP4 192.0.2.1 192.0.2.80 4711 443\r\n\r\n")
		w.answer().want(t, 400)
	})
}

func TestRootPath(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		s := command{script: "files.py", args: []string{folder}, flags: []string{"--root-path", "/outer/app"}}.serve(t, m)
		write(t, folder+"/site/sub/index.html", "index")
		for _, before := range []string{"/outer/app", ""} {
			for _, mount := range []string{"/static", "/handler"} { // served by the loop, and called by a handler
				s.get(before+mount+"/sub/", 200).is(t, "index")
				s.get(before+mount+"/sub?x", 301).field(t, "Location", "/outer/app"+mount+"/sub/?x")
			}
		}
		s = serve(t, m, "environ.py", "--root-path", "/outer/app")
		for target, want := range map[string][2]string{
			"/outer/app/show/x": {"/outer/app/show", "/x"},
			"/show/x":           {"/outer/app/show", "/x"},
			"/outer/app/show":   {"/outer/app/show", ""},
			"/show/%78%2F":      {"/outer/app/show", "/x/"},
		} {
			w := s.dial()
			for range 3 {
				w.get(target)
				got := w.answer().want(t, 200).object(t)
				if got["SCRIPT_NAME"] != want[0] || got["PATH_INFO"] != want[1] {
					t.Errorf("%s: %q and %q, want %q", target, got["SCRIPT_NAME"], got["PATH_INFO"], want)
				}
			}
			got := s.ask(request("POST", target, strings.Repeat("x", 100000))).want(t, 200).object(t)
			if got["SCRIPT_NAME"] != want[0] || got["PATH_INFO"] != want[1] {
				t.Errorf("POST %s: %q and %q, want %q", target, got["SCRIPT_NAME"], got["PATH_INFO"], want)
			}
		}
	})
}
