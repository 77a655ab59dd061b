package sites_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func sendURL(how, status string, fields ...string) string {
	q := url.Values{"how": {how}, "h": fields}
	if status != "" {
		q.Set("s", status)
	}
	return "/send?" + q.Encode()
}

func sendSite(t *testing.T, m fapwstest.Mode) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	fapwstest.Write(t, folder+"/files/one.txt", "0123456789")
	fapwstest.Write(t, folder+"/files/.hidden/caf\u00e9 \\ 100%.txt", "hidden")
	fapwstest.Write(t, folder+"/files/both.txt", "plain")
	fapwstest.Write(t, folder+"/files/both.txt.gz", "somebody else's")
	fapwstest.Write(t, folder+"/files/big.bin", strings.Repeat("0123456789abcdef", 1<<17))
	fapwstest.Write(t, folder+"/more/two.txt", "two")
	fapwstest.Write(t, folder+"/secret", "secret")
	for name, to := range map[string]string{"files/out": folder + "/secret", "files/up": "..", "files/in": "one.txt",
		"linked": "more"} {
		fapwstest.Must(t, os.Symlink(to, folder+"/"+name))
	}
	fapwstest.Must(t, os.Mkdir(folder+"/files/dir", 0o755))
	return fapwstest.Command{Script: "sendfile.py", Flags: []string{
		"--x-sendfile", folder + "/files," + folder + "/linked",
		"--x-accel", "/p/=" + folder + "/files,/p/more=" + folder + "/more",
	}}.Serve(t, m), folder
}

func TestXSendfileReplacesTheBody(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, _ := sendSite(t, m)
		for how, want := range map[string]string{
			"list": "", "empty": "", "str": "", "dict": "", "file": "", "write": "", "headers": "", "wrapper": "close",
			"body": "close", "generator": "", "late": "begin", "late body": "next close",
		} {
			w := s.Dial()
			for _, field := range []string{"X-Sendfile: one.txt", "x-accel-redirect: /p/one.txt"} {
				target := sendURL(how, "", field, "Content-Length: 3", "Set-Cookie: a=b", "Cache-Control: private",
					"X-Kept: yes")
				a := w.Fetch(target).Is(t, "0123456789").Field(t, "Content-Type", "text/plain; charset=utf-8").Field(t,
					"Content-Length", "10")
				a.Field(t, "Set-Cookie", "a=b").Field(t, "Cache-Control", "private").Field(t, "X-Kept", "yes").Field(t,
					"Accept-Ranges", "bytes")
				a.Field(t, "X-Sendfile", "").Field(t, "X-Accel-Redirect", "")
				if a.Header.Get("ETag") == "" || a.Header.Get("Last-Modified") == "" {
					t.Errorf("%s: %v", how, a.Header)
				}
				w.Fetch("/seen").Is(t, want)
				w.Send(fapwstest.Request("HEAD", target, ""))
				w.AnswerTo("HEAD").Is(t, "").Field(t, "Content-Length", "10").Field(t, "X-Kept", "yes").Field(t,
					"X-Sendfile", "")
			}
		}
	})
}

func TestXSendfileOfAnErrorOrMissingFileFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "sendfile.py", Flags: []string{"--x-sendfile", folder}, Complains: true}.Serve(t,
		fapwstest.Threads)
	w := s.Dial()
	w.Fetch(sendURL("failed", "", "X-Sendfile: one.txt")).Want(t, 500, "Internal Server Error")
	w.Fetch(sendURL("replaced", "", "X-Sendfile: one.txt")).Want(t, 500, "not a file")
	// X-Accel-Redirect is not enabled for this application, so the server forwards the field to the client.
	w.Fetch(sendURL("list", "", "X-Accel-Redirect: /p/one.txt")).Is(t, "droppedtoo").Field(t, "X-Accel-Redirect",
		"/p/one.txt")
	w.Fetch(sendURL("list", "", "X-Sendfile:  ")).Is(t, "droppedtoo").Field(t, "X-Sendfile", "")
}

func TestXSendfileAllowsOnlyFilesBelowItsDirectories(t *testing.T) {
	t.Parallel()
	s, folder := sendSite(t, fapwstest.Threads)
	for _, c := range []struct {
		field, body string // expected body; "" means status 404
	}{
		{"X-Sendfile: " + folder + "/files/one.txt", "0123456789"},
		{"X-Sendfile: " + folder + "/linked/two.txt", "two"},
		{"X-Sendfile: " + folder + "/more/two.txt", "two"},
		{"X-Sendfile: " + folder + "/files/../files//one.txt", "0123456789"},
		{"X-Sendfile: in", "0123456789"},
		{"X-Sendfile: .hidden/caf\u00e9 \\ 100%.txt", "hidden"}, // the bytes of the name, as WSGI encodes them
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
		a := s.Get(sendURL("list", "", c.field, "Cache-Control: public, max-age=9", "Content-Disposition: attachment"),
			status, "Accept-Encoding: gzip")
		if status == 200 {
			a.Is(t, c.body)
		} else {
			a.Field(t, "Cache-Control", "").Field(t, "Content-Disposition", "")
		}
	}
	s.Says(`warning client \S+: X-Sendfile: "\.\./secret" cannot be sent: `)
	s.Says(
		`warning client \S+: X-Sendfile: "/etc/passwd" cannot be sent: not in a directory from which files may be sent`)
	s.Says(`warning client \S+: X-Accel-Redirect: "/p/moreover" cannot be sent: no such file or directory`)
}

