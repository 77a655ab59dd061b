package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type workbench struct {
	*fapwstest.Server
	path string
}

func edited(t *testing.T, m fapwstest.Mode, text string, flags ...string) *workbench {
	t.Helper()
	path := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), text)
	c := fapwstest.Command{Script: path, Flags: flags, Complains: true}
	return &workbench{c.Serve(t, m), path}
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
	s.Says(
		`ZeroDivisionError(.*\n)*.* error worker \d+ exited with status 3; reload failed; the old workers keep serving`)
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
			return fmt.Sprintf("PATHS = [('/', lambda environ, start_response: %q + environ.get('REMOTE_ADDR', ''))]\n",
				text)
		}
		s := edited(t, m, code("old "), flags...)
		from := "127.0.0.1"
		if announced != "" {
			from = "192.0.2.9"
		}
		var idle []*fapwstest.Client
		for range 8 {
			w := s.Dial()
			w.Send(announced)
			text := w.Fetch("/").Text
			fapwstest.Needf(t, text == "old "+from, "%q", text)
			idle = append(idle, w)
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
