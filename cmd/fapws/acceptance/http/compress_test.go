package http_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type asked struct {
	Fields [][2]string `json:"fields"`
	Status string      `json:"status,omitempty"`
	Size   int         `json:"size"`
	Pieces bool        `json:"pieces,omitempty"`
}

// overEach runs f with a client of HTTP/1.1 and with a client of HTTP/2.
func overEach(t *testing.T, f func(t *testing.T, c *http.Client)) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) { f(t, newClient(t, protocol)) })
	}
}

func askFor(t *testing.T, c *http.Client, method, url string, a asked, fields ...string) *http.Response {
	t.Helper()
	r := fapwstest.Try(http.NewRequest(method, url, nil)).Must(t)
	r.Header.Set("X-Asked", string(fapwstest.Try(json.Marshal(a)).Must(t)))
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Add(name, value)
	}
	response := fapwstest.Try(c.Do(r)).Must(t)
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func decoded(t *testing.T, r *http.Response) io.Reader {
	t.Helper()
	switch r.Header.Get("Content-Encoding") {
	case "gzip":
		return fapwstest.Try(gzip.NewReader(r.Body)).Must(t)
	case "zstd":
		z := fapwstest.Try(zstd.NewReader(r.Body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<20))).Must(t)
		t.Cleanup(z.Close)
		return z
	}
	return r.Body
}

func TestResponsesOfHandlersAreCompressed(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "compress.py", Flags: []string{"--h2c"}, Complains: true}.Serve(t, fapwstest.Threads)
	html := [2]string{"Content-Type", "text/html; charset=utf-8"}
	with := func(name, value string) [][2]string { return [][2]string{html, {name, value}} }
	overEach(t, func(t *testing.T, c *http.Client) {
		for _, accept := range []string{"gzip", "zstd", "identity"} {
			failing := asked{Fields: [][2]string{{"Bad\nName", "x"}}, Size: 5000}
			r := askFor(t, c, "GET", s.URL, failing, "Accept-Encoding: "+accept)
			fapwstest.Equalf(t, r.StatusCode, 500, "a handler that fails, %s: %s", accept, r.Status)
		}
		for _, tt := range []struct {
			name                  string
			a                     asked
			accept, field, coding string
			varies                bool
		}{
			{"whole", asked{Fields: [][2]string{html}, Size: 5000}, "gzip", "", "gzip", true},
			{"best", asked{Fields: [][2]string{html}, Size: 5000}, "gzip, deflate, br, zstd", "", "zstd", true},
			{"length", asked{Fields: with("Content-Length", "5000"), Size: 5000}, "gzip", "", "gzip", true},
			{"by reference", asked{Fields: [][2]string{html}, Size: 100_000}, "gzip", "", "gzip", true},
			{"pieces", asked{Fields: [][2]string{html}, Size: 50000, Pieces: true}, "gzip", "", "gzip", true},
			{"pieces of zstd", asked{Fields: with("Content-Length", "50000"), Size: 50000, Pieces: true}, "zstd", "",
				"zstd", true},
			{"large", asked{Fields: [][2]string{html}, Size: 9 << 20}, "zstd", "", "zstd", true},
			{"JSON", asked{Fields: [][2]string{{"Content-Type", "application/problem+json"}}, Size: 2000}, "gzip", "",
				"gzip", true},
			{"error", asked{Fields: [][2]string{html}, Status: "404 Not Found", Size: 2000}, "gzip", "", "gzip", true},
			{"small", asked{Fields: [][2]string{html}, Size: 1023}, "gzip", "", "", false},
			{"image", asked{Fields: [][2]string{{"Content-Type", "image/png"}}, Size: 5000}, "gzip", "", "", false},
			{"events", asked{Fields: [][2]string{{"Content-Type", "text/event-stream"}}, Size: 5000}, "gzip", "", "", false},
			{"own coding", asked{Fields: with("Content-Encoding", "br"), Size: 5000}, "gzip", "", "br", false},
			{"range", asked{Fields: with("Content-Range", "bytes 0-4999/9000"), Status: "206 Partial Content",
				Size: 5000}, "gzip", "", "", false},
			{"no-transform", asked{Fields: with("Cache-Control", "public, No-Transform"), Size: 5000}, "gzip", "", "", false},
			{"digest", asked{Fields: with("Repr-Digest", "sha-256=:AA==:"), Size: 5000}, "gzip", "", "", false},
			{"chosen by the application", asked{Fields: with("Vary", "Cookie, accept-encoding"), Size: 5000}, "gzip",
				"", "", true},
			{"no coding accepted", asked{Fields: [][2]string{html}, Size: 5000}, "identity", "", "", true},
			{"no coding named", asked{Fields: [][2]string{html}, Size: 5000}, "", "", "", true},
			{"pieces, no coding named", asked{Fields: [][2]string{html}, Size: 50000, Pieces: true}, "", "", "", true},
			{"image, no coding named", asked{Fields: [][2]string{{"Content-Type", "image/png"}}, Size: 5000}, "", "", "", false},
			{"small, no coding named", asked{Fields: [][2]string{html}, Size: 1023}, "", "", "", false},
			{"refused by a weight", asked{Fields: [][2]string{html}, Size: 5000}, "gzip;q=0", "", "", true},
			{"no-transform of the request", asked{Fields: [][2]string{html}, Size: 5000}, "gzip",
				"Cache-Control: no-transform", "", true},
		} {
			var fields []string
			if tt.accept != "" {
				fields = append(fields, "Accept-Encoding: "+tt.accept)
			}
			if tt.field != "" {
				fields = append(fields, tt.field)
			}
			r := askFor(t, c, "GET", s.URL, tt.a, fields...)
			if got := r.Header.Get("Content-Encoding"); got != tt.coding {
				t.Errorf("%s: coding %q, want %q", tt.name, got, tt.coding)
				continue
			}
			fapwstest.Equalf(t, strings.Contains(strings.ToLower(r.Header.Get("Vary")), "accept-encoding"), tt.varies,
				"%s: Vary", tt.name)
			body, err := io.ReadAll(decoded(t, r))
			fapwstest.Truef(t, err == nil && string(body) == strings.Repeat("some text, ", tt.a.Size)[:tt.a.Size],
				"%s: %v; %d bytes, want %d", tt.name, err, len(body), tt.a.Size)
			whole := tt.coding != "" && tt.coding != "br" && !tt.a.Pieces && tt.a.Size < 8<<20
			fapwstest.Truef(t, !whole || (r.ContentLength > 0 && r.ContentLength < int64(tt.a.Size)), "%s: Content-Length %d",
				tt.name, r.ContentLength)
		}
	})
}

