package sites_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func site(t *testing.T) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	s = fapwstest.Command{Script: "files.py", Args: []string{folder}}.Serve(t, fapwstest.Threads)
	fapwstest.Write(t, folder+"/site/one.txt", "0123456789")
	fapwstest.Write(t, folder+"/site/index.html", "<p>index</p>")
	fapwstest.Write(t, folder+"/site/sub/caf\u00e9 & co.txt", "coffee")
	fapwstest.Write(t, folder+"/site/big.bin", strings.Repeat("0123456789abcdef", 1<<17))
	fapwstest.Write(t, folder+"/site/app.js", "plain")
	fapwstest.Write(t, folder+"/site/app.js.gz", "gzipped")
	fapwstest.Write(t, folder+"/site/app.js.br", "brotli")
	fapwstest.Write(t, folder+"/site/.hidden", "hidden")
	fapwstest.Write(t, folder+"/secret", "secret")
	fapwstest.Write(t, folder+"/bare/a.txt", "a")
	fapwstest.Must(t, os.Symlink(folder+"/secret", folder+"/site/link"))
	fapwstest.Must(t, os.Symlink("..", folder+"/site/up"))
	return s, folder
}

func TestStaticFilesHaveFieldsAndConditions(t *testing.T) {
	t.Parallel()
	s, folder := site(t)
	one := s.Get("/static/one.txt", 200).Is(t, "0123456789")
	one.Field(t, "Content-Type", "text/plain; charset=utf-8").Field(t, "Content-Length", "10").Field(t, "Accept-Ranges",
		"bytes")
	fapwstest.Truef(t, strings.Contains(one.Header.Get("Cache-Control"), "max-age=60"), "Cache-Control %q",
		one.Header.Get("Cache-Control"))
	etag, modified := one.Header.Get("ETag"), one.Header.Get("Last-Modified")
	for _, c := range []struct {
		target string
		fields []string
		status int
		body   string
	}{
		{"/static/", nil, 200, "<p>index</p>"},
		{"/static/sub/caf%C3%A9%20%26%20co.txt", nil, 200, "coffee"},
		{"/static/app.js", nil, 200, "plain"},
		{"/static/app.js", []string{"Accept-Encoding: gzip"}, 200, "gzipped"},
		{"/static/app.js", []string{"Accept-Encoding: gzip, br"}, 200, "brotli"},
		{"/static/app.js", []string{"Accept-Encoding: br;q=0, gzip;q=0.5"}, 200, "gzipped"},
		{"/static/one.txt", []string{"If-None-Match: " + etag}, 304, ""},
		{"/static/one.txt", []string{"If-Modified-Since: " + modified}, 304, ""},
		{"/static/one.txt", []string{"If-Match: \"other\""}, 412, ""},
		{"/static/one.txt", []string{"Range: bytes=2-4"}, 206, "234"},
		{"/static/big.bin", []string{"Range: bytes=2097150-"}, 206, "ef"},
		{"/static/nothing", nil, 404, ""},
		{"/static/one.txt/", nil, 404, ""},
		{"/static/.hidden", nil, 404, ""},
		{"/bare/", nil, 404, ""},
		{"/handler/one.txt", nil, 200, "0123456789"},
		{"/handler/one.txt", []string{"Range: bytes=2-4"}, 206, "234"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if method == "HEAD" && strings.Contains(strings.Join(c.fields, ""), "Range:") {
				c.status = 200 // Only GET requests can have ranges (RFC 9110 §14.2).
			}
			a := s.Ask(fapwstest.Request(method, c.target, "", c.fields...))
			fapwstest.Truef(t, a.StatusCode == c.status && a.Err == nil && (method != "GET" || c.body == "" || a.Text == c.body),
				"%s %s %q: %d %.50q, want %d %q", method, c.target, c.fields, a.StatusCode, a.Text, c.status, c.body)
			fapwstest.Truef(t, method == "GET" && c.status != 304 || a.Text == "", "%s %s: body %q", method,
				c.target, a.Text)
		}
	}
	s.Get("/static/sub", 301).Field(t, "Location", "/static/sub/")
	s.Get("/static/app.js", 200, "Accept-Encoding: gzip").Field(t, "Content-Encoding", "gzip").Field(t, "Vary",
		"Accept-Encoding")
	s.Ask(fapwstest.Request("POST", "/static/one.txt", "body")).Want(t, 405).Field(t, "Allow", "GET, HEAD")
	fapwstest.Must(t, os.Remove(folder+"/site/one.txt"))
	fapwstest.Eventually(t, "the removed file is gone", func() bool {
		return s.Ask(fapwstest.Get("/static/one.txt")).StatusCode == 404
	})
}

func TestStaticFilesInsideTheRootAloneAreServed(t *testing.T) {
	t.Parallel()
	s, folder := site(t)
	want := fapwstest.Read(t, folder+"/site/big.bin")
	w := s.Dial()
	for range 3 { // large files are followed by other responses
		w.Send(fapwstest.Get("/static/big.bin"), fapwstest.Get("/handler/big.bin"), fapwstest.Get("/static/one.txt"))
		for range 2 {
			has(w.Answer().Want(t, 200), t, want)
		}
		w.Answer().Is(t, "0123456789")
	}
	for _, path := range []string{
		"../secret", "%2e%2e/secret", "..%2fsecret", "%2e%2e%2fsecret", ".%2e/secret", "sub/../../secret",
		"sub/%2e%2e/%2e%2e/secret",
		"./../secret", "//../secret", "..//secret", "....//secret", "..\\secret", "%5c..%5csecret", "..;/secret",
		"link", "up/secret", "up/site/../secret", "/" + folder + "/secret", "%2f" + strings.TrimPrefix(folder, "/") +
			"/secret",
		"one.txt%00", "secret%00.txt", "..%c0%afsecret", "%252e%252e/secret", "../../../../../../../../etc/passwd",
		"../" + filepath.Base(folder) + "/secret",
	} {
		for _, root := range []string{"/static/", "/handler/"} {
			for _, target := range []string{root + path, "http://test" + root + path} {
				a := s.Ask("GET " + target + " HTTP/1.1\r\nHost: test\r\n\r\n")
				fapwstest.Truef(t, a.StatusCode/100 != 2 && !strings.Contains(a.Text, "root:") &&
					!strings.Contains(a.Text, "secret\n") && a.Text != "secret", "%s: %d %q", target, a.StatusCode, a.Text)
			}
		}
	}
	s.Get("/static/one.txt", 200).Is(t, "0123456789")
}

// The server limits how many large files it compresses at the same time. Further requests wait for up to a second.
func TestCompressionOfLargeFilesNeedsLittleMemory(t *testing.T) {
	t.Parallel()
	s, folder := site(t)
	const files, size = 32, 8 << 20
	var clients []*fapwstest.Client
	for i := range files {
		path := fapwstest.Write(t, fmt.Sprintf("%s/site/large%d.txt", folder, i), "")
		fapwstest.Must(t, os.Truncate(path, size))
		w := s.Dial()
		w.Send(fmt.Sprintf("HEAD /static/large%d.txt HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n", i))
		clients = append(clients, w)
	}
	packed := 0
	for _, w := range clients {
		r := w.Head("HEAD")
		fapwstest.Equalf(t, r.StatusCode, 200, "%s %v", r.Status, r.Header)
		if r.Header.Get("Content-Encoding") == "gzip" {
			packed++
		}
	}
	fapwstest.Truef(t, packed != 0, "none was compressed")
	most := s.Status("VmHWM") << 10
	fapwstest.Truef(t, most <= files*size/2, "it had %d MiB", most>>20)
}
