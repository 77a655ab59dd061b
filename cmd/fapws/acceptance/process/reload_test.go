package process_test

import (
	"fmt"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type workbench struct {
	*fapwstest.Server
	path string
}

func edited(t *testing.T, m fapwstest.Mode, text string, flags ...string) *workbench {
	t.Helper()
	path := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), text)
	return &workbench{fapwstest.Command{Script: path, Flags: flags, Complains: true}.Serve(t, m), path}
}

func saying(text string) string {
	return "PATHS = [('/', lambda environ, start_response: '" + text + "')]\n"
}

func (s *workbench) ask(accept string) (status int, body string) {
	s.T.Helper()
	a := s.Ask("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: " + accept + "\r\nConnection: close\r\n\r\n")
	fapwstest.Must(s.T, a.Err)
	return a.StatusCode, a.Text
}

func (s *workbench) gets(accept string, wantStatus int, want string) {
	s.T.Helper()
	if status, body := s.ask(accept); status != wantStatus || !strings.Contains(body, want) {
		s.T.Errorf("the response is %d %q, want %d %q", status, body, wantStatus, want)
	}
}

const (
	browser = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
	tool    = "*/*"
)

// until repeats the request until the response has wantStatus and contains want. Each request must get a response.
func (s *workbench) until(accept string, wantStatus int, want string) string {
	s.T.Helper()
	status, body := 0, ""
	for end := time.Now().Add(fapwstest.Patience); time.Now().Before(end) && !s.T.Failed(); {
		if status, body = s.ask(accept); status == wantStatus && strings.Contains(body, want) {
			return body
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.T.Fatalf("the answer is %d %q, want %d %q", status, body, wantStatus, want)
	return ""
}

// If a file changes again while the previous change is loading, the server loads it again.
func TestLinesOfReplacedWorkersStayInTheLog(t *testing.T) {
	t.Parallel()
	path := fapwstest.Write(t, t.TempDir()+"/app.py", "PATHS = [('/', lambda environ, start_response: 1 / 0)]\n")
	s := fapwstest.Command{Script: path, Complains: true}.Serve(t, fapwstest.Workers)
	s.Get("/", 500)
	fapwstest.Has(t, s.Control("logs"), "error in handler")
	for range 2 {
		s.Control("reload")
		fapwstest.Equal(t, strings.Count(s.Control("logs"), "error in handler"), 1)
	}
}

func TestReloadLoadsAChangedFile(t *testing.T) {
	t.Parallel()
	s := edited(t, fapwstest.Workers, saying("one"), "--reload")
	s.until(tool, 200, "one")

	hangs := t.TempDir() + "/hangs"
	fapwstest.Write(t, s.path, "import time\nopen('"+hangs+"', 'w').close()\ntime.sleep(10000)\n")
	s.Says(`info reloading: app\.py changed`)
	fapwstest.FileSays(t, hangs, "")
	fapwstest.Write(t, s.path, saying("two"))
	s.until(tool, 200, "two")

	fapwstest.Write(t, s.path, "1/0\n")
	s.Says(`ZeroDivisionError(.*\n)*.* error worker \d+ exited with status 3; reload failed; the old workers keep serving`)
	s.gets(tool, 200, "two")
	s.gets(browser, 200, "two")
	s.ReloadFails("reload failed: worker ")

	fapwstest.Write(t, s.path, saying("three"))
	s.until(tool, 200, "three")
	fapwstest.Equal(t, s.Control("reload"), "reloaded\n")
}

func TestReloadWatchesImportedModulesAndNamedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", "import inner.words\ntext = inner.words.text + open('page.html').read()\nPATHS "+
		"= [('/', lambda environ, start_response: text)]\n")
	fapwstest.Write(t, dir+"/inner/words.py", "text = 'a'")
	fapwstest.Write(t, dir+"/page.html", "b")
	c := fapwstest.Command{Script: dir + "/app.py", Dir: dir, Flags: []string{"--reload", "--reload-include", "*.html",
		"--reload-exclude", "data"}}
	s := &workbench{c.Serve(t, fapwstest.Mode{}), dir + "/app.py"}
	s.until(tool, 200, "ab")
	fapwstest.Write(t, dir+"/data/x.py", "")
	fapwstest.Write(t, dir+"/notes.txt", "")
	fapwstest.Replace(t, dir+"/page.html", "B")
	s.until(tool, 200, "aB")
	fapwstest.Replace(t, dir+"/inner/words.py", "text = 'A'")
	s.until(tool, 200, "AB")
	var why []string
	for _, line := range strings.Split(s.Stderr.String(), "\n") {
		if _, after, ok := strings.Cut(line, "reloading: "); ok {
			why = append(why, after)
		}
	}
	fapwstest.Equalf(t, why, []string{"page.html changed", "inner/words.py changed"}, "reloaded because")
}