// A client must not combine ranges of the compressed and the uncompressed body, so the ETag is weak, and Accept-Ranges
// is missing.
func TestCompressedResponseHasAWeakTag(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Inline, "compress.py", "--h2c")
	a := asked{Fields: [][2]string{{"Content-Type", "text/html"}, {"ETag", `"v1"`}, {"Accept-Ranges", "bytes"}},
		Size: 4000}
	unchanged := asked{Fields: [][2]string{{"ETag", `"v1"`}}, Status: "304 Not Modified"}
	empty := asked{Fields: a.Fields, Status: "205 Reset Content", Size: 4000}
	overEach(t, func(t *testing.T, c *http.Client) {
		r := askFor(t, c, "GET", s.URL, empty, "Accept-Encoding: gzip")
		fapwstest.Equalf(t, r.Header.Get("Content-Encoding"), "", "205: %v", r.Header)
		for _, accept := range []string{"gzip", "identity"} {
			tag, ranges := `"v1"`, "bytes"
			if accept == "gzip" {
				tag, ranges = `W/"v1"`, ""
			}
			for _, method := range []string{"GET", "HEAD"} {
				r := askFor(t, c, method, s.URL, a, "Accept-Encoding: "+accept)
				fapwstest.Truef(t, r.Header.Get("Etag") == tag && r.Header.Get("Accept-Ranges") == ranges &&
					r.Header.Get("Vary") == "Accept-Encoding", "%s, %s: %v", method, accept, r.Header)
				fapwstest.Equalf(t, r.Header.Get("Content-Encoding"), map[string]string{"gzip": "gzip"}[accept], "%s", method)
				fapwstest.Truef(t, method != "HEAD" || accept != "gzip" || r.Header.Get("Content-Length") == "",
					"HEAD has Content-Length %s", r.Header.Get("Content-Length"))
			}
			r := askFor(t, c, "GET", s.URL, unchanged, "Accept-Encoding: "+accept)
			fapwstest.Truef(t, r.StatusCode == 304 && r.Header.Get("Etag") == tag && r.Header.Get("Vary") == "Accept-Encoding",
				"304, %s: %v", accept, r.Header)
			// The client has an uncompressed response, such as an image.
			r = askFor(t, c, "GET", s.URL, unchanged, "Accept-Encoding: "+accept, `If-None-Match: "v1"`)
			fapwstest.Equalf(t, r.Header.Get("Etag"), `"v1"`, "304, %s: %v", accept, r.Header)
		}
	})
}

