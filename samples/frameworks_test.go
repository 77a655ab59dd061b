package samples

import (
	"io"
	"math/rand/v2"
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
	if err := os.CopyFS(folder, os.DirFS(sample)); err != nil {
		t.Fatal(err)
	}
	patterns, _ := os.ReadFile(filepath.Join(sample, ".gitignore")) // some samples have none
	kept := map[string]bool{}
	for pattern := range strings.Lines(string(patterns)) {
		pattern, keep := strings.CutPrefix(strings.TrimSpace(pattern), "!")
		names, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			kept[name] = keep
		}
	}
	for name, keep := range kept {
		if keep {
			continue
		}
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// browse gives the client cookies and, for each request, a new connection, so that any process may answer.
func (s *server) browse() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.T.Fatal(err)
	}
	s.client.Jar = jar
	s.client.Transport.(*http.Transport).DisableKeepAlives = true
	if got := len(s.Workers()); got != 2 {
		s.T.Fatalf("%d processes serve, want 2", got)
	}
}

func (s *server) run(name string, test func(t *testing.T)) {
	whole := s.T
	whole.Run(name, func(t *testing.T) {
		s.T = t
		defer func() { s.T = whole }()
		test(t)
	})
}

func (r *reply) location() string {
	r.s.T.Helper()
	target, err := r.Location()
	if err != nil {
		r.s.T.Fatalf("%s %s: status %d: %v", r.Request.Method, r.Request.URL.Path, r.StatusCode, err)
	}
	if !strings.HasPrefix(target.String(), r.s.URL+"/") {
		r.s.T.Errorf("%s %s: sent to %s, away from %s", r.Request.Method, r.Request.URL.Path, target, r.s.URL)
	}
	return target.RequestURI()
}

// firstLines requests a response that takes longer than the client waits, and checks the first lines. The server must
// send these lines before the application has generated the rest of the response.
func (s *server) firstLines(path string, lines ...string) *http.Response {
	s.T.Helper()
	resp := s.open(s.request("GET", path, nil))
	if resp.StatusCode != 200 {
		s.T.Fatalf("%s: status %d", path, resp.StatusCode)
	}
	in := linesOf(s.T, resp.Body)
	for _, want := range lines {
		if got := in.next(""); got != want {
			s.T.Fatalf("%s: line %q, want %q", path, got, want)
		}
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
	if resp.StatusCode >= 500 {
		s.T.Errorf("after %s: status %d: %s", path, resp.StatusCode, resp.body)
	}
}

// unknownLength hides the length of a body, which is then sent in chunks.
type unknownLength struct{ io.Reader }

func (s *server) upload(path, name string, data []byte) *reply {
	s.T.Helper()
	form, mediaType := formWith(formFile{name, data})
	return s.post(path, mediaType, strings.NewReader(form))
}

// noise returns n bytes that a conversion of line ends or of the encoding would change.
func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return data
}
