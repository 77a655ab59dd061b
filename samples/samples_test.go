// Package samples holds scripts to learn from; its tests run each of them
// through the built fapws (FAPWS_BIN, default ../build/fapws) with a real client.
package samples

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const urlencoded = "application/x-www-form-urlencoded"

func TestHello(t *testing.T) {
	t.Parallel()
	s := start(t, "hello/hello.py")
	for path, want := range map[string]string{"/hello": "world", "/": "world", "/?name=x": "x", "/?name=%3Cscript%3E": "&lt;script&gt;"} {
		resp, body := s.get(path)
		s.want(resp, body, 200)
		if body != "Hello "+want+"!\n" || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %q, %q", path, body, resp.Header)
		}
	}
}

func TestFormsGreet(t *testing.T) {
	t.Parallel()
	s := start(t, "forms/forms.py")
	resp, body := s.get("/")
	s.want(resp, body, 200, "<form action=/greet", "<form action=/upload")

	form := url.Values{"name": {"Zoë <b>"}, "like": {"cats", "dogs"}}
	resp, body = s.post("/greet", urlencoded, strings.NewReader(form.Encode()))
	s.want(resp, body, 200, "Hello Zoë &lt;b&gt;, you like cats and dogs.")
	resp, body = s.get("/greet?" + form.Encode())
	s.want(resp, body, 200, "Hello Zoë &lt;b&gt;, you like cats and dogs.")

	resp, body = s.get("/nothing")
	s.want(resp, body, 404)
}

func TestFormsUpload(t *testing.T) {
	t.Parallel()
	s := start(t, "forms/forms.py")
	everyByte := make([]byte, 0, 256*4)
	for i := range cap(everyByte) {
		everyByte = append(everyByte, byte(i))
	}
	files := []struct {
		name string
		data []byte
	}{
		{"small.bin", everyByte},
		{"big.bin", bytes.Repeat([]byte("\r\n--boundary\x00\xff"), 200_000)}, // in temporary files all the way
		{"../../<script>.txt", []byte("path")},
		{"empty.txt", nil},
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for _, file := range files {
		part, err := w.CreateFormFile("file", file.name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(file.data)
	}
	_ = w.WriteField("note", "a text field")
	w.Close()
	resp, body := s.post("/upload", w.FormDataContentType(), &form)
	s.want(resp, body, 303)
	if location := resp.Header.Get("Location"); location != "/" {
		t.Errorf("Location %q", location)
	}

	resp, list := s.get("/")
	s.want(resp, list, 200, "&lt;script&gt;.txt</a>", "small.bin</a>", "empty.txt</a>")
	links := regexp.MustCompile(`<a href='(/files/[0-9a-f]+)'>[^<]*</a><td>[0-9,]+ bytes<td><code>([0-9a-f]+)`).FindAllStringSubmatch(list, -1)
	if len(links) != len(files) {
		t.Fatalf("%d links to %d files in %s", len(links), len(files), list)
	}
	slices.Reverse(links) // the page shows the newest first
	for i, file := range files {
		if want := fmt.Sprintf("%x", sha256.Sum256(file.data)); links[i][2] != want {
			t.Errorf("%s: stored with digest %s, want %s", file.name, links[i][2], want)
		}
		resp, body := s.get(links[i][1])
		s.want(resp, body, 200)
		if body != string(file.data) {
			t.Errorf("%s: other bytes came back (%d, want %d)", file.name, len(body), len(file.data))
		}
		if got := resp.Header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment;") {
			t.Errorf("%s: Content-Disposition %q", file.name, got)
		}
	}
}

func TestFormsRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, "forms/forms.py")
	for _, c := range []struct {
		what, contentType, body string
		status                  int
	}{
		{"no form", "text/plain", "hello", 400},
		{"cut off", "multipart/form-data; boundary=B", "--B\r\nContent-Disp", 400},
		{"no boundary", "multipart/form-data", "--B--", 400},
		{"too big", "multipart/form-data; boundary=B", strings.Repeat("x", 20<<20+1), 413},
	} {
		// Asking first, or the refusal could meet the body on its way.
		resp, body := s.do(s.request("POST", "/upload", strings.NewReader(c.body),
			"Content-Type", c.contentType, "Expect", "100-continue"))
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.what, resp.StatusCode, c.status, body)
		}
	}
	for _, path := range []string{"/files/", "/files/../forms.py", "/files/%2e%2e%2fetc", "/files/0123456789abcdef"} {
		resp, body := s.get(path)
		s.want(resp, body, 404)
	}
}

