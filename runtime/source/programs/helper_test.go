package programs_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/backend"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/runtimetest"
	"fapws/runtime/source/programs"
)

type site struct {
	t               *testing.T
	directory, addr string
	log             backendtest.Log
}

func newFolder(t *testing.T, scripts map[string]string) *site {
	t.Helper()
	s := &site{t: t, directory: t.TempDir()}
	for name, text := range scripts {
		s.write(name, text, 0o755)
	}
	return s
}

func (s *site) serve(prefix string, r backend.Responder, err error) {
	s.t.Helper()
	checktest.Must(s.t, err)
	pool := backend.New(1000, s.log.Add)
	there := pool.Handler(backend.Func(func(w *backend.ResponseWriter, r *backend.Request) {
		io.WriteString(w, "there: "+r.Query())
	}))
	cfg := runtimetest.Config()
	cfg.Log = func(_ logfile.Level, line string) { s.log.Add(line) }
	_, s.addr = runtimetest.Serve(s.t, cfg, nil, exchange.Mount{Prefix: prefix, Handler: pool.Handler(r)},
		exchange.Mount{Prefix: "/there", Handler: there})
}

func newSite(t *testing.T, scripts map[string]string, change func(*programs.CGIOptions)) *site {
	t.Helper()
	s := newFolder(t, scripts)
	o := programs.CGIOptions{ScriptOptions: programs.ScriptOptions{Root: s.directory},
		Common: programs.Common{SiteVariables: programs.SiteVariables{Software: "fapws/test"}, Log: s.log.Note}}
	if change != nil {
		change(&o)
	}
	responder, err := programs.NewCGI(o)
	s.serve("/cgi/", responder, err)
	return s
}

func (s *site) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	path := filepath.Join(s.directory, name)
	checktest.Must(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	checktest.Must(s.t, os.WriteFile(path, []byte(text), mode))
}

func (s *site) ask(method, target, body string, fields ...string) backendtest.Answer {
	s.t.Helper()
	return backendtest.Ask(s.t, s.addr, method, target, body, fields...)
}

func (s *site) get(target string, status int) backendtest.Answer {
	s.t.Helper()
	a := s.ask("GET", target, "")
	checktest.Equalf(s.t, a.StatusCode, status, "GET %s: %.300q; log: %q", target, a.Text, s.log.String())
	return a
}
