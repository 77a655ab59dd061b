package process_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const errorDate = `\[\w{3} \w{3} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4}\] `

func TestErrorLogHasEverythingOnStandardError(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		name := folder + "/error_log"
		s := fapwstest.Command{Script: "logs.py", Flags: []string{"--access-log", folder + "/access_log", "--error-log",
			name}, Complains: true}.Serve(t, m)
		s.Get("/raises", 500)
		s.Get("/printed?1", 200)
		s.Get("/child", 200)
		s.DialGet("/short").Rest()
		s.Get("/", 200)
		s.Stop()

		text := fapwstest.Read(t, name)
		fapwstest.Matches(t, text,
			`(?m)^`+errorDate+
				`\[warning\] \[client 127\.0\.0\.1:\d+\] \[request \w+\] warning in handler short, GET /short HTTP/1\.1 .*3 bytes`,
			`(?m)^`+errorDate+`\[error\] \[client 127\.0\.0\.1:\d+\] \[request \w+\] error in handler raises, GET /raises HTTP/1\.1 .*\n`+
				`Traceback \(most recent call last\):\n(  .*\n)+ValueError: of the handler$`,
			`(?m)^printed by \d+ 1$`,
			`(?m)^a child said this$`,
			`(?m)^`+errorDate+`\[info\] stopping`)
		fapwstest.Lacks(t, text, "GET / HTTP")
		access := strings.Join(logLines(t, folder+"/access_log"), "\n")
		for _, path := range []string{"/raises", "/printed?1", "/child", "/short", "/"} {
			fapwstest.Has(t, access, `"GET `+path+` HTTP/1.1" `)
		}
		fapwstest.Lacks(t, access, "Traceback")
		if said := s.Stderr.String(); strings.Contains(said, "Traceback") || !strings.Contains(said, s.URL) {
			t.Errorf("who started it sees:\n%s", said)
		}
	})
}

func TestErrorLogHasEachErrorOfAConfigurationFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name, file := dir+"/error_log", fapwstest.Write(t, dir+"/fapws.toml",
		"[[host]]\nname = \"a\"\n[[host.route]]\nprefix = \"/\"\nproxy = \"x\"\n[[host.route]]\nprefix = "+
			"\"/b\"\nproxy = \"y\"\n")
	code, _, stderr := fapwstest.Command{Flags: []string{"--error-log", name, "--bind", "127.0.0.1:0", "--config",
		file}, Script: "logs.py"}.Run(t)
	text := fapwstest.TextOf(t, name)
	for _, at := range []string{":5: ", ":8: "} {
		fapwstest.Truef(t, regexp.MustCompile(`(?m)^`+errorDate+`\[error\] `+regexp.QuoteMeta(file+at)).MatchString(text) &&
			strings.Contains(stderr, "fapws: "+file+at), "nothing about line %s in %q, %q", at, text, stderr)
	}
	fapwstest.Truef(t, code == 2 && strings.Count(text, "\n") == 2, "code %d, %q", code, text)
}

func TestErrorLogHasTheLastOutputOfACrashedProcess(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		for path, want := range map[string]string{"/aborts": "last words\n", "/fails": "last words of C"} {
			name := t.TempDir() + "/error_log"
			s := fapwstest.Command{Script: "logs.py", Flags: []string{"--error-log", name}, Complains: true}.Serve(t, m)
			s.DialGet(path).Closed()
			fapwstest.FileSays(t, name, want)
			if m.Workers() {
				s.Get("/", 200)
			} else if code := s.Ended(); code != -1 && code != 2 {
				t.Errorf("code %d", code)
			}
		}
	})
}

func TestErrorLogOnAFullDiskIsReportedOnce(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		name := t.TempDir() + "/error_log"
		c := fapwstest.Command{Script: "logs.py", Flags: []string{"--error-log", name, "--log-max-size", "0"},
			Complains: true,
			// A limit of the file size simulates a full disk. 20 blocks are 10 or 20 KiB, depending on the shell.
			Shell: "ulimit -f 20"}
		s := c.Serve(t, m)
		for range 100 {
			s.Get("/raises", 500)
			s.Get("/", 200)
		}
		var text []byte
		// For a moment, the file may end with a part of a line, because the rest of the line does not fit on the disk.
		fapwstest.Eventually(t, "it is full, without half a line at its end", func() bool {
			var err error
			text, err = os.ReadFile(name)
			return err == nil && len(text) > 9<<10 && bytes.HasSuffix(text, []byte("\n"))
		})
		fapwstest.Must(t, os.Truncate(name, 20<<10))
		s.SignalLogs(syscall.SIGUSR1, `fapws: error log: .*error_log: file too large; keeping lines in memory while possible`)
		fapwstest.Must(t, os.Truncate(name, 0))
		s.Says(`fapws: error log: .*error_log: can be written again, 0 lines were lost`)
		fapwstest.FileSays(t, name, "reopening the log files")
		s.Get("/raises", 500)
		fapwstest.FileSays(t, name, "ValueError: of the handler")
		fapwstest.Eventually(t, "a process that has lost lines says so", func() bool {
			s.Get("/raises", 500)
			return strings.Contains(fapwstest.TextOf(t, name), " lines before this one\n")
		})
		fapwstest.Equal(t, strings.Count(s.Stderr.String(), "keeping lines"), 1)
	})
}

