package programs_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fapws/runtime/backend"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/logfile"
	"fapws/runtime/runtimetest"
	"fapws/runtime/sites"
	"fapws/runtime/source/programs"
	"fapws/runtime/waittest"
)

// site is a server with the programs of a folder at /cgi/.
type site struct {
	t      *testing.T
	folder string
	addr   string
	mu     sync.Mutex
	log    []string
}

// newSite serves scripts, by name; change may change the options.
func newSite(t *testing.T, scripts map[string]string, change func(*programs.CGIOptions)) *site {
	t.Helper()
	s := &site{t: t, folder: t.TempDir()}
	for name, text := range scripts {
		s.write(name, text, 0o755)
	}
	o := programs.CGIOptions{ScriptOptions: programs.ScriptOptions{Root: s.folder}, Common: programs.Common{Site: programs.Site{Software: "fapws/test"}, Log: s.logged}}
	if change != nil {
		change(&o)
	}
	responder, err := programs.NewCGI(o)
	if err != nil {
		t.Fatal(err)
	}
	pool := backend.New(1000, func(line string) { s.logged("", line) })
	index := pool.Add(responder)
	there := pool.Add(backend.Func(func(w *backend.Response, r *backend.Request) { io.WriteString(w, "there: "+r.Query()) }))
	cfg := runtimetest.Config()
	cfg.Log = func(_ logfile.Level, line string) { s.logged("", line) }
	_, s.addr = runtimetest.Serve(t, cfg, nil, sites.Mount{Prefix: "/cgi/", Handler: pool, Index: index}, sites.Mount{Prefix: "/there", Handler: pool, Index: there})
	return s
}

func (s *site) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) logged(client, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, client+" "+line)
}

// says waits for a line in the log.
func (s *site) says(part string) {
	s.t.Helper()
	waittest.Eventually(s.t, "the log has "+part, func() bool { return s.said(part) > 0 })
}

func (s *site) said(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(strings.Join(s.log, "\n"), part)
}

func (s *site) ask(method, target, body string, fields ...string) backendtest.Answer {
	s.t.Helper()
	return backendtest.Ask(s.t, s.addr, method, target, body, fields...)
}

func (s *site) get(target string, status int) backendtest.Answer {
	s.t.Helper()
	a := s.ask("GET", target, "")
	if a.StatusCode != status {
		s.t.Errorf("GET %s: %d %.200q, want %d", target, a.StatusCode, a.Text, status)
	}
	return a
}
