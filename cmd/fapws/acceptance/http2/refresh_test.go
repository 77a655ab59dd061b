package http2_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const recordStreams = `
	window.streams = []
	window.EventSource = class extends EventSource {
		constructor(address) { super(address); streams.push(this) }
	}`

// If the new code does not load or a handler fails, the page shows the error. A hidden page has no event stream,
// and loads again when it is visible. An open event stream delays neither a reload nor the end of the server.
func TestDevRefreshesAnOpenPageAfterEachChange(t *testing.T) {
	t.Parallel()
	source := func(text string) string {
		return "def handler(environ, start_response):\n" +
			"    start_response('200 OK', [('Content-Type', 'text/html'), ('ETag', '\"1\"')])\n" +
			"    return [b'<!doctype html><link rel=stylesheet href=/style.css><title>page</title><p>" + text + "']\n" +
			"def style(environ, start_response):\n" +
			"    start_response('200 OK', [('Content-Type', 'text/css'), ('Cache-Control', 'max-age=3600')])\n" +
			"    return [b'p { --text: " + text + " }']\n" +
			"def strict(environ, start_response):\n" +
			"    policy = ('Content-Security-Policy', \"default-src 'none'\")\n" +
			"    start_response('200 OK', [('Content-Type', 'text/html'), policy])\n" +
			"    return [b'<!doctype html><p>strict " + text + "']\n" +
			"PATHS = [('/style.css', style), ('/strict', strict), ('/', handler)]\n"
	}
	for workers, serve := range map[string]func(*testing.T, fapwstest.Mode, string, ...string) *fapwstest.Server{
		"1": serveTLS, "2": fapwstest.Serve, // over HTTP/2 and HTTP/1
	} {
		t.Run("workers "+workers, func(t *testing.T) {
			t.Parallel()
			path := fapwstest.Write(t, t.TempDir()+"/app.py", source("one"))
			s := serve(t, fapwstest.Mode{}, path, "--dev", "-w", workers, "--graceful-timeout", "1h")
			s.Complains = true
			ctx := fapwstest.Browser(t, chromedp.IgnoreCertErrors)
			shows := func(text string) {
				t.Helper()
				fapwstest.Must(t, chromedp.Run(ctx, fapwstest.Shows(`document.body?.textContent.includes("`+text+`")`)))
			}
			styled := func(text string) {
				t.Helper()
				fapwstest.Must(t, chromedp.Run(ctx, fapwstest.Shows(`document.querySelector("p") && "`+text+`" ==
					getComputedStyle(document.querySelector("p")).getPropertyValue("--text").trim()`)))
			}
			fapwstest.Must(t, chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) error {
				_, err := page.AddScriptToEvaluateOnNewDocument(recordStreams).Do(ctx)
				return err
			}), chromedp.Navigate(s.URL+"/")))
			shows("one")
			styled("one")
			for _, edit := range [][2]string{
				{source("two"), "two"},
				{"def", "SyntaxError"},
				{source("three"), "three"},
				{strings.Replace(source("four"), "    return", "    raise ValueError('why')\n    return", 1), "why"},
				{source("five"), "five"},
			} {
				fapwstest.Write(t, path, edit[0])
				shows(edit[1])
				if strings.HasPrefix(edit[0], source(edit[1])) {
					styled(edit[1])
				}
			}

			const open = `streams.length > 0 && streams.at(-1).readyState == EventSource.OPEN`
			const closed = `streams.length > 0 && streams.every(({ readyState }) => readyState == EventSource.CLOSED)`
			const changed = `; document.dispatchEvent(new Event("visibilitychange"))`
			var none, old bool
			fapwstest.Must(t, chromedp.Run(ctx,
				fapwstest.Shows(open),
				chromedp.Evaluate(`Object.defineProperty(document, "hidden", { value: true, configurable: true })`+changed, nil)))
			fapwstest.Write(t, path, source("six"))
			fapwstest.Must(t, chromedp.Run(ctx,
				fapwstest.Shows(`(async () => (await (await fetch("/")).text()).includes("six"))()`),
				chromedp.Evaluate(closed, &none),
				chromedp.Evaluate(`document.body.textContent.includes("five")`, &old),
				chromedp.Evaluate(`delete document.hidden`+changed, nil)))
			fapwstest.Truef(t, none && old, "a hidden page has no event stream: %v; is as before: %v", none, old)
			shows("six")
			fapwstest.Must(t, chromedp.Run(ctx, fapwstest.Shows(open), chromedp.Navigate(s.URL+"/strict")))
			shows("strict six")

			s.Stop()
			if out := s.Stdout.String() + s.Stderr.String(); strings.Contains(out, "/_fapws/refresh") {
				t.Errorf("the log of requests contains the event stream: %s", out)
			}
		})
	}
}