// HEAD has the fields of GET. The digest in the trailers is that of the uncompressed body.
func TestCompressedPiecesHaveNoDigest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "compress.py:pieces", "--h2c")
	overEach(t, func(t *testing.T, c *http.Client) {
		for _, method := range []string{"GET", "HEAD"} {
			r := askFor(t, c, method, s.URL, asked{}, "Accept-Encoding: gzip", "TE: trailers")
			var body []byte
			var err error
			if method == "GET" {
				body, err = io.ReadAll(decoded(t, r))
			}
			fapwstest.Truef(t, r.Header.Get("Content-Encoding") == "gzip" && r.Header.Get("Etag") == `W/"v1"` && r.Header.Get("Vary") == "Accept-Encoding" && err == nil &&
				(method != "GET" || (len(body) == 3300 && len(r.Trailer) == 1 && r.Trailer.Get("X-End") == "1")),
				"%s: %v, %v, %d bytes, %v", method, err, r.Header, len(body), r.Trailer)
		}
	})
}

func TestClientGetsEachCompressedLineAsItComes(t *testing.T) {
	modes := []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks}
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "compress.py", "--h2c")
		overEach(t, func(t *testing.T, c *http.Client) {
			for _, coding := range []string{"gzip", "zstd"} {
				file := filepath.Join(t.TempDir(), "file")
				r := askFor(t, c, "GET", s.URL+"/lines", asked{}, "Accept-Encoding: "+coding, "X-File: "+file)
				fapwstest.Needf(t, r.Header.Get("Content-Encoding") == coding, "%v", r.Header)
				lines := bufio.NewReader(decoded(t, r))
				line, err := lines.ReadString('\n')
				fapwstest.Needf(t, err == nil && line == "{\"n\": 1}\n", "%s: %v; %q", coding, err, line)
				fapwstest.Write(t, file, "")
				rest, err := io.ReadAll(lines)
				fapwstest.Needf(t, err == nil && string(rest) == "{\"n\": 2}\n", "%s: %v; %q", coding, err, rest)
			}
		})
	})
}

func TestHandlerWaitsForAClientThatReadsACompressedResponseSlowly(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "compress.py", "--h2c")
	overEach(t, func(t *testing.T, c *http.Client) {
		r := askFor(t, c, "GET", s.URL+"/pours", asked{}, "Accept-Encoding: gzip")
		_, err := io.ReadFull(r.Body, make([]byte, 1<<20))
		fapwstest.Needf(t, err == nil && r.Header.Get("Content-Encoding") == "gzip", "%v; %v", err, r.Header)
		made := func() int { return s.Get("/made", 200).Number(t) }
		n := made()
		fapwstest.Eventually(t, "the handler to wait", func() bool {
			before := n
			n = made()
			return n == before
		})
		if n > 1000 { // so many pieces fill the kernel's socket buffers
			t.Errorf("the handler has made %d of 4000 pieces", n)
		}
	})
}

func TestFurtherOpenResponsesAreSentAsTheyAre(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "compress.py")
	c := newClient(t, "HTTP/1.1")
	coding := func() (string, io.Closer) {
		r := askFor(t, c, "GET", s.URL+"/pours", asked{}, "Accept-Encoding: zstd")
		return r.Header.Get("Content-Encoding"), r.Body
	}
	var first io.Closer
	for i := range 64 {
		got, body := coding()
		fapwstest.Needf(t, got == "zstd", "response %d has the coding %q", i, got)
		if i == 0 {
			first = body
		}
	}
	got, _ := coding()
	fapwstest.Equalf(t, got, "", "the 65th response has the coding")
	first.Close()
	fapwstest.Eventually(t, "a free encoder", func() bool {
		got, body := coding()
		body.Close()
		return got == "zstd"
	})
}

// On a machine with other work, some responses wait for too long, and are sent as they are.
func TestResponsesToBusyClientsAreCompressed(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "compress.py")
	const clients, each = 8, 20
	for _, coding := range []string{"gzip", "zstd"} {
		var coded atomic.Int32
		var all sync.WaitGroup
		for range clients {
			w := s.Dial()
			all.Go(func() {
				for range each {
					answer, err := w.Tries(fapwstest.Get("/numbers", "Accept-Encoding: "+coding))
					if err == nil && answer.Header.Get("Content-Encoding") == coding {
						coded.Add(1)
					}
				}
			})
		}
		all.Wait()
		fapwstest.Truef(t, coded.Load() > clients*each/2, "%s: %d of %d responses are compressed", coding, coded.Load(),
			clients*each)
	}
}

