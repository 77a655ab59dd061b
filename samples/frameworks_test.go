package samples

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// withFramework copies the directory of script, so that the application may write to the copy, and serves it with two
// processes. The samples store their data in files, so any process may answer.
func withFramework(t *testing.T, module, script string, test func(t *testing.T, s *server), flags ...string) {
	t.Helper()
	fapwstest.NeedModule(t, module)
	folder := copySample(t, filepath.Dir(script))
	flags = slices.Clone(flags)
	for i := range flags {
		flags[i] = strings.ReplaceAll(flags[i], "FOLDER", folder)
	}
	s := startServer(t, slices.Concat([]string{"--workers", "2"}, flags), filepath.Join(folder, filepath.Base(script)),
		nil)
	s.folder = folder
	s.browse()
	test(t, s)
}

// copySample returns a copy of a sample as after a clone: without the files that .gitignore names.
func copySample(t *testing.T, sample string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	fapwstest.Must(t, os.CopyFS(folder, os.DirFS(sample)))
	patterns, _ := os.ReadFile(filepath.Join(sample, ".gitignore")) // some samples have none
	kept := map[string]bool{}
	for pattern := range strings.Lines(string(patterns)) {
		pattern, keep := strings.CutPrefix(strings.TrimSpace(pattern), "!")
		names, err := filepath.Glob(filepath.Join(folder, pattern))
		fapwstest.Must(t, err)
		for _, name := range names {
			kept[name] = keep
		}
	}
	for name, keep := range kept {
		if keep {
			continue
		}
		fapwstest.Must(t, os.RemoveAll(name))
	}
	return folder
}

// browse gives the client cookies and, for each request, a new connection, so that any process may answer.
func (s *server) browse() {
	jar, err := cookiejar.New(nil)
	fapwstest.Must(s.T, err)
	s.client.Jar = jar
	s.client.Transport.(*http.Transport).DisableKeepAlives = true
	got := len(s.Workers())
	fapwstest.Needf(s.T, got == 2, "%d processes serve, want 2", got)
}

func (r *reply) location() string {
	r.s.T.Helper()
	target, err := r.Location()
	fapwstest.Mustf(r.s.T, err, "%s %s: status %d", r.Request.Method, r.Request.URL.Path, r.StatusCode)
	fapwstest.Truef(r.s.T, strings.HasPrefix(target.String(), r.s.URL+"/"),
		"%s %s: sent to %s, away from %s", r.Request.Method, r.Request.URL.Path, target, r.s.URL)
	return target.RequestURI()
}

// firstLines requests a response that takes longer than the client waits, and checks the first lines. The server must
// send these lines before the application has generated the rest of the response.
func (s *server) firstLines(path string, lines ...string) *http.Response {
	s.T.Helper()
	resp := s.open(s.request("GET", path, nil))
	fapwstest.Needf(s.T, resp.StatusCode == 200, "%s: status %d", path, resp.StatusCode)
	in := linesOf(s.T, resp.Body)
	for _, want := range lines {
		got := in.next("")
		fapwstest.Needf(s.T, got == want, "%s: line %q, want %q", path, got, want)
	}
	return resp
}

// fails requests a handler that raises an exception. The exception must be in the log, but not in the response.
func (s *server) fails(path, exception string) {
	s.T.Helper()
	s.Complains = true
	s.get(path).want(500).lacks(exception, "Traceback")
	s.Says("Traceback")
	s.Says(regexp.QuoteMeta(exception))
	resp := s.get("/")
	fapwstest.Truef(s.T, resp.StatusCode < 500, "after %s: status %d: %s", path, resp.StatusCode, resp.body)
}

// unknownLength hides the length of a body, which is then sent in chunks.
type unknownLength struct{ io.Reader }

// upload sends a form in chunks. Frameworks must read chunks like a body with a Content-Length.
func (s *server) upload(path, name string, data []byte) *reply {
	s.T.Helper()
	form, mediaType := formWith(formFile{name, data})
	return s.post(path, mediaType, unknownLength{strings.NewReader(form)})
}

type formFile struct {
	name string
	data []byte
}

func formWith(files ...formFile) (body, mediaType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("field", "a value")
	for _, f := range files {
		part, _ := w.CreateFormFile("file", f.name)
		_, _ = part.Write(f.data)
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// noise returns n bytes that a conversion of line ends or of the encoding would change.
func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return data
}

func TestWSGISampleServesPagesAndDigests(t *testing.T) {
	t.Parallel()
	withFramework(t, "wsgiref", "wsgi/app.py", func(t *testing.T, s *server) {
		s.get("/").want(200, "wsgi.input", "REQUEST_METHOD")
		s.get("/greet?name=Zo%C3%AB+%3Cb%3E").want(200, "Hello Zoë &lt;b&gt;!")
		s.get("/nothing").want(404, "Not found")

		sent := strings.Repeat("\x00\xff\r\n", 100_000)
		want := fmt.Sprintf("%d %x\n", len(sent), sha256.Sum256([]byte(sent)))
		s.post("/digest", "application/octet-stream", strings.NewReader(sent)).want(200, want)
		s.post("/digest", "application/octet-stream", unknownLength{strings.NewReader(sent)}).want(200, want)

		source, err := os.ReadFile(filepath.Join(s.folder, "app.py"))
		fapwstest.Must(t, err)
		resp := s.get("/source").want(200)
		fapwstest.Equal(t, resp.body, string(source))

		in := s.firstLines("/count", "1", "2")
		in.Body.Close()
		s.Stdout.Await(t, regexp.MustCompile(`counted to \d+`))

		s.fails("/fails", "RuntimeError: this handler always fails")
	})
}

func TestHandlerGuardsStaticFiles(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/contrib.py")
	for _, c := range []struct {
		path   string
		status int
		header []string
		text   string
	}{
		{"/guarded/style.css", 303, nil, "/login"},
		{"/guarded/style.css", 200, []string{"X-Key", "open"}, "color-scheme"},
		{"/guarded/style.css", 206, []string{"X-Key", "open", "Range", "bytes=0-4"}, ":root"},
		{"/guarded/", 200, []string{"X-Key", "open"}, "A static site"},
		{"/guarded/nothing", 404, []string{"X-Key", "open"}, ""},
		{"/guarded/../static.py", 404, []string{"X-Key", "open"}, ""},
		{"/subclass/style.css", 403, nil, "no"},
		{"/subclass/style.css", 200, []string{"X-Key", "open"}, "color-scheme"},
	} {
		resp := s.get(c.path, c.header...).want(c.status, c.text)
		guarded := strings.HasPrefix(c.path, "/guarded") && !strings.Contains(c.path, "..")
		got := resp.Header.Get("Cache-Control")
		fapwstest.Truef(t, !guarded || c.header == nil || got == "private", "%s: Cache-Control %q", c.path, got)
	}
}

func TestDebugPageIsShownOnlyWithDebug(t *testing.T) {
	t.Parallel()
	plain := []string{"ZeroDivision", "raises.py", "token", "Traceback", "Variables"}
	for _, c := range []struct {
		args      []string
		with, not []string
	}{
		{[]string{"0"}, nil, plain},
		{[]string{"1"}, []string{"ZeroDivisionError", "division by zero", "raises.py", "in <b>fails</b>", "token"},
			[]string{"hush-hush"}},
		{[]string{"1", "without page"}, nil, plain},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			s := start(t, "testdata/raises.py", c.args...)
			s.Complains = true
			s.get("/x?<i>").want(500, c.with...).lacks(c.not...)
			s.get("/").want(500)
			s.Says("Traceback")
		})
	}
}
