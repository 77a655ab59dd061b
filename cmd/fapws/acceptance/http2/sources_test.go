package http2_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestCacheAndSendfileAnswerHTTP2Streams(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	data := bytes.Repeat([]byte("0123456789"), 50_000)
	fapwstest.Must(t, os.WriteFile(filepath.Join(folder, "file.bin"), data, 0o644))
	s := serve(t, fapwstest.Threads, "app.py", "--cache", "--x-sendfile", folder)
	c := client(t)
	for range 3 {
		ask(t, c, "GET", s.URL+"/counted", nil, "If-None-Match", `"x"`).Is(t, "call 1")
		ask(t, c, "GET", s.URL+"/sends?file.bin", nil).Is(t, string(data))
		fapwstest.Equal(t, ask(t, c, "GET", s.URL+"/sends?file.bin", nil, "Range", "bytes=-5").Want(t, 206).Text, "56789")
	}
}

func TestSiteAnswersHTTP2Streams(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fapwstest.WriteProgram(t, folder+"/bin/show",
		"#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\necho \"$SERVER_PROTOCOL $REQUEST_METHOD $CONTENT_LENGTH "+
			"$HTTP_X_A\"\ncat\n")
	fapwstest.Write(t, folder+"/site/index.html", "<p>index")
	fapwstest.Write(t, folder+"/users", "me:$2y$10$lP4Z66de1F0UBU/3dt5Az.fX1o55Ghm9TrPJwJKwQh1sJ11PpmfMK\n")
	fapwstest.Write(t, folder+"/site/404.html", "<p>none of it")
	file := fapwstest.Write(t, folder+"/fapws.toml", `
[[host]]
name = "site.example"
default = true
root = "site"
error-page = { 404 = "/404.html" }
headers = { X-Rule = "yes" }
route = [{ prefix = "/cgi-bin/", cgi = "bin" }, { prefix = "/private", auth = { realm = "x", users = "users" } }]
`)
	s := fapwstest.Command{Flags: []string{"-c", file, "--h2c"}, Dir: folder}.Serve(t, fapwstest.Mode{})
	c := client(t)
	body := strings.Repeat("x", 100_000)
	for range 5 {
		a := ask(t, c, "POST", s.URL+"/cgi-bin/show", strings.NewReader(body), "X-A", "b")
		a.Is(t, "HTTP/2.0 POST 100000 b\n"+body).Field(t, "X-Rule", "yes")
	}
	fapwstest.Equal(t, ask(t, c, "GET", s.URL+"/nothing", nil).Want(t, 404).Text, "<p>none of it")
	for password, want := range map[string]int{"": 401, "me:wrong": 401, "me:secret": 404} {
		var fields []string
		if password != "" {
			fields = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(password))}
		}
		fapwstest.Equalf(t, ask(t, c, "GET", s.URL+"/private", nil, fields...).StatusCode, want, "%q", password)
	}
	for i := range 20 {
		ask(t, c, "GET", fmt.Sprintf("%s/?%d", s.URL, i), nil).Is(t, "<p>index")
	}
}

func TestApplicationsEndResponsesWithTrailers(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "asgi.py:app")
	c := client(t)
	a := strings.Repeat("b", 10_000) + " c"
	for _, size := range []int{0, 5, 10_000, 1 << 20} {
		r := ask(t, c, "GET", fmt.Sprintf("%s/trailers?%d", s.URL, size), nil)
		fapwstest.Truef(t, len(r.Text) == size && r.Trailer.Get("X-Sum") == fmt.Sprint(size) &&
			strings.Join(r.Trailer["X-A"], " ") == a, "%d bytes: %d, %.200q", size, len(r.Text), r.Trailer)
	}
	r := ask(t, c, "GET", s.URL+"/trailers?file", nil)
	fapwstest.Truef(t, strings.HasPrefix(r.Text, "import asyncio\n") && r.Trailer.Get("X-Sum") == "file" &&
		r.ContentLength == int64(len(r.Text)), "a file: length %d, %.200q, %.200q", r.ContentLength, r.Text, r.Trailer)
	head := ask(t, c, "HEAD", s.URL+"/trailers?5", nil).Is(t, "")
	fapwstest.Equalf(t, len(head.Trailer), 0, "HEAD: %q", head.Trailer)
	ask(t, c, "GET", s.URL+"/early", nil).Is(t, "early")
}

