package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type server struct {
	name    string
	paths   []string
	needs   []program
	beside  bool // shares the CPU of the clients
	command func(port int, w *workload, s *settings) []string
}

var (
	wsgi   = []string{"/hello", "/json", "/echo", "/mebibyte", "/generator", "/file", "/slow"}
	fapws  = append(slices.Clone(wsgi), "/static/mebibyte.bin", "/cached", logged, watched)
	inline = slices.DeleteFunc(slices.Clone(fapws), func(path string) bool { return path == "/slow" })
	single = slices.DeleteFunc(slices.Clone(wsgi), func(path string) bool { return path == "/slow" })
)

const (
	logged  = "/hello?log"
	watched = "/hello?inside"
)

func fapwsWith(name, path string, flags ...string) *server {
	return &server{
		name: name, paths: []string{path}, needs: []program{ownProgram()},
		command: func(port int, w *workload, s *settings) []string { return fapwsCommand(port, w, s, flags...) },
	}
}

var servers = append([]*server{
	{
		name: "baregnet", paths: []string{"/hello", "/json", "/echo", "/cached"},
		command: func(port int, w *workload, s *settings) []string {
			line := []string{filepath.Join(s.work, "baregnet"), address(port)}
			if w.tls {
				line = append(line, s.certificate(), s.key())
			}
			return line
		},
	},
	{
		name: "threads", paths: fapws, needs: []program{ownProgram()},
		command: func(port int, w *workload, s *settings) []string {
			return fapwsCommand(port, w, s)
		},
	},
	{
		name: "inline", paths: inline, needs: []program{ownProgram()},
		command: func(port int, w *workload, s *settings) []string {
			return fapwsCommand(port, w, s, "--threads", "0")
		},
	},
	{
		name: "threads+log", paths: []string{logged}, needs: []program{ownProgram()},
		command: func(port int, w *workload, s *settings) []string {
			return fapwsCommand(port, w, s, "--access-log", filepath.Join(s.work, "threads.access"))
		},
	},
	{
		name: "inline+log", paths: []string{logged}, needs: []program{ownProgram()},
		command: func(port int, w *workload, s *settings) []string {
			return fapwsCommand(port, w, s, "--threads", "0", "--access-log", filepath.Join(s.work, "inline.access"))
		},
	},
	fapwsWith("threads+metrics", watched, "--status", "/_fapws"),
	fapwsWith("threads+traces", watched, "--status", "/_fapws", "--trace"),
	fapwsWith("threads+workers", "", "--workers", "2"),
	fapwsWith("inline+metrics", watched, "--threads", "0", "--status", "/_fapws"),
	fapwsWith("inline+traces", watched, "--threads", "0", "--status", "/_fapws", "--trace"),
	{
		// With keep-alive (http11-socket), a uWSGI process would serve one connection until the connection closes. One
		// process is therefore fastest with a new connection for each request.
		name: "uwsgi", paths: wsgi, needs: fromPyPI("uwsgi"),
		command: func(port int, w *workload, s *settings) []string {
			line := []string{inVenv("uwsgi"), "--http-socket", address(port), "--listen", "128", "--disable-logging",
				"--need-app", "--single-interpreter", "--add-header", "Connection: close", "--die-on-term",
				"--wsgi-file", filepath.Join(s.apps, w.app+".py")}
			if w.workers > 0 {
				line = append(line, "--master", "-p", fmt.Sprint(w.workers))
			}
			return line
		},
	},
	extension("bjoern"),
	extension("fastwsgi"),
	{
		name: "gunicorn", paths: wsgi, needs: fromPyPI("gunicorn"),
		command: func(port int, w *workload, s *settings) []string {
			return []string{inVenv("gunicorn"), "--bind", address(port), "--workers", fmt.Sprint(max(1, w.workers)),
				"--threads", "4", "--worker-class", "gthread", "--log-level", "warning", "--chdir", s.apps,
				w.app + ":application"}
		},
	},
	{
		name:  "granian",
		paths: slices.DeleteFunc(slices.Clone(wsgi), func(path string) bool { return path == "/file" }),
		needs: fromPyPI("granian", "uvloop"),
		command: func(port int, w *workload, s *settings) []string {
			line := []string{inVenv("granian"), "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--http", "1",
				"--no-access-log", "--log-level", "warning", "--working-dir", s.apps}
			if w.tls {
				line = append(line, "--http", "auto", "--ssl-certificate", s.certificate(), "--ssl-keyfile", s.key())
			}
			if w.asgi {
				return append(line, "--interface", "asgi", "--loop", "uvloop", w.asgiApp())
			}
			threads := "1" // faster than granian's default, unless handlers wait
			if w.sitters > 0 {
				threads = "8"
			}
			return append(line, "--interface", "wsgi", "--blocking-threads", threads, w.app+":application")
		},
	},
	{
		name:  "uvicorn",
		paths: []string{"/hello", "/json", "/echo", "/mebibyte", "/generator", "/slow"},
		needs: fromPyPI("uvicorn", "uvloop", "httptools", "websockets"),
		command: func(port int, w *workload, s *settings) []string {
			return []string{inVenv("uvicorn"), "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--loop", "uvloop",
				"--http", "httptools", "--ws", "websockets", "--no-access-log", "--log-level", "warning",
				"--app-dir", s.apps, w.asgiApp()}
		},
	},
	{
		name: "hypercorn", needs: fromPyPI("hypercorn", "uvloop"),
		command: func(port int, w *workload, s *settings) []string {
			line := []string{inVenv("hypercorn"), "--worker-class", "uvloop", "--bind", address(port), w.asgiApp()}
			if w.tls {
				line = append(line, "--certfile", s.certificate(), "--keyfile", s.key())
			}
			return line
		},
	},
	{
		name: "websockets", needs: fromPyPI("websockets", "uvloop"),
		command: func(port int, w *workload, s *settings) []string {
			return []string{inVenv("python3"), filepath.Join(s.apps, "websockets_echo.py"), "127.0.0.1",
				fmt.Sprint(port)}
		},
	},
	{
		name: "nginx", paths: []string{"/static/mebibyte.bin", "/cached"},
		needs: []program{{file: "/usr/sbin/nginx", debian: "nginx-light"}},
		command: func(port int, w *workload, s *settings) []string {
			line := []string{"/usr/sbin/nginx", "-p", s.work, "-e", "stderr", "-c", nginxConfig(port, w, s)}
			if w.php {
				line = append(phpBeside(s), line...)
			}
			return line
		},
	},
	{
		name: "nginx126", needs: []program{trixieNginx()},
		command: func(port int, w *workload, s *settings) []string {
			return []string{trixieNginx().file, "-p", s.work, "-e", "stderr", "-c", nginxConfig(port, w, s)}
		},
	},
	{
		name: "nethttp",
		command: func(port int, w *workload, s *settings) []string {
			return []string{filepath.Join(s.work, "nethttp"), address(port), s.certificate(), s.key()}
		},
	},
	{
		name: "caddy", needs: []program{{file: "/usr/bin/caddy", debian: "caddy"}},
		command: func(port int, w *workload, s *settings) []string {
			return []string{"/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", caddyConfig(port, w, s)}
		},
	},
	{
		name: "lighttpd", needs: []program{{file: "/usr/sbin/lighttpd", debian: "lighttpd"}},
		command: func(port int, w *workload, s *settings) []string {
			return []string{"/usr/sbin/lighttpd", "-D", "-f", lighttpdConfig(port, w, s)}
		},
	},
	{
		name: "apache", needs: []program{{file: "/usr/sbin/apache2", debian: "apache2-bin"}},
		command: func(port int, w *workload, s *settings) []string {
			return []string{"/usr/sbin/apache2", "-DFOREGROUND", "-f", apacheConfig(port, w, s)}
		},
	},
}, bundled()...)

