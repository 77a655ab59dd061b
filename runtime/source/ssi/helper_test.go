package ssi

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/runtimetest"
	"fapws/runtime/source/static"
)

type site struct {
	t         *testing.T
	root, url string
	log       backendtest.Log
}

// newSite starts a server with pages below /p/, plain files below /p/f/, and the application answer below /dynamic/.
func newSite(t *testing.T, o Options, files map[string]string) *site {
	t.Helper()
	s := &site{t: t, root: t.TempDir()}
	for name, text := range files {
		s.write(name, text)
	}
	o.Files, o.Root, o.Prefix = checktest.Try(static.New(static.Options{Root: s.root})).Must(t), s.root, "/p"
	o.Log = func(_, line string) { s.log.Add(line) }
	pages := checktest.Try(New(o)).Must(t)
	checktest.Must(t, os.MkdirAll(filepath.Join(s.root, "f"), 0o755))
	below := checktest.Try(static.New(static.Options{Root: filepath.Join(s.root, "f")})).Must(t)
	pool := backend.New(100, s.log.Add)
	_, address := runtimetest.Serve(t, runtimetest.Config(), nil,
		exchange.Mount{Prefix: "/p/f/", Source: static.NewSource(below, false)},
		exchange.Mount{Prefix: "/p/", Handler: pool.Handler(pages)},
		exchange.Mount{Prefix: "/dynamic/", Handler: pool.Handler(backend.Func(answer))})
	s.url = "http://" + address
	return s
}

// answer is an application for the paths /dynamic/status/404, /dynamic/echo?text, /dynamic/cookie, /dynamic/slow and
// /dynamic/big.
func answer(w *backend.ResponseWriter, r *backend.Request) {
	text := func(status int, body string) {
		w.Start(exchange.Head{Status: status, Fields: []byte("Content-Type: text/plain\r\nSet-Cookie: a=b\r\n"), Length: -1})
		io.WriteString(w, body)
	}
	switch r.Path {
	case "/dynamic/echo":
		text(200, r.Method()+" "+r.Query()+" "+r.Field("X-Mark"))
	case "/dynamic/vary":
		w.Start(exchange.Head{Status: 200, Fields: []byte("Vary: Accept-Encoding, accept-language\r\n"), Length: -1})
	case "/dynamic/status/404":
		text(404, "not here")
	case "/dynamic/status/302":
		text(302, "elsewhere")
	case "/dynamic/slow":
		select {
		case <-r.Context.Done():
		case <-time.After(patience):
		}
		text(200, "slow")
	case "/dynamic/big":
		text(200, strings.Repeat("0123456789abcdef", 1<<16))
	default:
		w.Refuse(404, "")
	}
}

const patience = checktest.Patience

func (s *site) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	checktest.Must(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	checktest.Must(s.t, os.WriteFile(path, []byte(text), 0o644))
	old := time.Now().Add(-time.Minute)
	checktest.Must(s.t, os.Chtimes(path, old, old))
}

func (s *site) get(target string) string {
	s.t.Helper()
	r, body := s.do("GET", target)
	checktest.Needf(s.t, r.StatusCode == 200, "%s: %s %s", target, r.Status, body)
	return body
}

// shows checks the text of a page.
func (s *site) shows(target, want string) {
	s.t.Helper()
	checktest.Equalf(s.t, s.get(target), want, "%s", target)
}

func (s *site) do(method, target string) (*http.Response, string) {
	s.t.Helper()
	req := checktest.Try(http.NewRequest(method, s.url+target, nil)).Must(s.t)
	req.Header.Set("X-Mark", "mark")
	r := checktest.Try(http.DefaultClient.Do(req)).Must(s.t)
	defer r.Body.Close()
	return r, string(checktest.Try(io.ReadAll(r.Body)).Must(s.t))
}

const errorMessage = "[an error occurred while processing this directive]"
