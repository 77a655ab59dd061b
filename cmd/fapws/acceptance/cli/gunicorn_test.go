package cli_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const gunicornApp = `import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]
`

func TestConfigurationOfGunicornIsReadAsSettings(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"main.py": gunicornApp, "other.py": "PORT = 0\n", "gunicorn.conf.py": `
import multiprocessing, os, ssl
from other import PORT
print("output of the file")
name = "is not a setting of gunicorn"
host = "127.0.0.1"
bind = [f"{host}:{PORT}"]
workers = multiprocessing.cpu_count() - multiprocessing.cpu_count() + 1
threads = int(os.environ["FROM_FILE"])
timeout = 90
keepalive = 7
umask = 0o027
limit_request_line = 100
cert_reqs = ssl.CERT_NONE
accesslog = None
errorlog = "-"
loglevel = "DEBUG"
reload = False
preload_app = False
daemon = False
proc_name = "mysite"
pidfile = "mysite.pid"
wsgi_app = "main:app"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
`, "variables": "FROM_FILE=3\n"})
	c := fapwstest.Command{Dir: dir, Flags: []string{"-c", "gunicorn.conf.py", "--env-file", "variables"}}
	check := c
	check.Flags = append([]string{"--print-config", "--keep-alive", "8"}, c.Flags...)
	check.Env = []string{"GUNICORN_CMD_ARGS=--timeout 60"}
	code, stdout, stderr := check.Run(t)
	fapwstest.Truef(t, code == 0 && stderr == "output of the file\n", "code %d, %q", code, stderr)
	shown := map[string]string{}
	for line := range strings.Lines(stdout) {
		if words := strings.Fields(line); len(words) > 1 {
			shown[words[0]] = strings.Join(words[1:], " ")
		}
	}
	for name, want := range map[string]string{
		"bind":       "127.0.0.1:0 file gunicorn.conf.py:7",
		"workers":    "1 file gunicorn.conf.py:8",
		"threads":    "3 file gunicorn.conf.py:9",
		"timeout":    "60s environment GUNICORN_CMD_ARGS --timeout",
		"keep-alive": "8s flag --keep-alive",
		"umask":      "027 file gunicorn.conf.py:12",
		"log-level":  "debug file gunicorn.conf.py:17",
		"name":       "mysite file gunicorn.conf.py:21",
		"pid":        "mysite.pid file gunicorn.conf.py:22",
		"access-log": "off default",
		"/":          "app main:app",
	} {
		fapwstest.Equalf(t, shown[name], want, "%s", name)
	}

	s := c.Started(t)
	long := strings.Repeat("x", 200)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "Hello")
	s.Ask(fapwstest.Get("/"+long)).Want(t, 414)
	text := strings.Replace(fapwstest.Read(t, dir+"/gunicorn.conf.py"), "limit_request_line = 100", "", 1)
	fapwstest.Replace(t, dir+"/gunicorn.conf.py", text)
	s.Control("reload")
	s.Ask(fapwstest.Get("/"+long)).Want(t, 200)
}

func TestConfigurationOfGunicornNamesWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"main.py": gunicornApp})
	c := fapwstest.Command{Flags: []string{"check", "-c", "conf.py", "-b", "127.0.0.1:0", "main:app"}, Dir: dir}
	for text, want := range map[string]string{
		"worker_class = 'gthread'":         "conf.py:1: worker_class is ignored: not needed, remove it; fapws has one kind",
		"raw_env = ['A=b']":                "conf.py:1: raw_env is ignored: set variables",
		"\ntimout = 3":                     "conf.py:2: timout is ignored, did you mean timeout?",
		"logconfig_dict = {'version': 1}":  "conf.py:1: logconfig_dict is ignored: configure Python's",
		"def post_fork(s, w): pass":        "conf.py: ignored: post_fork: fapws runs no hooks of gunicorn; their code",
		"on_exit = when_ready = print":     "conf.py: ignored: when_ready, on_exit: fapws runs no hooks",
		"secure_scheme_headers = {'A': 1}": "conf.py:1: secure_scheme_headers is ignored: use",
	} {
		fapwstest.Write(t, dir+"/conf.py", text+"\n")
		code, _, stderr := c.Run(t)
		fapwstest.Truef(t, code == 0 && strings.HasPrefix(stderr, "fapws: warning: "+want) && strings.Count(stderr, "\n") == 1,
			"%s: code %d, %q", text, code, stderr)
	}
	for text, want := range map[string]string{
		"x = 1\nimport no_such":     "conf.py:2: ModuleNotFoundError: No module named 'no_such'; install it",
		"workers = (":               "conf.py:1: SyntaxError: ",
		"import sys\nsys.exit('x')": "conf.py:2: sys.exit('x') was called while loading",
		"int('x')":                  "conf.py:1: ValueError: invalid literal",
		"timeout = 'long'":          "conf.py:1: timeout: --timeout long: must be seconds",
	} {
		fapwstest.Write(t, dir+"/conf.py", text+"\n")
		c.Fails(t, 2, "fapws: "+want)
	}
	c.Flags = []string{"check", "-c", "none.py", "main:app"}
	c.Fails(t, 2, "cannot read none.py: no such file or directory")
	c.Flags = []string{"-c", "main.py"}
	c.Fails(t, 2, "main.py is an application and no configuration file; type fapws main.py")
	fapwstest.Write(t, dir+"/gunicorn.conf.py", "workers = 2\n")
	c.Flags = []string{"-c", "gunicorn.conf.py"}
	c.Fails(t, 2, "no application given; this directory has main.py: type fapws -c gunicorn.conf.py main.py")
}

// A reload applies what it can of a changed file, and names the rest.
func TestReloadNamesChangesOfGunicornsFileThatNeedARestart(t *testing.T) {
	t.Parallel()
	const text = "bind = '127.0.0.1:0'\nworkers = 2\nthreads = 2\nwsgi_app = 'main:app'\n"
	dir := fapwstest.Files(t, map[string]string{"main.py": gunicornApp, "gunicorn.conf.py": text})
	s := fapwstest.Command{Dir: dir, Flags: []string{"-c", "gunicorn.conf.py"}}.Started(t)
	fapwstest.Write(t, dir+"/gunicorn.conf.py", strings.Replace(text, "threads = 2", "threads = 3", 1))
	s.Reload()
	fapwstest.Truef(t, !strings.Contains(s.Stderr.String(), "restart"), "%s", s.Stderr.String())
	fapwstest.Write(t, dir+"/gunicorn.conf.py", strings.NewReplacer("workers = 2", "workers = 3", "0.1:0", "0.1:1").Replace(text))
	s.Reload()
	s.Says(`warning gunicorn.conf.py: changes of bind, workers take effect after a restart`)
	fapwstest.Equalf(t, strings.Count(s.Stderr.String(), "take effect"), 1, "lines of %s", s.Stderr.String())
}
