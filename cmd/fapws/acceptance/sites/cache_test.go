package sites_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

type cacheReport struct{ Entries, Bytes, Limit, Hits, Stale, Misses, Bypassed int64 }

func cacheReportOf(s *fapwstest.Server) (r cacheReport) {
	s.T.Helper()
	stdout := s.Control("status", "--json")
	var report struct{ Cache cacheReport }
	fapwstest.Must(s.T, json.Unmarshal([]byte(stdout), &report))
	return report.Cache
}

type pages struct {
	*fapwstest.Server
	*fapwstest.Client
	calls string
}

func servePages(t *testing.T, m fapwstest.Mode, flags ...string) *pages {
	t.Helper()
	p := &pages{calls: fapwstest.Write(t, t.TempDir()+"/calls", "")}
	p.Server = fapwstest.Command{Script: "cached.py", Flags: flags, Env: []string{"CALLS=" + p.calls}}.Serve(t, m)
	p.Client = p.Server.Dial()
	return p
}

func (p *pages) asks(method, target string, fields ...string) *fapwstest.Answer {
	p.Server.T.Helper()
	return p.Client.Ask(fapwstest.Request(method, target, "", fields...))
}

func (p *pages) saysOf(target, said string, fields ...string) {
	p.Server.T.Helper()
	for i, want := range strings.Fields(said) {
		a := p.asks("GET", target, fields...)
		fapwstest.Equalf(p.Server.T, strings.Join(a.Header.Values("Fapws-Cache"), "+"), strings.Trim(want, "-"),
			"%s %s, answer %d", target, fields, i)
	}
}

func (p *pages) called(path string) int {
	p.Server.T.Helper()
	return strings.Count(string(fapwstest.Try(os.ReadFile(p.calls)).Must(p.Server.T)), " "+path+"\n")
}

func TestCacheKeepsPagesThatARuleAndTheirFieldsAllow(t *testing.T) {
	t.Parallel()
	p := servePages(t, fapwstest.Threads)
	with := func(fields ...string) string {
		q := url.Values{}
		for i := 0; i < len(fields); i += 2 {
			q.Add(fields[i], fields[i+1])
		}
		return "?" + q.Encode()
	}
	for _, c := range []struct{ target, said, field string }{
		{"/plain", "- -", ""},
		{"/plain" + with("Cache-Control", "public, max-age=60"), "- -", ""},
		{"/ttl", "miss hit hit", ""},
		{"/ttl" + with("Set-Cookie", "a=b"), "bypass bypass", ""},
		{"/ttl?auth", "bypass bypass", "Authorization: Basic YTpi"},
		{"/ttl?auth", "miss hit", ""},
		{"/ttl?auth", "bypass", "Authorization: Basic YTpi"},
		{"/ttl?cookie", "bypass bypass", "Cookie: session=1"},
		{"/anyone", "miss hit", "Cookie: session=1"},
		{"/anyone" + with("status", "404"), "miss hit", ""},
		{"/obeys", "bypass bypass", ""},
		{"/obeys" + with("Cache-Control", "max-age=60"), "miss hit", ""},
		{"/vary?a", "miss hit", ""},
		{"/vary?b", "hit", ""},
		{"/vary?b", "miss hit", "X-Device: phone"},
		{"/ttl" + with("Vary", "Accept-Language"), "miss hit", "Accept-Language: de"},
		{"/ttl" + with("Vary", "Accept-Language"), "miss hit", "Accept-Language: en"},
		{"/ttl?ranged", "bypass", "Range: bytes=0-1"},
	} {
		var fields []string
		if c.field != "" {
			fields = []string{c.field}
		}
		p.saysOf(c.target, c.said, fields...)
	}
	a := p.asks("GET", "/ttl"+with("Vary", "Accept-Language"), "Accept-Language: de")
	fapwstest.Truef(t, strings.HasSuffix(a.Text, " de"), "the German page is %q", a.Text)
}