func TestDevChangesNothingButDocuments(t *testing.T) {
	t.Parallel()
	const text = "<!doctype html><p>page"
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import gzip
PAGE = b"`+text+`"

def answer(status, *fields, body=PAGE, pieces=False):
    def handler(environ, start_response):
        start_response(status, [("Content-Type", "text/html; charset=utf-8"), *fields])
        return iter([body[:9], body[9:]]) if pieces else [body]
    return handler

def text(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [PAGE]

def fails(environ, start_response):
    raise ValueError("why")

TAG = ("ETag", '"1"'), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"), ("Cache-Control", "max-age=60")
PATHS = [
    ("/page", answer("200 OK", ("Content-Length", "22"), *TAG)),
    ("/pieces", answer("200 OK", *TAG, pieces=True)),
    ("/length", answer("200 OK", ("Content-Length", "22"), *TAG, pieces=True)),
    ("/large", answer("200 OK", *TAG, body=PAGE * 200)),
    ("/error", answer("404 Not Found", *TAG)),
    ("/fails", fails),
    ("/part", answer("206 Partial Content", ("Content-Range", "bytes 0-21/100"), *TAG)),
    ("/coded", answer("200 OK", ("Content-Encoding", "gzip"), *TAG, body=gzip.compress(PAGE, mtime=0))),
    ("/digest", answer("200 OK", ("Repr-Digest", "sha-256=:AA==:"), *TAG)),
    ("/unchanged", answer("304 Not Modified", *TAG, body=b"")),
    ("/download", answer("200 OK", ("Content-Disposition", "attachment"), *TAG)),
    ("/text", text),
]
`)
	appended := regexp.MustCompile(`<script src="(/_fapws/refresh/script\.js\?[\w-]+)" async></script>\n$`)
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(plain.CloseIdleConnections)
	for name, c := range map[string]*http.Client{"HTTP/1": plain, "HTTP/2": client(t), "off": plain} {
		t.Run(name, func(t *testing.T) {
			flags := []string{"--dev"}
			if name == "off" {
				flags = append(flags, "--no-dev-refresh")
			}
			s := serve(t, fapwstest.Threads, script, flags...)
			s.Complains = true
			get := func(method, path, destination string) (*http.Response, string) {
				t.Helper()
				a := send(t, c, method, s.URL+path, nil, "Accept", "text/html", "Accept-Encoding", "identity",
					"Sec-Fetch-Dest", destination)
				defer a.Body.Close()
				body := fapwstest.Try(io.ReadAll(a.Body)).Must(t)
				if n := a.ContentLength; method == "GET" && n >= 0 && n != int64(len(body)) {
					t.Errorf("%s: Content-Length %d, %d bytes", path, n, len(body))
				}
				return a, string(body)
			}
			documents := []string{"/page", "/pieces", "/length", "/large", "/error", "/fails"}
			for _, path := range append(documents, "/part", "/coded", "/text", "/download", "/digest", "/unchanged") {
				as, text := get("GET", path, "empty")
				a, document := get("GET", path, "document")
				own := name == "off" || !slices.Contains(documents, path)
				found := appended.FindStringSubmatch(document)
				switch kept := a.Header.Get("Cache-Control") == as.Header.Get("Cache-Control") &&
					a.Header.Get("ETag") == as.Header.Get("ETag"); {
				case own && (found != nil || document != text && path != "/fails" || !kept):
					t.Errorf("%s: %q %v, want %q", path, document, a.Header, text)
				case own:
				case found == nil:
					t.Errorf("%s: %q", path, document)
				case path != "/fails" && document != text+found[0]:
					t.Errorf("%s: %q, want %q before the script", path, document, text)
				case a.Header.Get("ETag") != "" || a.Header.Get("Last-Modified") != "" ||
					a.Header.Get("Cache-Control") != "no-store":
					t.Errorf("%s: %v", path, a.Header)
				default:
					a, code := get("GET", found[1], "script")
					fapwstest.Truef(t, a.StatusCode == 200 && strings.Contains(code, "EventSource"), "%s: %d %s", found[1],
						a.StatusCode, code)
				}
			}
			a, _ := get("HEAD", "/page", "document")
			h := a.Header
			fapwstest.Truef(t, h.Get("Content-Length") == strconv.Itoa(len(text)) && h.Get("ETag") == `"1"`, "HEAD: %v", h)
			coded := send(t, c, "GET", s.URL+"/large", nil, "Accept-Encoding", "gzip", "Sec-Fetch-Dest", "document")
			defer coded.Body.Close()
			r, err := gzip.NewReader(bytes.NewReader(fapwstest.Try(io.ReadAll(coded.Body)).Must(t)))
			fapwstest.Mustf(t, err, "%v", coded.Header)
			document := fapwstest.Try(io.ReadAll(r)).Must(t)
			fapwstest.Truef(t, appended.Match(document) != (name == "off") &&
				bytes.HasPrefix(document, []byte(strings.Repeat(text, 200))), "compressed: %q", document)
		})
	}
}
