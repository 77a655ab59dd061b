package process_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestDevShowsCodeThatDoesNotLoad(t *testing.T) {
	t.Parallel()
	s := edited(t, fapwstest.Threads, saying("one"), "--dev")
	s.until(browser, 200, "one")
	s.Says(`\d\d:\d\d:\d\d\.\d{3} [+-]\d{4} GET / 200 3 bytes \S+s\n`)
	for _, broken := range []struct{ text, want string }{
		{"def <b>\n", "<h1>SyntaxError: invalid syntax</h1>"},
		{"import nosuchmodule\n", "<h1>ModuleNotFoundError: No module named &#39;nosuchmodule&#39;</h1>"},
		{"PATHS = 3\n", "PATHS"},
		{"raise SystemExit('no <database>')\n", "no &lt;database&gt;"},
	} {
		fapwstest.Write(t, s.path, broken.text)
		page := s.until(browser, 500, broken.want)
		fapwstest.Has(t, page, "app.py failed to load</p>", `<meta http-equiv="refresh" content="1">`)
		fapwstest.Lacks(t, page, "<b>")
		want := html.UnescapeString(strings.TrimSuffix(strings.TrimPrefix(broken.want, "<h1>"), "</h1>"))
		s.gets(tool, 500, "app.py failed to load: ")
		s.gets(tool, 500, want)
		s.Ask("GET /_fapws/refresh/script.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").Want(t, 200, "EventSource")
	}
	fapwstest.Write(t, s.path, saying("two"))
	s.until(browser, 200, "two")
	s.until(tool, 200, "two")
}

// The scripts and styles of a page may come from a development server such as Vite, through a proxy route.
func TestDevServesUpstreamsAndItsOwnPagesWhileCodeDoesNotLoad(t *testing.T) {
	t.Parallel()
	vite := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "script of ", r.URL.Path)
	}))
	defer vite.Close()
	dir := t.TempDir()
	path := fapwstest.Write(t, dir+"/app.py", saying("one"))
	file := fapwstest.Write(t, dir+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/vite/\"\nproxy = \""+vite.URL+
		"\"\n[[host.route]]\nprefix = \"/\"\napp = \"app.py\"\n")
	flags := []string{"--dev", "--bind", "127.0.0.1:0", "--status", "/_fapws", "-c", file}
	c := fapwstest.Command{Flags: flags, Complains: true}
	s := &workbench{c.Start(t), path}
	s.Address = s.Says(`http://(\S+)/`)[1]
	s.until(tool, 200, "one")
	fapwstest.Write(t, path, "def <b>\n")
	s.until(tool, 500, "failed to load: SyntaxError")
	for target, want := range map[string]string{"/vite/main.js": "script of", "/_fapws/metrics": "fapws_requests"} {
		s.Ask("GET "+target+" HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n").Want(t, 200, want)
	}
}

// failing starts a server with a script that does not load.
func failing(t *testing.T, text string, flags ...string) *workbench {
	t.Helper()
	path := fapwstest.Write(t, t.TempDir()+"/app.py", text)
	s := &workbench{fapwstest.Command{Script: path, Flags: append(flags, "--dev"), Complains: true}.Start(t), path}
	s.Address = s.Says(`see why in a browser: http://(\S+)/`)[1]
	return s
}

func TestDevShowsAFailedFirstStartInTheBrowser(t *testing.T) {
	t.Parallel()
	s := failing(t, "import nosuchmodule\n", "--bind", "127.0.0.1:0")
	s.until(browser, 500, "<h1>ModuleNotFoundError: No module named &#39;nosuchmodule&#39;</h1>")
	s.gets(tool, 500, "No module named 'nosuchmodule'")
	fapwstest.Write(t, s.path, "import otherwise\n")
	s.gets(browser, 500, "<h1>ModuleNotFoundError: No module named &#39;otherwise&#39;</h1>")
	fapwstest.Write(t, s.path, saying("mended"))
	s.gets(tool, 200, "mended")
	s.gets(browser, 200, "mended")
	fapwstest.Equal(t, s.Stderr.Await(t, fapwstest.BannerURL)[1], s.Address)
}

func TestDevMovesToTheAddressOfTheScript(t *testing.T) {
	t.Parallel()
	s := failing(t, "1/0\n", "--port", "0")
	s.until(browser, 500, "ZeroDivisionError")
	fapwstest.Write(t, s.path, "SERVER = '127.0.0.2'\n"+saying("moved"))
	s.Address = s.Says(`(?m)^  http://(127\.0\.0\.2:\d+)/$`)[1]
	s.until(browser, 200, "moved")
}