func TestCachedResponseHasFieldsAndBodyOfThePage(t *testing.T) {
	t.Parallel()
	p := servePages(t, fapwstest.Threads)
	const target = `/ttl?ETag="v1"&Content-Type=text/html&X-Own=1&Age=7&Fapws-Cache-Tags=t`
	first := p.asks("GET", strings.ReplaceAll(target, `"`, "%22"))
	hit := p.asks("GET", strings.ReplaceAll(target, `"`, "%22"))
	hit.Is(t, first.Text).Field(t, "Fapws-Cache", "hit", "ETag", `"v1"`, "Content-Type", "text/html", "X-Own", "1",
		"Fapws-Cache-Tags", "", "Content-Length", fmt.Sprint(len(first.Text)))
	age, err := strconv.Atoi(strings.Join(hit.Header.Values("Age"), "+"))
	fapwstest.Truef(t, err == nil && age >= 7, "Age %q", hit.Header.Values("Age"))
	fapwstest.Equalf(t, hit.Status, "200 As told", "status")
	same := p.asks("GET", strings.ReplaceAll(target, `"`, "%22"), `If-None-Match: "v1"`)
	same.Want(t, 304).Field(t, "ETag", `"v1"`, "Fapws-Cache", "hit", "Content-Length", "")
	p.asks("GET", strings.ReplaceAll(target, `"`, "%22"), `If-None-Match: "v2"`).Is(t, first.Text)
	head := p.asks("HEAD", strings.ReplaceAll(target, `"`, "%22"))
	head.Want(t, 200).Field(t, "Content-Length", fmt.Sprint(len(first.Text)), "Fapws-Cache", "hit")
	fapwstest.Equalf(t, head.Text, "", "HEAD has a body")
	fapwstest.Equalf(t, p.called("/ttl"), 1, "calls of the handler")
	p.Client.Send(fapwstest.Get("/ttl"), fapwstest.Get("/ttl"), fapwstest.Get("/ttl"),
		"GET /ttl HTTP/1.0\r\nHost: test\r\n\r\n")
	body := p.Client.Answer().Text
	for range 3 {
		p.Client.Answer().Is(t, body)
	}
	p.Client.Closed()
	fapwstest.Equalf(t, p.called("/ttl"), 2, "calls of the handler")
}

func TestUnsafeRequestInvalidatesThePageInAllWorkers(t *testing.T) {
	t.Parallel()
	const workers = 2
	p := servePages(t, fapwstest.Workers)
	p.fillAll("/ttl/a", workers)
	p.fillAll("/ttl/a?b", workers)
	p.fillAll("/ttl/c", workers)
	p.asks("POST", "/ttl/a?status=500").Want(t, 500)
	p.saysOf("/ttl/a", "hit")
	p.asks("POST", "/ttl/a").Want(t, 200)
	fapwstest.Eventually(t, "one page is left", func() bool { return cacheReportOf(p.Server).Entries == int64(workers) })
	p.saysOf("/ttl/a", "miss")
	p.saysOf("/ttl/c", "hit")
}

func TestStalePageDoesNotWaitForTheNewPage(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		p := servePages(t, m, "--x-sendfile", os.TempDir())
		old := p.asks("GET", "/second").Text
		p.saysOf("/sent", "miss")
		var a *fapwstest.Answer
		fapwstest.Eventually(t, "it is stale", func() bool {
			a = p.asks("GET", "/second")
			return a.Header.Get("Fapws-Cache") != "hit"
		})
		a.Is(t, old).Field(t, "Fapws-Cache", "stale")
		fapwstest.Write(t, p.calls+".go", "go")
		fapwstest.Eventually(t, "it is new", func() bool { return p.asks("GET", "/second").Text != old })
		fapwstest.Eventually(t, "it is a file", func() bool { return p.asks("GET", "/sent").Text == "go" })
	})
}