func TestXSendfileObeysConditionsAndRanges(t *testing.T) {
	t.Parallel()
	s, _ := sendSite(t, fapwstest.Threads)
	one := s.Get(sendURL("empty", "", "X-Sendfile: one.txt"), 200)
	etag := one.Header.Get("ETag")
	for _, c := range []struct {
		name   string
		status string
		fields []string
		asked  []string
		want   int
		body   string
		gives  map[string]string
	}{
		{"a range", "", nil, []string{"Range: bytes=2-4"}, 206, "234",
			map[string]string{"Content-Range": "bytes 2-4/10"}},
		{"no range", "", nil, []string{"Range: bytes=10-"}, 416, "416 Range Not Satisfiable\n", nil},
		{"known", "", []string{"Content-Disposition: attachment", "Set-Cookie: a=b"},
			[]string{"If-None-Match: " + etag}, 304, "",
			map[string]string{"Content-Disposition": "", "Set-Cookie": "a=b", "ETag": etag}},
		{"other", "", nil, []string{"If-Match: \"x\""}, 412, "412 Precondition Failed\n", nil},
		{"the application's validators", "", []string{"ETag: \"x\"", "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT",
			"Accept-Ranges: none"}, []string{"If-None-Match: \"x\""}, 200, "0123456789",
			map[string]string{"ETag": etag, "Accept-Ranges": "bytes"}},
		{"the application's range", "206 Partial Content", []string{"Content-Range: bytes 0-1/10", "Content-Length: 2"},
			nil, 200, "0123456789", map[string]string{"Content-Range": ""}},
		{"the application's type", "", []string{"Content-Type: text/x"}, nil, 200, "0123456789",
			map[string]string{"Content-Type": "text/x"}},
		{"its type in a range", "", []string{"Content-Type: text/x"}, []string{"Range: bytes=0-0"}, 206, "0",
			map[string]string{"Content-Type": "text/x"}},
		{"an error page", "403 Go away", nil, []string{"Range: bytes=2-4", "If-None-Match: " + etag}, 403, "0123456789",
			nil},
		{"not 200", "201 Created", nil, nil, 200, "0123456789", nil},
		{"no content", "204 No Content", nil, nil, 200, "0123456789", nil},
	} {
		target := sendURL("empty", c.status, append(c.fields, "X-Sendfile: one.txt")...)
		a := s.Get(target, c.want, c.asked...)
		if a.Text != c.body {
			t.Errorf("%s: %q", c.name, a.Text)
		}
		for name, value := range c.gives {
			a.Field(t, name, value)
		}
	}
	a := s.Get(sendURL("empty", "", "X-Sendfile: one.txt", "Content-Type: text/x"), 206, "Range: bytes=0-0,2-2")
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "multipart/byteranges;") ||
		strings.Count(a.Text, "Content-Type: text/x\r\n") != 2 {
		t.Errorf("%v %q", a.Header, a.Text)
	}
	s.Ask(fapwstest.Request("POST", sendURL("empty", "", "X-Sendfile: one.txt"), "form", "Range: bytes=2-4",
		"If-None-Match: "+etag)).Is(t, "0123456789")
	big := s.Get(sendURL("empty", "", "X-Sendfile: big.bin"), 200)
	if big.Text != strings.Repeat("0123456789abcdef", 1<<17) {
		t.Errorf("%d bytes", len(big.Text))
	}
	if text := s.Ask(fapwstest.Request("GET", sendURL("empty", "403 Go away", "X-Sendfile: one.txt"), "")).
		Status; text != "403 Go away" {
		t.Errorf("status %q", text)
	}
}

func TestXSendfileIsForwardedWithoutTheSetting(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "sendfile.py")
	a := s.Get(sendURL("list", "", "X-Sendfile: sendfile.py", "X-Accel-Redirect: /x"), 200).Is(t, "droppedtoo")
	a.Field(t, "X-Sendfile", "sendfile.py").Field(t, "X-Accel-Redirect", "/x")
	c := fapwstest.Command{Script: "sendfile.py", Flags: []string{"--bind", "127.0.0.1:0", "--x-sendfile",
		"/nowhere/at/all"}}
	c.Fails(t, 2, "--x-sendfile: /nowhere/at/all: no such file or directory")
}