func TestStreamingArrivesInPieces(t *testing.T) {
	t.Parallel()
	s := start(t, "streaming/streaming.py")
	// All of it takes longer than the client waits: what arrives was sent before the end.
	resp := s.open(s.request("GET", "/count?to=1000&pause=0.2", nil))
	if resp.StatusCode != 200 || len(resp.TransferEncoding) != 1 || resp.TransferEncoding[0] != "chunked" {
		t.Fatalf("%d %q", resp.StatusCode, resp.TransferEncoding)
	}
	in := linesOf(t, resp.Body)
	for _, want := range []string{"1", "2"} {
		if got := in.next("<li>"); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	resp.Body.Close()

	resp, body := s.get("/count?to=3&pause=0")
	s.want(resp, body, 200, "<li>1\n<li>2\n<li>3\n</ol><p>Done.")
}

func TestStreamingRows(t *testing.T) {
	t.Parallel()
	s := start(t, "streaming/streaming.py")
	resp, body := s.get("/rows.csv?rows=1001")
	s.want(resp, body, 200)
	if got := strings.Count(body, "\r\n"); got != 1002 || !strings.HasSuffix(body, "\r\n1000,1000000\r\n") {
		t.Errorf("%d lines, end %q", got, body[len(body)-40:])
	}
	s.Stdout.Await(t, regexp.MustCompile(`rows\.csv: 1001 of 1001 rows taken`))

	// A billion rows: taken a little, the generator must be closed when the client leaves.
	resp = s.open(s.request("GET", "/rows.csv?rows=1000000000", nil))
	if _, err := io.ReadFull(resp.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.Stdout.Await(t, regexp.MustCompile(`rows\.csv: \d+ of 1000000000 rows taken`))
	resp, body = s.get("/")
	s.want(resp, body, 200, "Streaming")
}

type tick struct {
	Time        string
	Load        float64
	Subscribers int
}

func nextTick(t *testing.T, in *lines) (id string, tick tick) {
	t.Helper()
	id = in.next("id: ")
	if event := in.next("event: "); event != "tick" {
		t.Fatalf("event %q", event)
	}
	if err := json.Unmarshal([]byte(in.next("data: ")), &tick); err != nil {
		t.Fatal(err)
	}
	return id, tick
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	s := start(t, "sse/sse.py")
	resp, body := s.get("/")
	s.want(resp, body, 200, `new EventSource("/events")`)

	// The generator never ends, so whatever arrives was sent at once.
	first := s.open(s.request("GET", "/events?every=0.05", nil))
	defer first.Body.Close()
	if got := first.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("Content-Type %q", got)
	}
	in := linesOf(t, first.Body)
	if retry := in.next("retry: "); retry != "2000" {
		t.Errorf("retry %q", retry)
	}
	for _, want := range []string{"1", "2", "3"} {
		if id, tick := nextTick(t, in); id != want || tick.Subscribers != 1 {
			t.Errorf("event %s of %d subscribers, want %s of 1", id, tick.Subscribers, want)
		}
	}

	// A second subscriber, which was here before.
	second := s.open(s.request("GET", "/events?every=0.05", nil, "Last-Event-ID", "41"))
	if id, _ := nextTick(t, linesOf(t, second.Body)); id != "42" {
		t.Errorf("event %s after 41", id)
	}
	waitForSubscribers(t, in, 2)
	second.Body.Close()
	waitForSubscribers(t, in, 1)

	resp, body = s.get("/")
	s.want(resp, body, 200)
}

func waitForSubscribers(t *testing.T, in *lines, want int) {
	t.Helper()
	deadline := time.Now().Add(fapwstest.Patience)
	for {
		_, tick := nextTick(t, in)
		if tick.Subscribers == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d subscribers, want %d", tick.Subscribers, want)
		}
	}
}

