package sites_test

import (
	"net"
	"os"
	"regexp"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// ownPageForm matches pages that the server itself makes for browsers, which have a sentence and a link back.
var ownPageForm = regexp.MustCompile(`(?s)^<!doctype html>.*color-scheme:light dark.*<h1>[A-Z][^<]+</h1>\n` +
	`<p>[^<]+</p>\n<p>(<a class="do" href="">Try again</a> )?<a class="do" href="/">Home page</a></p>`)

func ownPage(t *testing.T, a *fapwstest.Answer) {
	t.Helper()
	a.Field(t, "Content-Type", "text/html; charset=utf-8")
	fapwstest.Truef(t, ownPageForm.MatchString(a.Text), "%d is %q", a.StatusCode, a.Text)
}

func TestErrorsOfAllSourcesHaveTheSamePage(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	fapwstest.Must(t, err)
	fapwstest.Must(t, gone.Close())
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			dir := t.TempDir()
			fapwstest.Write(t, dir+"/app.py", `
import time

from fapws import HTTPError


def application(environ, start_response):
    what = environ["PATH_INFO"]
    if what == "/waits":
        time.sleep(3)
    if what == "/missing":
        raise HTTPError(404)
    if what == "/wrong":
        return 5
    raise ValueError(what)
`)
			fapwstest.Write(t, dir+"/cgi/empty", "#!/bin/sh\n")
			fapwstest.Must(t, os.Chmod(dir+"/cgi/empty", 0o755))
			conf := fapwstest.Write(t, dir+"/fapws.toml", `
[[host]]
[[host.route]]
prefix = "/app"
app = "app.py:application"
[[host.route]]
prefix = "/cgi"
cgi = "cgi"
[[host.route]]
prefix = "/gone"
proxy = "http://`+gone.Addr().String()+`"
[[host.route]]
prefix = "/none"
status = 404
`)
			s := fapwstest.Command{Flags: []string{"--timeout", "1", "-c", conf}, Dir: dir, Complains: true}.Serve(t, m)
			for target, status := range map[string]int{"/app/raises": 500, "/app/wrong": 500, "/app/waits": 504,
				"/cgi/empty": 502, "/gone/": 502} {
				ownPage(t, s.Get(target, status, "Accept: text/html"))
				s.Get(target, status, "Accept: application/json").Field(t, "Content-Type", "text/plain; charset=utf-8")
			}
			own, raised := s.Get("/none", 404, "Accept: text/html"), s.Get("/app/missing", 404, "Accept: text/html")
			fapwstest.Equalf(t, own.Text, raised.Text, "HTTPError")
		})
}

func TestErrorsOfASGIApplicationsHaveTheSamePage(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import asyncio


async def application(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/waits":
        await asyncio.sleep(5)
    if scope["path"] == "/raises":
        raise ValueError
`)
	s := fapwstest.Command{Flags: []string{"--timeout", "1"}, Script: script, Complains: true}.Serve(t,
		fapwstest.Threads)
	for target, status := range map[string]int{"/raises": 500, "/nothing": 500, "/waits": 504} {
		ownPage(t, s.Get(target, status, "Accept: text/html"))
		s.Get(target, status).Field(t, "Content-Type", "text/plain; charset=utf-8")
	}
}