// An attacker's site can make a browser send text that the page then repeats. The length of the compressed page must
// not reveal whether this text occurs in a secret of the page (BREACH).
func TestOtherSitesCannotMeasureCompressedSecrets(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "compress.py", "--h2c", "--forwarded-allow-ips", "127.0.0.1")
	a := asked{Fields: [][2]string{{"Content-Type", "text/html"}}, Size: 3000}
	overEach(t, func(t *testing.T, c *http.Client) {
		for _, tt := range []struct {
			fields []string
			coded  bool
		}{
			{nil, true},
			{[]string{"Cookie: a=b"}, true},
			{[]string{"X-Forwarded-Proto: https"}, true},
			{[]string{"X-Forwarded-Proto: https", "Cookie: a=b"}, false},
			{[]string{"X-Forwarded-Proto: https", "Authorization: Bearer x"}, false},
			{[]string{"X-Forwarded-Proto: https", "Cookie: a=b", "Sec-Fetch-Site: cross-site"}, false},
			{[]string{"X-Forwarded-Proto: https", "Cookie: a=b", "Sec-Fetch-Site: same-site"}, false},
			{[]string{"X-Forwarded-Proto: https", "Cookie: a=b", "Sec-Fetch-Site: same-origin"}, true},
			{[]string{"X-Forwarded-Proto: https", "Cookie: a=b", "Sec-Fetch-Site: none"}, true},
			{[]string{"X-Forwarded-Proto: https", "Cookie: a=b", "Sec-Fetch-Site: cross-site", "Sec-Fetch-User: ?1"}, true},
		} {
			r := askFor(t, c, "GET", s.URL, a, append(tt.fields, "Accept-Encoding: gzip")...)
			fapwstest.Equalf(t, r.Header.Get("Content-Encoding") == "gzip", tt.coded, "%q: compressed", tt.fields)
		}
	})
}

func TestCompressionCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", fapwstest.Read(t, fapwstest.Testdata(t, "compress.py")))
	fapwstest.Write(t, dir+"/fapws.toml", `
bind = "127.0.0.1:0"
h2c = true
[[host]]
app = "app:application"
route = [{ prefix = "/plain", compress = false }]
[[host]]
name = "localhost"
app = "app:application"
compress = false
route = [{ prefix = "/coded", compress = true }]
`)
	s := fapwstest.Command{Dir: dir}.Started(t)
	a := asked{Fields: [][2]string{{"Content-Type", "text/html"}}, Size: 3000}
	_, port, _ := strings.Cut(s.Address, ":")
	overEach(t, func(t *testing.T, c *http.Client) {
		for target, coded := range map[string]bool{s.URL: true, s.URL + "/plain/x": false,
			"http://localhost:" + port: false, "http://localhost:" + port + "/coded": true} {
			r := askFor(t, c, "GET", target, a, "Accept-Encoding: gzip")
			fapwstest.Equalf(t, r.Header.Get("Content-Encoding") == "gzip", coded, "%s: compressed", target)
		}
	})
	off := fapwstest.Serve(t, fapwstest.Threads, "compress.py", "--no-compress")
	r := askFor(t, http.DefaultClient, "GET", off.URL, a, "Accept-Encoding: gzip")
	fapwstest.Truef(t, r.Header.Get("Vary") == "" && r.Header.Get("Content-Encoding") == "", "--no-compress: %v", r.Header)
}

func TestCurlReadsCompressedResponsesOfUpstreams(t *testing.T) {
	t.Parallel()
	s := fapwstest.ServeProxy(t, fapwstest.Serve(t, fapwstest.Threads, "compress.py").URL, "", "--h2c")
	head := filepath.Join(t.TempDir(), "head")
	for _, flag := range []string{"--http1.1", "--http2-prior-knowledge"} {
		for _, fields := range []string{`["Content-Type", "text/css"]`,
			`["Content-Type", "text/css"], ["Cache-Control", "no-transform"]`} {
			body, err := exec.Command("curl", "-sS", flag, "--compressed", "-D", head, "-H",
				`X-Asked: {"fields": [`+fields+`], "size": 9000}`, s.URL).Output()
			fapwstest.Must(t, err)
			fapwstest.Truef(t, len(body) == 9000 && bytes.HasPrefix(body, []byte("some text, ")), "%s: %d bytes: %.50q", flag,
				len(body), body)
			got, coded := fapwstest.Read(t, head), !strings.Contains(fields, "no-transform")
			n := strings.Count(strings.ToLower(got), "content-encoding:")
			fapwstest.Truef(t, (n == 1) == coded && n <= 1, "%s: %s", flag, got)
		}
	}
}
