package samples

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/waittest"
)

// start starts a server for a script and its arguments; it ends with t.
func start(t *testing.T, script string, args ...string) *server {
	t.Helper()
	return startServer(t, nil, script, args)
}

// server is a running fapws.
type server struct {
	t      *testing.T
	url    string // without a slash at the end
	client *http.Client
	cmd    *exec.Cmd
	stderr *output
	stdout *output

	complains bool   // a traceback on stderr is what the test is about
	folder    string // of the script, when it is a copy
}

var clickable = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// patience ends a test that hangs, also on a machine that is many times slower.
const patience = waittest.Patience

// startServer runs the built fapws on a free port and waits for its banner. At the
// end of the test the server must stop in good order and have complained of
// nothing.
func startServer(t *testing.T, flags []string, script string, args []string) *server {
	t.Helper()
	line := slices.Concat(flags, []string{script})
	if len(args) > 0 {
		line = slices.Concat(line, []string{"--"}, args)
	}
	if !slices.Contains(flags, "--bind") {
		line = slices.Concat([]string{"--bind", "127.0.0.1:0"}, line)
	}
	cmd := exec.Command(binary(t), line...)
	// no byte code next to the samples, no settings of the user who runs the tests
	cmd.Env = append(cleanEnviron(), "PYTHONDONTWRITEBYTECODE=1")
	s := &server{t: t, cmd: cmd, stderr: newOutput(), stdout: newOutput()}
	cmd.Stderr, cmd.Stdout = s.stderr, s.stdout
	s.client = &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{DisableCompression: true, ExpectContinueTimeout: patience},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() {
		exited <- cmd.Wait()
		s.stderr.close()
		s.stdout.close()
	}()
	t.Cleanup(func() { s.stop(exited) })
	s.url = s.stderr.await(t, clickable)
	return s
}

func (s *server) stop(exited <-chan error) {
	s.client.CloseIdleConnections()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-exited:
		if err != nil {
			s.t.Errorf("fapws ended with %v", err)
		}
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		s.t.Error("fapws does not end after SIGTERM")
	}
	if said := s.stderr.String(); strings.Contains(said, "Traceback") != s.complains || s.t.Failed() {
		s.t.Errorf("stderr:\n%s", said)
	}
}

func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("FAPWS_BIN")
	if path == "" {
		path = filepath.Join("..", "build", "fapws")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v (./build.sh build makes it)", err)
	}
	return path
}

func cleanEnviron() (env []string) {
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "FAPWS_") {
			env = append(env, pair)
		}
	}
	return append(env, "FAPWS_ALLOW_ROOT=1") // root, too, runs the tests
}

// get asks for a path and returns the answer with its whole body.
func (s *server) get(path string, header ...string) (*http.Response, string) {
	s.t.Helper()
	return s.do(s.request("GET", path, nil, header...))
}

func (s *server) post(path, contentType string, body io.Reader) (*http.Response, string) {
	s.t.Helper()
	return s.do(s.request("POST", path, body, "Content-Type", contentType))
}

func (s *server) request(method, path string, body io.Reader, header ...string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

func (s *server) do(req *http.Request) (*http.Response, string) {
	s.t.Helper()
	resp := s.open(req)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return resp, string(body)
}

// open returns the answer with its body still to be read.
func (s *server) open(req *http.Request) *http.Response {
	s.t.Helper()
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// want fails unless the status is the one given and the body contains each text.
func (s *server) want(resp *http.Response, body string, status int, texts ...string) {
	s.t.Helper()
	what := fmt.Sprintf("%s %s", resp.Request.Method, resp.Request.URL.RequestURI())
	if resp.StatusCode != status {
		s.t.Fatalf("%s: status %d, want %d; body: %.300s", what, resp.StatusCode, status, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			s.t.Fatalf("%s: no %q in the body: %.2000s", what, text, body)
		}
	}
}

// output keeps what a process writes and lets a test wait for a line of it.
type output struct {
	mu     sync.Mutex
	more   *sync.Cond
	text   strings.Builder
	closed bool
}

func newOutput() *output {
	o := &output{}
	o.more = sync.NewCond(&o.mu)
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.more.Broadcast()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.more.Broadcast()
}

// await returns the first match of pattern in a whole line of the output.
func (o *output) await(t *testing.T, pattern *regexp.Regexp) string {
	t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		late = true
		o.more.Broadcast()
	})
	defer timer.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		text := o.text.String()
		if end := strings.LastIndexByte(text, '\n'); end >= 0 {
			if match := pattern.FindString(text[:end]); match != "" {
				return match
			}
		}
		if late || o.closed {
			t.Fatalf("no %q in the output:\n%s", pattern, text)
		}
		o.more.Wait()
	}
}

// lines reads a response line by line.
type lines struct {
	t    *testing.T
	scan *bufio.Scanner
}

func linesOf(t *testing.T, body io.Reader) *lines {
	return &lines{t: t, scan: bufio.NewScanner(body)}
}

// next returns the next line that begins with prefix, without it.
func (l *lines) next(prefix string) string {
	l.t.Helper()
	for l.scan.Scan() {
		if rest, found := strings.CutPrefix(l.scan.Text(), prefix); found {
			return rest
		}
	}
	l.t.Fatalf("the answer ended before a line with %q: %v", prefix, l.scan.Err())
	return ""
}