func TestReloadWaitsAfterAFailedFirstStart(t *testing.T) {
	t.Parallel()
	path := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), "PATHS = [\n")
	c := fapwstest.Command{Script: path, Flags: []string{"--reload", "--bind", "127.0.0.1:0", "--workers", "2"},
		Complains: true}
	s := &workbench{c.Start(t), path}
	s.Says(`SyntaxError(.*\n)*.* exited with status 3; waiting for a change`)
	code, _, stderr := s.Ctl("reload")
	fapwstest.Truef(t, code == 1 && strings.HasPrefix(stderr, "fapws: reload failed: worker ") &&
		!strings.Contains(stderr, "keep serving"), "code %d: %s", code, stderr)
	fapwstest.Must(t, os.Remove(path))
	s.Says(`cannot read .*app\.py(.*\n)*.* exited with status 2; waiting for a change`)
	fapwstest.Write(t, path, saying("mended"))
	s.Address = s.Stderr.Await(t, fapwstest.BannerURL)[1]
	s.until(tool, 200, "mended")
}

// --chdir names a link, by an absolute and by a relative path.
func TestReloadFollowsASwitchedLink(t *testing.T) {
	t.Parallel()
	for _, relative := range []bool{false, true} {
		folder := t.TempDir()
		link := filepath.Join(folder, "current")
		to := func(release string) {
			fapwstest.Write(t, filepath.Join(folder, release, "app/app.py"), saying(release))
			next := filepath.Join(folder, "next")
			fapwstest.Must(t, os.Symlink(release, next), os.Rename(next, link))
		}
		to("one")
		c := fapwstest.Command{Dir: folder, Flags: []string{"--reload", "--chdir", link, "app/app.py"}}
		if relative {
			c.Flags[2] = "current"
		}
		s := &workbench{c.Serve(t, fapwstest.Threads), ""}
		for _, release := range []string{"two", "three"} {
			to(release)
			s.until(tool, 200, release)
		}
		fapwstest.Replace(t, filepath.Join(folder, "three/app/app.py"), saying("changed"))
		s.until(tool, 200, "changed")
	}
}

