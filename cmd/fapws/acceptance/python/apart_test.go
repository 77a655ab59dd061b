package python_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/tools/txtar"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Each file in testdata/apart has several applications, and says in its second line what must happen. With "served:",
// each host must respond with its text, or with a status. With "refused:", fapws check and the start must fail with one
// line that contains the words.
func TestApplicationsGetTheirOwnModulesOrAreRefused(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/apart/*.txtar")
	fapwstest.Needf(t, err == nil && len(files) > 0, "%q, %v", files, err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			fapwstest.Must(t, err)
			dir := t.TempDir()
			for _, f := range archive.Files {
				fapwstest.Write(t, filepath.Join(dir, f.Name), string(f.Data))
			}
			c := fapwstest.Command{Dir: dir, Complains: true, Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)}}
			kind, words, _ := strings.Cut(strings.Split(string(archive.Comment), "\n")[1], ": ")
			switch kind {
			case "refused":
				for _, flag := range []string{"check", "--bind=127.0.0.1:0"} {
					c.Flags = []string{flag}
					code, stdout, stderr := c.Run(t)
					fapwstest.Truef(t, code == 3, "%s: code %d, %s%s", flag, code, stdout, stderr)
					fapwstest.Has(t, stderr, append(strings.Fields(words), "a process of its own, [application.NAME]")...)
					fapwstest.Lacks(t, stderr, "Traceback")
				}
			case "served":
				for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline} {
					s := c.Serve(t, m)
					for _, word := range strings.Fields(words) {
						host, want, _ := strings.Cut(word, "=")
						status, err := strconv.Atoi(want)
						if err != nil {
							status = 200
						}
						got := s.Ask("GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n").Want(t, status)
						if status == 200 {
							got.Is(t, want)
						}
					}
				}
			default:
				t.Fatalf("%q", kind)
			}
		})
	}
}

// The old code continues to serve when a change of an application conflicts with a different application.
func TestReloadWithConflictingModulesIsRefused(t *testing.T) {
	t.Parallel()
	const app = "OF = 'WHO'\ndef application(e, s):\n    s('200 OK', [])\n    return [OF.encode()]\n"
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		fapwstest.Write(t, dir+"/"+name+"/helper.py", "OF = 'helper of "+name+"'\n")
		fapwstest.Write(t, dir+"/"+name+"/app.py", strings.ReplaceAll(app, "WHO", name))
	}
	fapwstest.Write(t, dir+"/fapws.toml",
		"[[host]]\nname = 'one'\napp = 'one/app.py'\n[[host]]\nname = 'two'\napp = 'two/app.py'\n")
	s := fapwstest.Command{Dir: dir, Complains: true}.Serve(t, fapwstest.Workers)
	check := func(want map[string]string) {
		t.Helper()
		for host, text := range want {
			s.Ask("GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, text)
		}
	}
	want := map[string]string{"one": "one", "two": "two"}
	check(want)
	own := strings.Replace(app, "OF = 'WHO'", "from helper import OF", 1)
	fapwstest.Write(t, dir+"/one/app.py", own)
	s.Signal(syscall.SIGHUP)
	fapwstest.Eventually(t, "the new code of the first application", func() bool {
		return s.Ask("GET / HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n").Text == "helper of one"
	})
	want = maps.Clone(want)
	want["one"] = "helper of one"
	fapwstest.Write(t, dir+"/two/app.py", own)
	s.Signal(syscall.SIGHUP)
	s.Stderr.Await(t, regexp.MustCompile(`two/app\.py: its module helper \(\S+two/helper\.py\) conflicts with \S+one/helper\.py`))
	check(want)
}