func TestStaticSite(t *testing.T) {
	t.Parallel()
	// A copy, so that the dates are known: a .gz that is older than its original is not sent.
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("static")); err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2024, 5, 6, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{"site/story.txt", "site/story.txt.gz"} {
		if err := os.Chtimes(filepath.Join(folder, name), noon, noon); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, filepath.Join(folder, "static.py"))

	for _, c := range []struct{ path, contentType, text string }{
		{"/", "text/html; charset=utf-8", "A static site"},
		{"/index.html", "text/html; charset=utf-8", "A static site"},
		{"/style.css", "text/css; charset=utf-8", "color-scheme"},
		{"/logo.svg", "image/svg+xml", "<svg"},
		{"/about/", "text/html; charset=utf-8", "<h1>About"},
		{"/files/", "text/html; charset=utf-8", "table.csv"},
		{"/files/one.txt", "text/plain; charset=utf-8", "One file to take."},
	} {
		resp, body := s.get(c.path)
		s.want(resp, body, 200, c.text)
		if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, c.contentType) {
			t.Errorf("%s: Content-Type %q, want %q", c.path, got, c.contentType)
		}
	}

	resp, body := s.get("/about")
	s.want(resp, body, 301)
	if got := resp.Header.Get("Location"); got != "/about/" {
		t.Errorf("/about: Location %q", got)
	}
	for path, status := range map[string]int{"/nothing": 404, "/../static.py": 400, "/%2e%2e/static.py": 400, "/..%2fstatic.py": 400, "/files/../../etc/passwd": 400} {
		resp, body := s.get(path)
		s.want(resp, body, status)
	}

	resp, story := s.get("/story.txt")
	s.want(resp, story, 200, "The stone")
	if got := resp.Header.Get("Cache-Control"); !strings.Contains(got, "max-age=3600") {
		t.Errorf("Cache-Control %q", got)
	}
	etag, modified := resp.Header.Get("Etag"), resp.Header.Get("Last-Modified")
	if want := noon.Format(http.TimeFormat); modified != want {
		t.Errorf("Last-Modified %q, want %q", modified, want)
	}
	resp, body = s.get("/story.txt", "If-None-Match", etag)
	s.want(resp, body, 304)
	resp, body = s.get("/story.txt", "If-Modified-Since", modified)
	s.want(resp, body, 304)
	resp, body = s.get("/story.txt", "Range", "bytes=4-8")
	s.want(resp, body, 206)
	if want := fmt.Sprintf("bytes 4-8/%d", len(story)); body != "stone" || resp.Header.Get("Content-Range") != want {
		t.Errorf("range: %q, %q", body, resp.Header.Get("Content-Range"))
	}
	resp, body = s.get("/story.txt", "Range", "bytes=100000-")
	s.want(resp, body, 416)
	resp, body = s.do(s.request("HEAD", "/story.txt", nil))
	if resp.StatusCode != 200 || body != "" || resp.ContentLength != int64(len(story)) {
		t.Errorf("HEAD: %d, %d bytes announced, %d sent", resp.StatusCode, resp.ContentLength, len(body))
	}
	resp, body = s.post("/story.txt", "text/plain", strings.NewReader("x"))
	s.want(resp, body, 405)

	resp, body = s.get("/story.txt", "Accept-Encoding", "gzip")
	s.want(resp, body, 200)
	if got := resp.Header.Get("Content-Encoding"); got != "gzip" || len(body) >= len(story) {
		t.Fatalf("Content-Encoding %q, %d bytes", got, len(body))
	}
	unzipped, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unzipped); err != nil || string(text) != story {
		t.Errorf("the .gz holds another text (%v)", err)
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	book := filepath.Join(t.TempDir(), "book.db")
	t.Run("sign", func(t *testing.T) {
		// its own subtest: the server ends with it
		s := start(t, "sqlite/sqlite.py", book)
		resp, body := s.get("/")
		s.want(resp, body, 200, "Guest book")
		form := url.Values{"name": {"Robert'); DROP TABLE entry;--"}, "text": {"<b>é</b>\nsecond line"}}
		resp, body = s.post("/sign", urlencoded, strings.NewReader(form.Encode()))
		s.want(resp, body, 303)
		resp, body = s.get("/")
		s.want(resp, body, 200, "Robert&#x27;); DROP TABLE entry;--", "&lt;b&gt;é&lt;/b&gt;\nsecond line")

		// nothing to say, or not a form: no entry
		for _, form := range []string{"name=x&text=", "text=x", "name=+&text=y"} {
			resp, body = s.post("/sign", urlencoded, strings.NewReader(form))
			s.want(resp, body, 303)
		}
		resp, body = s.get("/sign?name=x&text=y")
		s.want(resp, body, 303)
	})
	t.Run("signed by many", func(t *testing.T) {
		s := start(t, "sqlite/sqlite.py", book)
		resp, body := s.get("/")
		s.want(resp, body, 200, "Robert")
		if got := strings.Count(body, "<article>"); got != 1 {
			t.Errorf("%d entries, want 1", got)
		}
		const guests = 30
		done := make(chan error, guests)
		for i := range guests {
			go func() {
				form := url.Values{"name": {fmt.Sprint("guest ", i)}, "text": {"hi"}}
				resp, err := s.client.Post(s.URL+"/sign", urlencoded, strings.NewReader(form.Encode()))
				if err == nil {
					resp.Body.Close()
					if resp.StatusCode != 303 {
						err = fmt.Errorf("guest %d: status %d", i, resp.StatusCode)
					}
				}
				done <- err
			}()
		}
		for range guests {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		resp, body = s.get("/")
		s.want(resp, body, 200)
		if got := strings.Count(body, "<article>"); got != guests+1 {
			t.Errorf("%d entries, want %d", got, guests+1)
		}
	})
}