func TestIdleConnectionsMoveToTheNewWorkers(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, fapwstest.Forks, fapwstest.Inline,
		{Name: "proxy"}}, func(t *testing.T, m fapwstest.Mode) {
		flags, announced := []string{"--max-requests", "1000000"}, ""
		if m.Name == "proxy" {
			flags, announced = append(flags, "--proxy-protocol", "--forwarded-allow-ips", "127.0.0.1"),
				"PROXY TCP4 192.0.2.9 192.0.2.1 4711 80\r\n"
		}
		code := func(text string) string {
			return fmt.Sprintf("PATHS = [('/', lambda environ, start_response: %q + environ.get('REMOTE_ADDR', ''))]\n", text)
		}
		s := edited(t, m, code("old "), flags...)
		from := "127.0.0.1"
		if announced != "" {
			from = "192.0.2.9"
		}
		idle := s.DialMany(8, announced)
		for _, w := range idle {
			w.Fetch("/").Is(t, "old "+from)
		}
		unused := s.Dial()
		for i, change := range []func(){s.Reload, s.Upgrade} {
			text := fmt.Sprintf("new %d ", i)
			fapwstest.Must(t, os.WriteFile(s.path, []byte(code(text)), 0o644))
			change()
			for n, w := range idle {
				a := w.Fetch("/")
				fapwstest.Truef(t, a.Text == text+from && !a.Close, "connection %d: %q, closes: %v", n, a.Text, a.Close)
			}
		}
		unused.Send(announced)
		a := unused.Fetch("/")
		fapwstest.Truef(t, strings.HasPrefix(a.Text, "new 1 "+from), "unused connection: %q", a.Text)
	})
}

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
	vite := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "script of ", r.URL.Path) })
	dir := t.TempDir()
	path := fapwstest.Write(t, dir+"/app.py", saying("one"))
	file := fapwstest.Write(t, dir+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/vite/\"\nproxy = \""+vite.URL+
		"\"\n[[host.route]]\nprefix = \"/\"\napp = \"app.py\"\n")
	flags := []string{"--dev", "--bind", "127.0.0.1:0", "--status", "/_fapws", "-c", file}
	s := &workbench{fapwstest.Command{Flags: flags, Complains: true}.Start(t), path}
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
	s.until(browser, 500, "<h1>ModuleNotFoundError: No module named &#39;otherwise&#39;</h1>")
	fapwstest.Write(t, s.path, saying("mended"))
	s.until(tool, 200, "mended")
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

// A page about a timeout has the stack of the handler, and one about a wrong address the right ones.
func TestDevShowsWhereAHandlerHangsAndThePathsThereAre(t *testing.T) {
	fapwstest.InEach(t, fapwstest.Modes, func(t *testing.T, m fapwstest.Mode) {
		const text = "import asyncio, time\ndef hang(environ, start_response):\n    time.sleep(60)\n" +
			"async def wait(environ, start_response):\n    await asyncio.sleep(60)\n" +
			"PATHS = [('/hang', hang), ('/wait', wait)]\n"
		s := edited(t, m, text, "--dev", "--timeout", "300ms")
		for _, accept := range []string{browser, tool} {
			ask := func(host, path string) *fapwstest.Answer {
				return s.Ask("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nAccept: " + accept + "\r\n\r\n")
			}
			has := func(a *fapwstest.Answer, text string, want bool) {
				t.Helper()
				fapwstest.Equalf(t, strings.Contains(a.Text, text), want, "%q: %s", text, a.Text)
			}
			for path, line := range map[string]string{"/hang": "time.sleep(60)", "/wait": "await asyncio.sleep(60)"} {
				a := ask("localhost", path).Want(t, 504)
				has(a, "andler "+path[1:]+" has not answered within 300ms (--timeout).", true)
				has(a, line, true)
				// The frames of fapws, which checks the calls of the application, are no part of the page.
				has(a, "_pep3333", false)
				marked := regexp.MustCompile(`(?m)^(<b class=bad>&gt;|>) +\d+ +` + regexp.QuoteMeta(line) + `(</b>)?$`)
				fapwstest.Truef(t, marked.MatchString(a.Text), "%s is not marked: %s", line, a.Text)
			}
			has(ask("evil.test", "/hang").Want(t, 504), "sleep", false)
			has(ask("localhost", "/none").Want(t, 404), "\n  /hang\n  /wait", true)
			has(ask("evil.test", "/none").Want(t, 404), "/hang", false)
		}
	})
}