func TestErrorLogIsRotatedBySettingsOfTheScript(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		name, script := t.TempDir()+"/error_log", fapwstest.Copied(t, "logs.py")
		text := "LOG_MAX_SIZE, LOG_KEEP = '4K', 2\n" + fapwstest.Source(t, "logs.py")
		if !m.Workers() {
			fapwstest.Replace(t, script, text)
		}
		s := fapwstest.Command{Script: script, Flags: []string{"--error-log", name}}.Serve(t, m)
		if m.Workers() {
			fapwstest.Replace(t, script, text)
			s.Control("reload")
		}
		lines := 0
		fapwstest.Eventually(t, "two files, compressed", func() bool {
			if lines++; lines <= 100 {
				s.Get("/printed?"+strings.Repeat("x", 1000), 200)
			}
			return fapwstest.Exists(name + ".2.gz")
		})
		fapwstest.Truef(t, !fapwstest.Exists(name+".3.gz"), "a third one")
	})
}

func TestFullLogFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "fulllog.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, breaks := range []string{"/fill", "/leave", "/stall"} {
		s.Get(breaks, 200)
		for range 3 {
			s.Get("/say", 200).Is(t, "said")
		}
		s.Get("/raises", 500)
		s.Get("/mend", 200)
		s.Get("/say", 200).Is(t, "said")
		s.Says(`fapws: lost [1-9]\d+ lines before this one\nby print\nby wsgi.errors\nERROR:root:by logging\n`)
	}
}

const objectsSite = `error-log = "error.log"
error-log-format = "json"
request-id = true
trace = true
timeout = "1s"
[[host]]
name = "main.example"
default = true
app = "failing.py:app"
%s
[[host]]
name = "own.example"
app = "failing.py:app"
error-log = "own.log"
`

const objectsRoute = `route = [{ prefix = "/asgi", app = "failing.py:asgi" }]`

type errorObject struct {
	Time, Level, Message, Client, User, Host, Method, Path, Handler string
	RequestID                                                       string `json:"request_id"`
	TraceID                                                         string `json:"trace_id"`
	Exception                                                       struct{ Type, Message, Traceback string }
	PID                                                             int
}

var objectKeys = []string{"client", "exception", "handler", "host", "level", "message", "method", "path", "pid",
	"request_id", "time", "trace_id", "user"}

// The test fails unless each line is a JSON object with exactly the keys that the documentation lists.
func objectsIn(t *testing.T, text string) (all []errorObject) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") { // the rest is still to come
			break
		}
		var o errorObject
		var keys map[string]any
		err := json.Unmarshal([]byte(line), &o)
		if err == nil {
			err = json.Unmarshal([]byte(line), &keys)
		}
		fapwstest.Needf(t, err == nil && slices.Equal(slices.Sorted(maps.Keys(keys)), objectKeys) && o.Time != "" &&
			o.Level != "" && o.Message != "" && o.PID != 0, "%v in %.1000q", err, line)
		if e := o.Exception; len(o.Message) > 64<<10 || len(e.Traceback) > 64<<10 || len(e.Message) > 64<<10 {
			t.Fatalf("%d, %d and %d bytes in a line", len(o.Message), len(e.Message), len(e.Traceback))
		}
		all = append(all, o)
	}
	return all
}