// The setting --debug can disable the page with the traceback. This page also replaces Flask's own error page, which
// has no details of the exception.
func TestDevShowsTheTracebackOfAHandler(t *testing.T) {
	t.Parallel()
	for raising, want := range map[string]string{
		"def handler(environ, start_response):\n    secret = 1\n    raise ValueError('why')\nPATHS = [('/', " +
			"handler)]\n": "raise ValueError",
		"from flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef index():\n    raise " +
			"ValueError('why')\n": "<h1>ValueError<span>: why</span>",
		"async def app(scope, receive, send):\n    raise ValueError('why')\n": "raise ValueError",
	} {
		s := edited(t, fapwstest.Mode{}, raising, "--dev")
		s.until(browser, 500, want)
		s = edited(t, fapwstest.Mode{}, raising, "--dev", "--debug", "0")
		status, body := s.ask(browser)
		fapwstest.Truef(t, status == 500 && !strings.Contains(body, "ValueError"), "%d %s", status, body)
	}
}

// The Host of the request is a name of another site that resolves to this machine (DNS rebinding).
func TestDevHidesTracebacksFromReboundNames(t *testing.T) {
	t.Parallel()
	const raising = "def handler(environ, start_response):\n    raise ValueError('why')\nPATHS = [('/', handler)]\n"
	shows := func(s *workbench, host, text string, want bool) {
		t.Helper()
		a := s.Ask("GET / HTTP/1.1\r\nHost: "+host+"\r\nAccept: text/html\r\n\r\n").Want(t, 500)
		fapwstest.Equalf(t, strings.Contains(a.Text, text), want, "Host %s: %s", host, a.Text)
	}
	s := edited(t, fapwstest.Mode{}, raising, "--dev")
	for host, want := range map[string]bool{"evil.test": false, "127.0.0.1.evil.test:80": false, "localhost:8888": true,
		"a.localhost": true, "127.0.0.1": true, "[::1]:80": true} {
		shows(s, host, "raise ValueError", want)
	}
	shows(s, "evil.test", "ask for this page at localhost", true)
	fapwstest.Write(t, s.path, "import nosuchmodule\n")
	s.until(browser, 500, "nosuchmodule")
	for _, accept := range []string{browser, tool} {
		a := s.Ask("GET / HTTP/1.1\r\nHost: evil.test\r\nAccept: " + accept + "\r\n\r\n")
		fapwstest.Truef(t, !strings.Contains(a.Text, "nosuchmodule"), "%s: %s", accept, a.Text)
	}
	s = edited(t, fapwstest.Mode{}, raising, "--dev", "--dev-anywhere")
	shows(s, "evil.test", "raise ValueError", true)
}

// Frameworks keep templates in memory, so the server reloads when a template changes.
func TestDevNoticesChangedTemplates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/templates/page.html", "one")
	path := fapwstest.Write(t, dir+"/app.py",
		"text = open('templates/page.html').read()\nPATHS = [('/', lambda environ, start_response: text)]\n")
	c := fapwstest.Command{Script: path, Dir: dir, Flags: []string{"--dev"}}
	s := &workbench{c.Serve(t, fapwstest.Mode{}), path}
	s.until(browser, 200, "one")
	fapwstest.Write(t, dir+"/templates/page.html", "two")
	s.until(browser, 200, "two")
}

func TestDevAnswersTheFirstRequestAfterAChangeByNewCode(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Workers},
		func(t *testing.T, m fapwstest.Mode) {
			const text = "import part\ndef handler(environ, start_response):\n    return '%s ' + part.text + " +
				"environ['wsgi.input'].read().decode()\nPATHS = [('/', handler)]\n"
			s := edited(t, m, saying("zero"), "--dev")
			kept := s.Dial()
			for _, number := range []string{"one", "two"} {
				fapwstest.Write(t, filepath.Dir(s.path)+"/part.py", "text = 'part"+number+"'\n")
				fapwstest.Write(t, s.path, fmt.Sprintf(text, number))
				s.gets(tool, 200, number+" part"+number)
				fapwstest.Write(t, s.path, fmt.Sprintf(text, "again "+number))
				kept.Send(fapwstest.Request("POST", "/", strings.Repeat("b", 100<<10)))
				kept.Answer().Want(t, 200, "again "+number+" part"+number+"bbb")
			}
			fapwstest.Write(t, s.path, "def <b>\n")
			s.gets(browser, 500, "SyntaxError")
			fapwstest.Write(t, s.path, fmt.Sprintf(text, "mended"))
			s.gets(browser, 200, "mended")
		})
}
