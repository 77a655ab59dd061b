package acceptance

import (
	"net/url"
	"os"
	"strings"
	"testing"
)

// sendURL is a request to sendfile.py.
func sendURL(how, status string, fields ...string) string {
	q := url.Values{"how": {how}, "h": fields}
	if status != "" {
		q.Set("s", status)
	}
	return "/send?" + q.Encode()
}

func sendSite(t *testing.T, m mode) (s *server, folder string) {
	t.Helper()
	folder = t.TempDir()
	write(t, folder+"/files/one.txt", "0123456789")
	write(t, folder+"/files/.hidden/caf\u00e9 \\ 100%.txt", "hidden")
	write(t, folder+"/files/both.txt", "plain")
	write(t, folder+"/files/both.txt.gz", "somebody else's")
	write(t, folder+"/files/big.bin", strings.Repeat("0123456789abcdef", 1<<17))
	write(t, folder+"/more/two.txt", "two")
	write(t, folder+"/secret", "secret")
	for name, to := range map[string]string{"files/out": folder + "/secret", "files/up": "..", "files/in": "one.txt", "linked": "more"} {
		if err := os.Symlink(to, folder+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(folder+"/files/dir", 0o755); err != nil {
		t.Fatal(err)
	}
	return command{script: "sendfile.py", flags: []string{
		"--x-sendfile", folder + "/files," + folder + "/linked",
		"--x-accel", "/p/=" + folder + "/files,/p/more=" + folder + "/more",
	}}.serve(t, m), folder
}

func TestSendfileResults(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := sendSite(t, m)
		for how, want := range map[string]string{
			"list": "", "empty": "", "str": "", "dict": "", "file": "", "write": "", "headers": "", "wrapper": "close",
			"body": "close", "generator": "", "late": "begin", "late body": "next close",
		} {
			w := s.dial()
			for _, field := range []string{"X-Sendfile: one.txt", "x-accel-redirect: /p/one.txt"} {
				target := sendURL(how, "", field, "Content-Length: 3", "Set-Cookie: a=b", "Cache-Control: private", "X-Kept: yes")
				w.get(target)
				a := w.answer().is(t, "0123456789").field(t, "Content-Type", "text/plain; charset=utf-8").field(t, "Content-Length", "10")
				a.field(t, "Set-Cookie", "a=b").field(t, "Cache-Control", "private").field(t, "X-Kept", "yes").field(t, "Accept-Ranges", "bytes")
				a.field(t, "X-Sendfile", "").field(t, "X-Accel-Redirect", "")
				if a.Header.Get("ETag") == "" || a.Header.Get("Last-Modified") == "" {
					t.Errorf("%s: %v", how, a.Header)
				}
				w.get("/seen")
				w.answer().is(t, want)
				w.send(request("HEAD", target, ""))
				w.answerTo("HEAD").is(t, "").field(t, "Content-Length", "10").field(t, "X-Kept", "yes").field(t, "X-Sendfile", "")
			}
		}
	})
}

func TestSendfileFailures(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		s := command{script: "sendfile.py", flags: []string{"--x-sendfile", folder}, complains: true}.serve(t, m)
		w := s.dial()
		w.get(sendURL("failed", "", "X-Sendfile: one.txt"))
		w.answer().want(t, 500, "Internal Server Error")
		w.get(sendURL("replaced", "", "X-Sendfile: one.txt"))
		w.answer().want(t, 500, "not a file")
		// X-Accel-Redirect is nobody's here, so it is the client's.
		w.get(sendURL("list", "", "X-Accel-Redirect: /p/one.txt"))
		w.answer().is(t, "droppedtoo").field(t, "X-Accel-Redirect", "/p/one.txt")
		w.get(sendURL("list", "", "X-Sendfile:  "))
		w.answer().is(t, "droppedtoo").field(t, "X-Sendfile", "")
	})
}