func TestHandlerRunsOnceForManyClientsThatWaitForAPage(t *testing.T) {
	t.Parallel()
	p := servePages(t, fapwstest.Threads) // Inline, a handler that waits would delay all other requests.
	const n = 200
	var clients [n]*fapwstest.Client
	for i := range clients {
		clients[i] = p.Server.Dial()
		clients[i].Get("/slow")
	}
	fapwstest.Eventually(t, "all have asked", func() bool {
		r := cacheReportOf(p.Server)
		return r.Hits+r.Misses == n
	})
	fapwstest.Write(t, p.calls+".go", "")
	said, texts := map[string]int{}, map[string]int{}
	for _, w := range clients {
		a := w.Answer().Want(t, 200)
		said[a.Header.Get("Fapws-Cache")]++
		texts[a.Text]++
	}
	fapwstest.Truef(t, said["miss"] == 1 && said["hit"] == n-1 && len(texts) == 1 && p.called("/slow") == 1,
		"Fapws-Cache: %v, texts: %v, %d calls of the handler", said, texts, p.called("/slow"))
}

func TestPurgesAffectAllWorkers(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		workers := 1
		if m.Workers() {
			workers = 2
		}
		p := servePages(t, m)
		purged := func(n int, words ...string) {
			t.Helper()
			want := fmt.Sprintf("purged %d pages\n", n)
			if n == 1 {
				want = "purged 1 page\n"
			}
			code, stdout, stderr := p.Server.Ctl(append([]string{"purge"}, words...)...)
			fapwstest.Truef(t, code == 0 && stdout == want, "purge %v: code %d, %q %q, want %q", words, code, stdout, stderr,
				want)
		}
		fill := func() {
			t.Helper()
			for _, target := range []string{"/ttl/a", "/ttl/a?x", "/ttl/b?Fapws-Cache-Tags=news", "/anyone"} {
				p.fillAll(target, workers)
			}
			// Repeat the request, because the report of a busy worker has no counts.
			checktest.Eventually(t, "four pages in each worker", func() bool {
				return cacheReportOf(p.Server).Entries == int64(4*workers)
			})
		}
		fill()
		purged(2*workers, "/ttl/a")
		purged(0, "/ttl/a")
		purged(0, "/ttl/b", "--host", "other")
		purged(workers, "/ttl/b", "--host", "test")
		fill()
		purged(workers, "/ttl/a?x")
		purged(2*workers, "/ttl/*")
		fill()
		purged(workers, "--tag", "news")
		purged(3*workers, "--all")
		for _, wrong := range [][]string{{"purge"}, {"purge", "ttl"}} {
			code, _, stderr := p.Server.Ctl(wrong...)
			fapwstest.Truef(t, code != 0 && strings.Count(stderr, "\n") == 1, "%v: code %d, %q", wrong, code, stderr)
		}

		for query, left := range map[string]int{"/ttl/a": 2, "/ttl/*": 1, "%20news": 3, "*": 0, "/ttl/a?x": 3} {
			fill()
			p.Server.Get("/forget?"+strings.ReplaceAll(query, "?", "%3F"), 200).Is(t, "forgotten")
			fapwstest.Eventually(t, "all have purged "+query, func() bool {
				return cacheReportOf(p.Server).Entries == int64(left*workers)
			})
			code, _, stderr := p.Server.Ctl("purge", "--all")
			fapwstest.Needf(t, code == 0, "%q", stderr)
		}
		// After a handler that purges a page has responded, requests no longer get the page from the cache.
		p.Client = p.Server.Dial()
		p.saysOf("/ttl/c", "miss hit")
		p.asks("GET", "/forget?/ttl/c").Is(t, "forgotten")
		p.saysOf("/ttl/c", "miss")
		p.saysOf("/ttl/c", "hit")
		p.asks("GET", "/child").Is(t, "7")
		p.saysOf("/ttl/c", "hit")
		p.asks("GET", "/forget?ttl").Is(t, "purge: a path must begin with a slash, not 'ttl'")
	})
}

func (p *pages) fillAll(target string, n int) {
	p.Server.T.Helper()
	seen := map[string]bool{}
	fapwstest.Eventually(p.Server.T, target+" is kept by all", func() bool {
		pid, _, _ := strings.Cut(p.Server.Get(target, 200).Text, " ")
		seen[pid] = true
		return len(seen) == n
	})
}