func TestDevCopiesATraceback(t *testing.T) {
	t.Parallel()
	s := edited(t, fapwstest.Mode{}, "def handler(environ, start_response):\n    raise ValueError('why')\n"+
		"PATHS = [('/', handler)]\n", "--dev")
	ctx := fapwstest.Browser(t)
	var copied string
	fapwstest.Must(t, chromedp.Run(ctx, chromedp.Navigate(s.URL), chromedp.Click("button", chromedp.ByQuery),
		fapwstest.Shows(`document.querySelector("button").textContent == "Copied"`),
		chromedp.Evaluate("getSelection().toString()", &copied)))
	fapwstest.Truef(t, strings.HasPrefix(copied, "Traceback (most recent call last):\n") &&
		strings.HasSuffix(strings.TrimSpace(copied), "ValueError: why"), "%q", copied)
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
	s := &workbench{fapwstest.Command{Script: path, Dir: dir, Flags: []string{"--dev"}}.Serve(t, fapwstest.Mode{}), path}
	s.until(browser, 200, "one")
	fapwstest.Write(t, dir+"/templates/page.html", "two")
	s.until(browser, 200, "two")
}

// Code that ends its process leaves no worker that could show the failure, so another one does.
func TestDevShowsCodeThatEndsItsProcess(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := edited(t, m, saying("one"), "--dev")
		s.Complains = true
		for _, text := range []string{"two", "three"} {
			fapwstest.Write(t, s.path, "import os, time\ntime.sleep(0.3)\nos._exit(3)\n")
			s.ReloadFails("exited with status 3")
			s.until(browser, 500, "os._exit(3)")
			fapwstest.Write(t, s.path, saying(text))
			s.Control("reload")
			s.gets(tool, 200, text)
		}
		fapwstest.Write(t, s.path, "def <b>\n")
		s.until(browser, 500, "SyntaxError")
		for _, pid := range s.Workers() {
			fapwstest.Kill(t, syscall.SIGKILL, pid)
		}
		fapwstest.Write(t, s.path, saying("four"))
		s.until(tool, 200, "four")
	})
}

// An idle connection stays open. Its next request waits for the new code.
func TestDevKeepsIdleConnectionsForTheNewCode(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Workers},
		func(t *testing.T, m fapwstest.Mode) {
			const text = "import part\ndef handler(environ, start_response):\n    return '%s ' + part.text + " +
				"environ['wsgi.input'].read().decode()\nPATHS = [('/', handler)]\n"
			s := edited(t, m, saying("zero"), "--dev")
			kept := s.Dial()
			kept.Fetch("/").Is(t, "zero")
			for i, number := range []string{"one", "two"} {
				fapwstest.Write(t, filepath.Dir(s.path)+"/part.py", "text = 'part"+number+"'\n")
				fapwstest.Write(t, s.path, fmt.Sprintf(text, number))
				s.until(tool, 200, number+" part"+number)
				kept.Send(fapwstest.Request("POST", "/", strings.Repeat("b", 100<<10)))
				kept.Answer().Want(t, 200, number+" part"+number+"bbb")
				// Until all workers have loaded, one of them could load the next change as a part of this reload.
				fapwstest.Eventually(t, "the reload has ended", func() bool {
					return strings.Count(s.Stderr.String(), "info reloaded") > i
				})
			}
		})
}

// The first new worker has loaded, with another setting, and the second one fails.
func TestFailedReloadChangesNoSettingOfTheSupervisor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", "import os\nif os.path.exists('new'):\n"+
		"    os.close(os.open('loaded', os.O_CREAT | os.O_EXCL))\n"+
		"def application(e, s): s('200 OK', []); return [b'old']\n")
	config := fapwstest.Write(t, dir+"/fapws.toml", "app = \"app.py\"\nworkers = 2\n")
	s := fapwstest.Command{Flags: []string{"-b", "127.0.0.1:0", "-c", config}, Dir: dir, Complains: true}.Started(t)
	fapwstest.Write(t, config, "app = \"app.py\"\nworkers = 2\nshutdown-delay = \"1s\"\n")
	fapwstest.Write(t, dir+"/new", "")
	s.ReloadFails("FileExistsError")
	s.Get("/", 200).Want(t, 200, "old")
	s.SignalLogs(syscall.SIGTERM, "info stopping; waiting up to")
	s.EndsWith(0)
}