func TestSendfileNames(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, folder := sendSite(t, m)
		for _, c := range []struct {
			field, body string // no body: 404
		}{
			{"X-Sendfile: " + folder + "/files/one.txt", "0123456789"},
			{"X-Sendfile: " + folder + "/linked/two.txt", "two"},
			{"X-Sendfile: " + folder + "/more/two.txt", "two"}, // links resolved
			{"X-Sendfile: " + folder + "/files/../files//one.txt", "0123456789"},
			{"X-Sendfile: in", "0123456789"},
			{"X-Sendfile: .hidden/caf\u00e9 \\ 100%.txt", "hidden"}, // its bytes, as WSGI writes them
			{"X-Sendfile: both.txt", "plain"},
			{"X-Sendfile: two.txt", ""},
			{"X-Sendfile: " + folder + "/secret", ""},
			{"X-Sendfile: " + folder + "/files/../secret", ""},
			{"X-Sendfile: " + folder + "/files", ""},
			{"X-Sendfile: " + folder + "/filesystem", ""},
			{"X-Sendfile: ../secret", ""},
			{"X-Sendfile: out", ""},
			{"X-Sendfile: up/secret", ""},
			{"X-Sendfile: dir", ""},
			{"X-Sendfile: one.txt/", "0123456789"},
			{"X-Sendfile: one%2Etxt", ""},
			{"X-Sendfile: /etc/passwd", ""},
			{"X-Accel-Redirect: /p/%6Fne.txt?x=%zz", "0123456789"},
			{"X-Accel-Redirect: /p/.hidden/caf%C3%A9%20%5C%20100%25.txt", "hidden"},
			{"X-Accel-Redirect: /p/more/two.txt", "two"},
			{"X-Accel-Redirect: /p/moreover", ""},
			{"X-Accel-Redirect: /p/more/../one.txt", "0123456789"},
			{"X-Accel-Redirect: /p/../secret", ""},
			{"X-Accel-Redirect: /p/%2e%2e/secret", ""},
			{"X-Accel-Redirect: /p/up/secret", ""},
			{"X-Accel-Redirect: /p/one.txt%00", ""},
			{"X-Accel-Redirect: /p/%", ""},
			{"X-Accel-Redirect: @named", ""},
			{"X-Accel-Redirect: /p", ""},
		} {
			status := 200
			if c.body == "" {
				status = 404
			}
			a := s.get(sendURL("list", "", c.field, "Cache-Control: public, max-age=9", "Content-Disposition: attachment"), status, "Accept-Encoding: gzip")
			if status == 200 {
				a.is(t, c.body)
			} else {
				a.field(t, "Cache-Control", "").field(t, "Content-Disposition", "")
			}
		}
		s.says(`warning client \S+: X-Sendfile: "\.\./secret" cannot be sent: `)
		s.says(`warning client \S+: X-Sendfile: "/etc/passwd" cannot be sent: it is in none of the folders that may be sent from`)
		s.says(`warning client \S+: X-Accel-Redirect: "/p/moreover" cannot be sent: no such file or directory`)
	})
}

func TestSendfileConditions(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := sendSite(t, m)
		one := s.get(sendURL("empty", "", "X-Sendfile: one.txt"), 200)
		etag := one.Header.Get("ETag")
		for _, c := range []struct {
			name   string
			status string
			fields []string // of the application
			asked  []string // of the client
			want   int
			body   string
			gives  map[string]string
		}{
			{"a range", "", nil, []string{"Range: bytes=2-4"}, 206, "234", map[string]string{"Content-Range": "bytes 2-4/10"}},
			{"no range", "", nil, []string{"Range: bytes=10-"}, 416, "416 Range Not Satisfiable\n", nil},
			{"known", "", []string{"Content-Disposition: attachment", "Set-Cookie: a=b"}, []string{"If-None-Match: " + etag}, 304, "",
				map[string]string{"Content-Disposition": "", "Set-Cookie": "a=b", "ETag": etag}},
			{"other", "", nil, []string{"If-Match: \"x\""}, 412, "412 Precondition Failed\n", nil},
			{"the application's validators", "", []string{"ETag: \"x\"", "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", "Accept-Ranges: none"}, []string{"If-None-Match: \"x\""}, 200, "0123456789",
				map[string]string{"ETag": etag, "Accept-Ranges": "bytes"}},
			{"the application's range", "206 Partial Content", []string{"Content-Range: bytes 0-1/10", "Content-Length: 2"}, nil, 200, "0123456789", map[string]string{"Content-Range": ""}},
			{"the application's type", "", []string{"Content-Type: text/x"}, nil, 200, "0123456789", map[string]string{"Content-Type": "text/x"}},
			{"its type in a range", "", []string{"Content-Type: text/x"}, []string{"Range: bytes=0-0"}, 206, "0", map[string]string{"Content-Type": "text/x"}},
			{"an error page", "403 Go away", nil, []string{"Range: bytes=2-4", "If-None-Match: " + etag}, 403, "0123456789", nil},
			{"not 200", "201 Created", nil, nil, 200, "0123456789", nil},
			{"no content", "204 No Content", nil, nil, 200, "0123456789", nil},
		} {
			target := sendURL("empty", c.status, append(c.fields, "X-Sendfile: one.txt")...)
			a := s.get(target, c.want, c.asked...)
			if a.body != c.body {
				t.Errorf("%s: %q", c.name, a.body)
			}
			for name, value := range c.gives {
				a.field(t, name, value)
			}
		}
		a := s.get(sendURL("empty", "", "X-Sendfile: one.txt", "Content-Type: text/x"), 206, "Range: bytes=0-0,2-2")
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "multipart/byteranges;") || strings.Count(a.body, "Content-Type: text/x\r\n") != 2 {
			t.Errorf("%v %q", a.Header, a.body)
		}
		s.ask(request("POST", sendURL("empty", "", "X-Sendfile: one.txt"), "form", "Range: bytes=2-4", "If-None-Match: "+etag)).is(t, "0123456789")
		big := s.get(sendURL("empty", "", "X-Sendfile: big.bin"), 200)
		if big.body != strings.Repeat("0123456789abcdef", 1<<17) {
			t.Errorf("%d bytes", len(big.body))
		}
		if text := s.ask(request("GET", sendURL("empty", "403 Go away", "X-Sendfile: one.txt"), "")).Status; text != "403 Go away" {
			t.Errorf("status %q", text)
		}
	})
}