func TestCacheMaxSizeLimitsTheCache(t *testing.T) {
	t.Parallel()
	p := servePages(t, fapwstest.Threads, "--cache-max-size", "0")
	p.saysOf("/ttl", "- -")
	p = servePages(t, fapwstest.Threads, "--cache-max-size", "100K", "--cache")
	p.saysOf("/plain", "bypass bypass") // --cache keeps only responses with a lifetime
	p.saysOf("/plain?Cache-Control=max-age%3D60", "miss hit")
	p.saysOf("/ttl", "miss hit")
	for i := range 100 {
		p.saysOf(fmt.Sprintf("/large?%d", i), "miss hit")
	}
	r := cacheReportOf(p.Server)
	fapwstest.Truef(t, r.Limit == 100<<10 && r.Bytes <= r.Limit && r.Entries >= 15 && r.Entries <= 25, "%+v", r)
	p.saysOf("/large?0", "miss")
	p.saysOf("/large?99", "hit")
}

func TestCacheCompressesPages(t *testing.T) {
	t.Parallel()
	p := servePages(t, fapwstest.Threads)
	plain := p.asks("GET", "/large").Field(t, "Vary", "Accept-Encoding", "Content-Encoding", "")
	for _, coding := range []string{"gzip", "zstd"} {
		var a *fapwstest.Answer
		fapwstest.Eventually(t, coding, func() bool {
			a = p.asks("GET", "/large", "Accept-Encoding: "+coding)
			return a.Header.Get("Content-Encoding") == coding
		})
		a.Field(t, "Fapws-Cache", "hit", "Vary", "Accept-Encoding", "Content-Length", fmt.Sprint(len(a.Text)))
		fapwstest.Truef(t, len(a.Text) <= len(plain.Text)/2, "%s has %d bytes", coding, len(a.Text))
	}
	p.asks("GET", "/large").Is(t, plain.Text).Field(t, "Content-Encoding", "")
}

func TestCacheRulesOfRoutesApplyToAllSources(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	calls := fapwstest.Write(t, folder+"/calls", "")
	script := fapwstest.Write(t, folder+"/cgi/date", `#!/bin/sh
echo "GET $SCRIPT_NAME" >> "`+calls+`"
echo "Content-Type: text/plain"
[ -z "$QUERY_STRING" ] || echo "$QUERY_STRING" | tr + ' '
echo
date +%s%N
`)
	fapwstest.Must(t, os.Chmod(script, 0o755))
	config := fapwstest.Write(t, folder+"/fapws.toml", `
cache = true
cache-max-size = "1M"
access-log = "access.log"
access-log-format = "%U%q %{Fapws-Cache}o"
[[host]]
cache = "60s"
route = [
  { prefix = "/cgi/", cgi = "cgi" },
  { prefix = "/obeys/", cgi = "cgi", cache = true },
  { prefix = "/never/", cgi = "cgi", cache = false },
  { prefix = "/one/", cgi = "cgi", cache = { ttl = "60s", query = false, cookies = "ignore" } },
  { prefix = "/app", app = "`+fapwstest.Testdata(t, "cached.py")+`" },
]
`)
	p := &pages{calls: calls, Server: fapwstest.Command{Flags: []string{"-c", config}, Env: []string{"CALLS=" + calls},
		Dir: folder}.Serve(t, fapwstest.Threads)}
	p.Client = p.Server.Dial()
	p.saysOf("/cgi/date", "miss hit")
	p.saysOf("/cgi/date?Set-Cookie:+a=b", "bypass bypass")
	p.saysOf("/obeys/date", "bypass bypass")
	p.saysOf("/obeys/date?Cache-Control:+max-age=60", "miss hit hit")
	p.saysOf("/never/date?Cache-Control:+max-age=60", "- -")
	p.saysOf("/one/date?X:+1", "miss hit", "Cookie: a=b")
	p.saysOf("/one/date?X:+2", "hit")
	p.saysOf("/app/plain", "miss hit")
	p.saysOf("/app/obeys", "bypass")
	fapwstest.Equalf(t, p.called("/one/date"), 1, "runs of the program")
	fapwstest.FileSays(t, folder+"/access.log", "/cgi/date miss\n/cgi/date hit\n")
	fapwstest.FileSays(t, folder+"/access.log", "/never/date?Cache-Control:+max-age=60 -\n")
}