func awaitObject(t *testing.T, log, what string, is func(o errorObject) bool) (found errorObject) {
	t.Helper()
	fapwstest.Eventually(t, "a message about "+what+" in "+log, func() bool {
		all := objectsIn(t, fapwstest.TextOf(t, log))
		i := slices.IndexFunc(all, is)
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

func TestEachMessageOfTheErrorLogIsAnObject(t *testing.T) {
	fapwstest.InEach(t, append(slices.Clone(fapwstest.Modes), fapwstest.Forks), func(t *testing.T, m fapwstest.Mode) {
		folder, routes := t.TempDir(), objectsRoute
		fapwstest.Write(t, folder+"/failing.py", fapwstest.Source(t, "objects.py"))
		if m.Forks() {
			routes = ""
		}
		file := fapwstest.Write(t, folder+"/fapws.toml", fmt.Sprintf(objectsSite, routes))
		s := fapwstest.Command{Flags: []string{"-c", file}, Dir: folder}.Serve(t, m)
		for host, log := range map[string]string{"main.example": "error.log", "own.example": "own.log"} {
			log = filepath.Join(folder, log)
			ask := func(path string, status int) (id string) {
				t.Helper()
				return s.Ask("GET "+path+" HTTP/1.1\r\nHost: "+strings.ToUpper(host)+":80\r\n\r\n").Want(t, status).
					Header.Get("X-Request-Id")
			}
			await := func(what, path string, status int, is func(o errorObject) bool) errorObject {
				t.Helper()
				id := ask(path, status)
				return awaitObject(t, log, what, func(o errorObject) bool { return o.RequestID == id && is(o) })
			}
			o := await("a failure", "/fails?query", 500, func(o errorObject) bool { return o.Exception.Type == "ValueError" })
			fapwstest.Truef(t, o.Level == "error" && o.Host == host && o.Method == "GET" && o.Path == "/fails" &&
				o.TraceID != "" && strings.HasPrefix(o.Client, "127.0.0.1:") && strings.HasSuffix(o.Handler, "app") &&
				o.Exception.Message == "a \"quote\", a \\, \x1b[31m, \u2028, \\udcff, é and \U0001f600\nsecond line" &&
				strings.HasPrefix(o.Exception.Traceback, "Traceback (most recent call last):\n") &&
				strings.Contains(o.Exception.Traceback, "failing.py"), "%+v", o)
			o = await("a long text", "/long", 500, func(o errorObject) bool { return o.Exception.Type == "ValueError" })
			e := o.Exception
			fapwstest.Truef(t, strings.HasSuffix(e.Traceback, "xend") && strings.HasPrefix(e.Message, "xxx"), "%+v", o)
			await("a deep stack", "/deep", 500, func(o errorObject) bool { return o.Exception.Message == "'deep'" })
			for _, text := range []string{"one", "two three"} {
				await("wsgi.errors", "/writes", 200, func(o errorObject) bool {
					return o.Message == text || m.Forks() && strings.HasSuffix(o.Message, ": "+text)
				})
			}
			await("a late handler", "/late", 504, func(o errorObject) bool {
				return strings.Contains(o.Message, "timed out after") && o.Path == "/late" && o.Host == host &&
					(m.Forks() || strings.Contains(o.Exception.Traceback, "failing.py"))
			})
			s.Ask("POST /big HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 99999999999\r\n\r\n").Want(t, 413)
		}
		log := folder + "/error.log"
		s.Get("/thread", 200)
		awaitObject(t, log, "a thread", func(o errorObject) bool {
			return o.Exception.Message == "in a thread" && strings.Contains(o.Message, "named")
		})
		s.Get("/logs", 200)
		awaitObject(t, log, "logging", func(o errorObject) bool { return o.Message == "logged text" })
		if !m.Forks() {
			s.Get("/asgi/handler", 500)
			awaitObject(t, log, "a handler of ASGI", func(o errorObject) bool {
				return o.Exception.Type == "RuntimeError" && o.Path == "/asgi/handler"
			})
			s.Get("/asgi/task", 500)
			awaitObject(t, log, "a task", func(o errorObject) bool { return o.Exception.Type == "LookupError" })
			s.Get("/asgi/late", 504)
			awaitObject(t, log, "a late task", func(o errorObject) bool {
				return strings.Contains(o.Message, "timed out") && o.Path == "/asgi/late"
			})
		}
		s.Ask("GET /fails HTTP/1.1\r\nHost: main.example\r\nX-Request-ID: a\"\r\nX: \xff\r\n\r\n").Want(t, 500)
		s.Ask("GET /late/f%ff%0a%22%e2%80%a8 HTTP/1.1\r\nHost: main.example\r\n\r\n").Want(t, 200)
		s.Ask("GET /fails/../fails?\xff\" HTTP/1.1\r\nHost: main.example\r\n\r\n")
		if m.Workers() {
			s.DialGet("/crashes")
			o := awaitObject(t, log, "a crash", func(o errorObject) bool {
				return strings.Contains(o.Message, "segmentation fault") && o.Exception.Traceback != ""
			})
			fapwstest.Has(t, o.Exception.Traceback, "failing.py")
			awaitObject(t, log, "the supervisor", func(o errorObject) bool {
				return strings.Contains(o.Message, "was killed by SIGSEGV")
			})
		}
		s.Stop()
		objectsIn(t, fapwstest.TextOf(t, log))
	})
}

// A write to a pipe is atomic only up to 4 KiB, and the reader is slow, so lines of several processes could mix.
func TestTracebacksOfWorkersInAPipeDoNotMix(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/failing.py", `
import sys

def application(environ, start_response):
    print("raw", file=sys.stderr)
    raise ValueError("y" * 30000)
`)
	in, out, err := os.Pipe()
	fapwstest.Must(t, err)
	defer in.Close()
	cmd := exec.Command(fapwstest.Binary(t), "--bind", "127.0.0.1:0", "--workers", "3",
		"--error-log-format", "json", script)
	cmd.Env, cmd.Stderr = fapwstest.CleanEnviron(), out
	fapwstest.Must(t, cmd.Start())
	defer cmd.Process.Kill()
	out.Close()
	said := fapwstest.NewOutput()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.CopyBuffer(struct{ io.Writer }{said}, struct{ io.Reader }{in}, make([]byte, 1000))
	}()
	address := said.Await(t, fapwstest.BannerURL)[1]
	const clients, each = 8, 20
	fapwstest.AtOnce(clients, func(int) {
		for range each {
			fapwstest.Dial(t, "tcp", address).Get("/")
		}
	})
	fapwstest.Must(t, cmd.Process.Signal(os.Interrupt), cmd.Wait())
	<-copied
	failures := 0
	for line := range strings.Lines(said.String()) {
		if strings.HasPrefix(line, "{") {
			for _, o := range objectsIn(t, line) {
				if o.Exception.Type == "ValueError" {
					failures++
				}
			}
		} else if strings.Contains(line, "{\"time\"") || strings.Contains(line, "yyy") {
			t.Fatalf("%.300q", line)
		}
	}
	fapwstest.Equal(t, failures, clients*each)
}

func TestFullDiskOfAnErrorLogOfObjectsOnlyLosesMessages(t *testing.T) {
	t.Parallel()
	port := fapwstest.FreePort(t)
	c := fapwstest.Command{Script: "objects.py:app", Shell: "exec 2>/dev/full",
		Flags: []string{"--bind", "127.0.0.1:" + port, "--workers", "2", "--error-log-format", "json"}}
	s := c.Start(t)
	s.Address = "127.0.0.1:" + port
	s.URL = "http://" + s.Address
	fapwstest.Eventually(t, "the server listens", func() bool { return fapwstest.Listens("tcp", s.Address) })
	for range 5 {
		s.Get("/fails", 500)
		s.Get("/long", 500)
		s.Get("/writes", 200)
	}
}

func TestFailedStartIsAnObject(t *testing.T) {
	t.Parallel()
	script := t.TempDir() + "/a.py"
	const threads = "import logging, sys, threading\ndef fails():\n    raise KeyError\n" +
		"t = threading.Thread(target=fails)\nt.start()\nt.join()\nlogging.getLogger('a').error('b')\n"
	const lifespan = "async def application(scope, receive, send):\n    await receive()\n"
	c := fapwstest.Command{Crashes: true}
	for text, kind := range map[string]string{
		"import ctypes\nctypes.string_at(1)\n": "",
		"import os\nos.abort()\n":              "",
		"raise ValueError('\"\\n')\n":          "ValueError",
		"def application(:\n":                  "SyntaxError",
		threads + "sys.exit('no database')\n":  "KeyError",
		lifespan + "    raise ValueError\n":    "ValueError",
		lifespan + "    await send({'type': 'lifespan.startup.failed', 'message': 'x\\nTraceback'})\n": "",
		"application = None\n": "none",
	} {
		fapwstest.Write(t, script, text)
		for _, flags := range []string{"--threads 2", "--workers 2", "--fork"} {
			if strings.HasPrefix(text, lifespan) && flags == "--fork" {
				continue
			}
			c.Flags = append(strings.Fields(flags), "--error-log-format", "json", "--bind", "127.0.0.1:0", script)
			code, _, stderr := c.Run(t)
			all := objectsIn(t, stderr)
			shown := slices.ContainsFunc(all, func(o errorObject) bool {
				return o.Exception.Type == kind && (strings.Contains(o.Exception.Traceback, "a.py") ||
					strings.HasSuffix(o.Exception.Traceback, "Traceback"))
			})
			once := len(all) == 1 || len(all) > 1 && strings.HasPrefix(text, "import")
			fapwstest.Truef(t, code == 3 && once && all[0].Level == "error" && shown == (kind != "none"),
				"%q, %s: %d, %q", text, flags, code, stderr)
		}
	}
	fapwstest.Write(t, script, "application = None\n")
	c.Flags = []string{"check", "--bind", "127.0.0.1:0", "--error-log-format", "json", script}
	code, _, stderr := c.Run(t)
	fapwstest.Truef(t, code != 0 && strings.HasPrefix(stderr, "fapws: "), "%d, %q", code, stderr)
	c.Flags = []string{"check", "--error-log-format", "xml", script}
	c.Fails(t, 2, "error-log-format")
}