// Without the setting the fields are the application's and its client's.
func TestSendfileIsNotOurs(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "sendfile.py")
		a := s.get(sendURL("list", "", "X-Sendfile: sendfile.py", "X-Accel-Redirect: /x"), 200).is(t, "droppedtoo")
		a.field(t, "X-Sendfile", "sendfile.py").field(t, "X-Accel-Redirect", "/x")
	})
	code, _, stderr := command{script: "sendfile.py", flags: []string{"--bind", "127.0.0.1:0", "--x-sendfile", "/nowhere/at/all"}}.run(t)
	if code != 3 || !strings.Contains(stderr, "X-Sendfile: ") || !strings.Contains(stderr, "/nowhere/at/all: no such file or directory") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestSendfileOfFlask(t *testing.T) {
	needModule(t, "flask")
	inModes(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		write(t, folder+"/one.txt", "0123456789")
		s := command{script: "sendflask.py", args: []string{folder}, flags: []string{"--x-sendfile", folder}}.serve(t, m)
		a := s.get("/file", 200).is(t, "0123456789").field(t, "Content-Disposition", "attachment; filename=x.dat")
		a.field(t, "Content-Type", "application/octet-stream").field(t, "Cache-Control", "public, max-age=60")
		for _, c := range []struct {
			field  string
			status int
			body   string
		}{
			{"Range: bytes=2-4", 206, "234"},
			{"If-None-Match: " + a.Header.Get("ETag"), 304, ""},
			{"If-Modified-Since: " + a.Header.Get("Last-Modified"), 304, ""},
		} {
			if got := s.get("/file", c.status, c.field); got.body != c.body {
				t.Errorf("%s: %q", c.field, got.body)
			}
		}
		s.get("/below/one.txt", 200).is(t, "0123456789")
	})
}

func TestSendfileOfDjango(t *testing.T) {
	needModule(t, "django")
	inModes(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		write(t, folder+"/one.txt", "0123456789")
		write(t, folder+"/caf\u00e9 1.txt", "coffee")
		s := command{script: "senddjango.py", flags: []string{
			"--x-accel", "/protected/=" + folder, "--forwarded-allow-ips", "127.0.0.1", "--root-path", "/outer",
		}}.serve(t, m)
		a := s.get("/below/caf%C3%A9%201.txt", 200).is(t, "coffee").field(t, "Content-Type", "text/plain; charset=utf-8")
		a.field(t, "Content-Disposition", "attachment")
		if len(a.Cookies()) != 1 {
			t.Errorf("%v", a.Header)
		}
		s.get("/stream", 206, "Range: bytes=0-1").want(t, 206, "01")
		s.get("/where", 200, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example").is(t, "https://a.example/outer/where 192.0.2.1")
	})
}
