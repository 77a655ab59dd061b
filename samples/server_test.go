package samples

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }

// start starts a server with a script. The server ends when t ends.
func start(t *testing.T, script string, args ...string) *server {
	t.Helper()
	return startServer(t, nil, script, args)
}

// server is a running fapws and its client. T is the test or the subtest that runs now.
type server struct {
	*fapwstest.Server
	client *http.Client
	folder string
}

// startServer runs the built fapws like Command.Serve, on a free port unless flags set the address.
func startServer(t *testing.T, flags []string, script string, args []string) *server {
	t.Helper()
	script = fapwstest.Try(filepath.Abs(script)).Must(t)
	if !slices.Contains(flags, "--bind") {
		flags = slices.Concat([]string{"--bind", "127.0.0.1:0"}, flags)
	}
	s := &server{Server: fapwstest.Command{Flags: flags, Script: script, Args: args}.Started(t)}
	s.client = &http.Client{
		Timeout:       fapwstest.Patience,
		Transport:     &http.Transport{DisableCompression: true, ExpectContinueTimeout: fapwstest.Patience},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

type reply struct {
	*http.Response
	s    *server
	body string
}

func (s *server) get(path string, header ...string) *reply {
	s.T.Helper()
	return s.do(s.request("GET", path, nil, header...))
}

func (s *server) post(path, contentType string, body io.Reader) *reply {
	s.T.Helper()
	return s.do(s.request("POST", path, body, "Content-Type", contentType))
}

func (s *server) request(method, path string, body io.Reader, header ...string) *http.Request {
	s.T.Helper()
	req := fapwstest.Try(http.NewRequest(method, s.URL+path, body)).Must(s.T)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

func (s *server) do(req *http.Request) *reply {
	s.T.Helper()
	resp := s.open(req)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fapwstest.Mustf(s.T, err, "%s %s", req.Method, req.URL.Path)
	return &reply{resp, s, string(body)}
}

// open sends a request and returns the response, whose body the caller reads.
func (s *server) open(req *http.Request) *http.Response {
	s.T.Helper()
	return fapwstest.Try(s.client.Do(req)).Must(s.T)
}

func (r *reply) want(status int, texts ...string) *reply {
	r.s.T.Helper()
	what := fmt.Sprintf("%s %s", r.Request.Method, r.Request.URL.RequestURI())
	fapwstest.Needf(r.s.T, r.StatusCode == status,
		"%s: status %d, want %d; body: %.300s", what, r.StatusCode, status, r.body)
	for _, text := range texts {
		fapwstest.Needf(r.s.T, strings.Contains(r.body, text), "%s: no %q in the body: %.2000s", what, text, r.body)
	}
	return r
}

func (r *reply) field(name, want string) *reply {
	r.s.T.Helper()
	fapwstest.Equalf(r.s.T, r.Header.Get(name), want, "%s %s: %s", r.Request.Method, r.Request.URL.RequestURI(), name)
	return r
}

func (r *reply) lacks(texts ...string) *reply {
	r.s.T.Helper()
	for _, text := range texts {
		fapwstest.Truef(r.s.T, !strings.Contains(r.body, text),
			"%s %s: %q in the body: %.2000s", r.Request.Method, r.Request.URL.RequestURI(), text, r.body)
	}
	return r
}

type lines struct {
	t    *testing.T
	scan *bufio.Scanner
}

func linesOf(t *testing.T, body io.Reader) *lines { return &lines{t: t, scan: bufio.NewScanner(body)} }

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