func TestProxyForwardsTrailersAndAnnouncesThem(t *testing.T) {
	t.Parallel()
	behind := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, Location")
		fmt.Fprint(w, strings.Repeat("x", 100_000))
		w.Header().Set("X-Sum", "1")
		w.Header().Set("Location", "/")
		w.Header().Set(http.TrailerPrefix+"X-A", "TE="+r.Header.Get("TE"))
	})
	s := fapwstest.ServeProxy(t, behind.URL, "", "--h2c")
	check := func(r *fapwstest.Answer, want map[string]string) {
		t.Helper()
		fapwstest.Truef(t, len(r.Text) == 100_000 && len(r.Trailer) == len(want), "%d bytes, %q", len(r.Text), r.Trailer)
		for name, value := range want {
			fapwstest.Equalf(t, r.Trailer.Get(name), value, "%s: %q", name, r.Trailer)
		}
	}
	c := client(t)
	check(ask(t, c, "GET", s.URL, nil), map[string]string{"X-Sum": "1", "X-A": "TE="})
	check(ask(t, c, "GET", s.URL, nil, "TE", "trailers"), map[string]string{"X-Sum": "1", "X-A": "TE=trailers"})
	check(s.Get("/", 200, "TE: trailers"), map[string]string{"X-Sum": "1", "X-A": "TE=trailers"})
	check(s.Get("/", 200), nil)
	s = fapwstest.ServeProxy(t, behind.URL, `cache = "60s"`+"\n", "--h2c")
	for range 2 {
		check(ask(t, c, "GET", s.URL, nil), nil)
	}
}

type events struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
}

func subscribe(t *testing.T, c *http.Client, url string, fields ...string) *events {
	t.Helper()
	response := send(t, c, "GET", url, nil, fields...)
	t.Cleanup(func() { response.Body.Close() })
	got := response.Header.Get("Content-Type")
	fapwstest.Needf(t, response.StatusCode == 200 && strings.HasPrefix(got, "text/event-stream"), "%d %s",
		response.StatusCode, got)
	return &events{t, response.Body, bufio.NewReader(response.Body)}
}

func (e *events) next() string {
	e.t.Helper()
	for {
		if data, found := strings.CutPrefix(fapwstest.Try(e.in.ReadString('\n')).Must(e.t), "data:"); found {
			return strings.TrimSpace(data)
		}
	}
}

func TestSubscribersOnOneConnectionGetEachEvent(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Workers, "news.py")
	c := client(t)
	all := fapwstest.Repeat(50, func(int) *events { return subscribe(t, c, s.URL+"/news") })
	say := func(i int) { ask(t, c, "GET", fmt.Sprintf("%s/say?%d", s.URL, i), nil) }
	for i := range 20 {
		say(i)
	}
	for n, e := range all {
		for i := range 20 {
			got := e.next()
			fapwstest.Needf(t, got == fmt.Sprint(i), "subscriber %d got %s instead of event %d", n, got, i)
		}
	}
	all[0].body.Close()
	say(20)
	fapwstest.Equal(t, all[1].next(), "20")
	again := subscribe(t, c, s.URL+"/news", "Last-Event-ID", "17")
	for _, want := range []string{"18", "19", "20"} {
		fapwstest.Equal(t, again.next(), want)
	}
}

func TestStreamsOfSubscribersEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "news.py")
	e := subscribe(t, client(t), s.URL+"/news")
	s.Signal(15)
	_, err := io.ReadAll(e.in)
	fapwstest.Equal(t, err, nil)
	s.EndsWith(0)
}
