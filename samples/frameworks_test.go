package samples

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// withFramework serves a copy of the folder that script is in, which the application may write to, and tests it with two
// processes: frameworks' samples keep what they know in files, so that any process may answer.
func withFramework(t *testing.T, module, script string, test func(t *testing.T, s *server), flags ...string) {
	t.Helper()
	needModule(t, module)
	folder := copySample(t, filepath.Dir(script))
	flags = slices.Clone(flags)
	for i := range flags {
		flags[i] = strings.ReplaceAll(flags[i], "FOLDER", folder)
	}
	s := startServer(t, slices.Concat([]string{"--workers", "2"}, flags), filepath.Join(folder, filepath.Base(script)), nil)
	s.folder = folder
	s.browse()
	test(t, s)
}

// copySample returns a copy of a sample as it is after a clone: without what
// running it has left there, which its .gitignore names.
func copySample(t *testing.T, sample string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(sample)); err != nil {
		t.Fatal(err)
	}
	patterns, _ := os.ReadFile(filepath.Join(sample, ".gitignore")) // not each has one
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

// browse makes the client one with cookies. Each request has a new connection, so any process may answer it.
func (s *server) browse() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.client.Jar = jar
	s.client.Transport.(*http.Transport).DisableKeepAlives = true
	if got := s.children(); got != 2 {
		s.t.Fatalf("%d processes serve, want 2", got)
	}
}

// run makes a part of the test a subtest.
func (s *server) run(name string, test func(t *testing.T)) {
	whole := s.t
	whole.Run(name, func(t *testing.T) {
		s.t = t
		defer func() { s.t = whole }()
		test(t)
	})
}

// children counts the processes that fapws has started.
func (s *server) children() (n int) {
	// Each thread has a list of those that it made.
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		n += len(strings.Fields(string(text)))
	}
	return n
}

// needModule fails, or skips the test where the Python that fapws was built for
// is not Debian's, which has all frameworks as packages.
func needModule(t *testing.T, module string) {
	t.Helper()
	python := os.Getenv("PYTHON") // from build.sh
	if python == "" {
		python = "/usr/bin/python3"
	}
	ask := exec.Command(python, "-c", "import "+module)
	ask.Dir = "/" // here the folders of the samples would be taken for the frameworks
	said, err := ask.CombinedOutput()
	if err == nil {
		return
	}
	if strings.HasPrefix(python, "/usr/bin/") {
		t.Fatalf("%s\nsudo apt-get install python3-%s", said, module)
	}
	t.Skipf("%s has no %s", python, module)
}

// location fails unless the answer is a redirection, and returns its path.
func (s *server) location(resp *http.Response) string {
	s.t.Helper()
	target, err := resp.Location()
	if err != nil {
		s.t.Fatalf("%s %s: status %d: %v", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, err)
	}
	if !strings.HasPrefix(target.String(), s.url+"/") {
		s.t.Errorf("%s %s: sent to %s, away from %s", resp.Request.Method, resp.Request.URL.Path, target, s.url)
	}
	return target.RequestURI()
}

// firstLines asks for an answer that takes longer than the client waits, and
// fails unless it begins with these lines: they were sent before the end was made.
func (s *server) firstLines(path string, lines ...string) *http.Response {
	s.t.Helper()
	resp := s.open(s.request("GET", path, nil))
	if resp.StatusCode != 200 {
		s.t.Fatalf("%s: status %d", path, resp.StatusCode)
	}
	in := linesOf(s.t, resp.Body)
	for _, want := range lines {
		if got := in.next(""); got != want {
			s.t.Fatalf("%s: line %q, want %q", path, got, want)
		}
	}
	return resp
}

// fails asks for what raises an exception: the client learns nothing of it, the
// log has it.
func (s *server) fails(path, exception string) {
	s.t.Helper()
	s.complains = true
	resp, body := s.get(path)
	s.want(resp, body, 500)
	if strings.Contains(body, exception) || strings.Contains(body, "Traceback") {
		s.t.Errorf("%s: the client sees the exception: %s", path, body)
	}
	s.stderr.await(s.t, regexp.MustCompile(regexp.QuoteMeta(exception)))
	resp, body = s.get("/")
	if resp.StatusCode >= 500 {
		s.t.Errorf("after %s: status %d: %s", path, resp.StatusCode, body)
	}
}

// unknownLength hides the length of a body, which is then sent in chunks.
type unknownLength struct{ io.Reader }

// upload sends one file as a form does.
func (s *server) upload(path, name string, data []byte) (*http.Response, string) {
	s.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = part.Write(data)
	w.Close()
	return s.post(path, w.FormDataContentType(), &form)
}

// noise is n bytes that no compression, line end or encoding leaves as they are by luck.
func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return data
}