// extension is a server that is a Python module in C. It is compiled from its source.
func extension(name string) *server {
	return &server{
		name: name, paths: single, needs: fromPyPI(name),
		command: func(port int, w *workload, s *settings) []string {
			return []string{inVenv("python3"), filepath.Join(s.apps, "serve.py"), name, w.app, "127.0.0.1",
				fmt.Sprint(port)}
		},
	}
}

// fapwsCommand starts fapws without a supervisor unless the workload has several workers.
func fapwsCommand(port int, w *workload, s *settings, flags ...string) []string {
	line := append([]string{os.Getenv("FAPWS_BIN"), "--bind", address(port)}, flags...)
	if w.workers > 0 {
		line = append(line, "--workers", fmt.Sprint(w.workers))
	}
	if w.tls {
		line = append(line, "--certfile", s.certificate(), "--keyfile", s.key())
	}
	if w.folder {
		return append(line, "--autoindex", s.folder())
	}
	if w.early {
		line = append(line, "--static", "/folder="+s.folder())
	}
	if w.php {
		return append(line, "-c", phpConfig(s))
	}
	if w.origin != nil {
		return append(line, "-c", fapwsProxyConfig(w, s))
	}
	if w.kind == distant {
		line = append(line, "--max-body-size", "1G")
	}
	return append(line, filepath.Join(s.apps, w.app+".py"))
}

func (w *workload) asgiApp() string {
	if w.asgi {
		return w.app + ":application"
	}
	return "asgi:application"
}

func serverNames() []string {
	var names []string
	for _, s := range servers {
		names = append(names, s.name)
	}
	return names
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func prepareFiles(work string) error {
	folder := filepath.Join(work, "documents", "static")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	origin := filepath.Join(work, "origin")
	if err := os.MkdirAll(origin, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(origin, "cached"), []byte(strings.Repeat("x", 4096)), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "mebibyte.bin"), make([]byte, 1<<20), 0o644); err != nil {
		return err
	}
	return prepareFolder(filepath.Join(work, "documents", "folder"))
}

func (s *server) environment(set *settings) []string {
	documents := filepath.Join(set.work, "documents", "static")
	env := append(os.Environ(),
		"BENCH_FILE="+filepath.Join(documents, "mebibyte.bin"), "PYTHONPATH="+set.apps+":"+os.Getenv("PYTHONPATH"),
		"FAPWS_ALLOW_ROOT=1",
		"XDG_CONFIG_HOME="+set.work, "XDG_DATA_HOME="+set.work, // of Caddy
		"PYTHONDONTWRITEBYTECODE=") // Python stores bytecode, so later starts are fast.
	if _, err := os.Stat(venv); err == nil {
		env = append(env, "VIRTUAL_ENV="+venv)
	}
	if slices.Contains(s.paths, "/static/mebibyte.bin") {
		env = append(env, "BENCH_STATIC="+documents)
	}
	return env
}
