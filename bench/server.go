package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// server is one of the programs that are compared.
type server struct {
	name    string
	paths   []string // what it can answer
	needs   []string // files that must exist; "" is an unset variable
	command func(port int, w *workload, s *settings) []string
}

const distPackages = "/usr/lib/python3/dist-packages/"

// python runs the peers: Debian's packages belong to Debian's Python.
const python = "/usr/bin/python3"

var (
	wsgi   = []string{"/hello", "/json", "/echo", "/mebibyte", "/generator", "/file", "/slow"}
	fapws  = append(slices.Clone(wsgi), "/static/mebibyte.bin", "/cached", logged, watched)
	inline = slices.DeleteFunc(slices.Clone(fapws), func(path string) bool { return path == "/slow" })
)

// What is asked of servers with and without an access log, and with and without what shows their inside.
const (
	logged  = "/hello?log"
	watched = "/hello?inside"
)

// fapwsWith is fapws with flags for requests of a path.
func fapwsWith(name, path string, flags ...string) *server {
	return &server{
		name: name, paths: []string{path}, needs: []string{os.Getenv("FAPWS_BIN")},
		command: func(port int, w *workload, s *settings) []string { return fapwsCommand(port, w, s, flags...) },
	}
}

var servers = []*server{
	{
		name: "baregnet", paths: []string{"/hello", "/json", "/echo", "/cached"},
		command: func(port int, w *workload, s *settings) []string {
			return []string{filepath.Join(s.work, "baregnet"), address(port)}
		},
	},
	{
		name: "threads", paths: fapws, needs: []string{os.Getenv("FAPWS_BIN")},
		command: func(port int, w *workload, s *settings) []string {
			return fapwsCommand(port, w, s)
		},
	},
	{
		name: "inline", paths: inline, needs: []string{os.Getenv("FAPWS_BIN")},
		command: func(port int, w *workload, s *settings) []string {
			return fapwsCommand(port, w, s, "--threads", "0")
		},
	},
	{
		name: "threads+log", paths: []string{logged}, needs: []string{os.Getenv("FAPWS_BIN")},
		command: func(port int, w *workload, s *settings) []string {
			return fapwsCommand(port, w, s, "--access-log", filepath.Join(s.work, "threads.access"))
		},
	},
	{
		name: "inline+log", paths: []string{logged}, needs: []string{os.Getenv("FAPWS_BIN")},
		command: func(port int, w *workload, s *settings) []string {
			return fapwsCommand(port, w, s, "--threads", "0", "--access-log", filepath.Join(s.work, "inline.access"))
		},
	},
	fapwsWith("threads+metrics", watched, "--status", "/_fapws"),
	fapwsWith("threads+traces", watched, "--status", "/_fapws", "--trace"),
	fapwsWith("inline+metrics", watched, "--threads", "0", "--status", "/_fapws"),
	fapwsWith("inline+traces", watched, "--threads", "0", "--status", "/_fapws", "--trace"),
	{
		// Its own keep-alive (http11-socket) serves one connection until that
		// closes; with one process a connection for each request is the best.
		name: "uwsgi", paths: wsgi,
		needs: []string{"/usr/bin/uwsgi", "/usr/lib/uwsgi/plugins/python3_plugin.so"},
		command: func(port int, w *workload, s *settings) []string {
			line := []string{"/usr/bin/uwsgi", "--plugin", "python3", "--http-socket", address(port), "--listen", "128",
				"--disable-logging", "--need-app", "--single-interpreter",
				"--add-header", "Connection: close", "--die-on-term", "--wsgi-file", filepath.Join(s.apps, w.app+".py")}
			if w.workers > 0 {
				line = append(line, "--master", "-p", fmt.Sprint(w.workers))
			}
			return line
		},
	},
	{
		name: "bjoern", needs: []string{bjoernModule()},
		command: func(port int, w *workload, s *settings) []string {
			return []string{python, filepath.Join(s.apps, "bjoern_hello.py"), "127.0.0.1", fmt.Sprint(port), filepath.Dir(bjoernModule())}
		},
	},
	{
		name: "gunicorn", paths: wsgi, needs: []string{"/usr/bin/gunicorn"},
		command: func(port int, w *workload, s *settings) []string {
			return []string{"/usr/bin/gunicorn", "--bind", address(port), "--workers", fmt.Sprint(max(1, w.workers)), "--threads", "4",
				"--worker-class", "gthread", "--log-level", "warning", "--chdir", s.apps, w.app + ":application"}
		},
	},
	{
		name: "waitress", paths: wsgi, needs: []string{distPackages + "waitress"},
		command: func(port int, w *workload, s *settings) []string {
			return []string{python, "-m", "waitress", "--listen", address(port), "--connection-limit", "20000",
				"--asyncore-use-poll", w.app + ":application"}
		},
	},
	{
		name: "cheroot", paths: wsgi, needs: []string{distPackages + "cheroot"},
		command: func(port int, w *workload, s *settings) []string {
			return []string{python, "-m", "cheroot", "--bind", address(port), w.app + ":application"}
		},
	},
	{
		name:  "uvicorn",
		paths: []string{"/hello", "/json", "/echo", "/mebibyte", "/generator", "/slow"},
		needs: []string{"/usr/bin/uvicorn", distPackages + "uvloop", distPackages + "httptools"},
		command: func(port int, w *workload, s *settings) []string {
			return []string{"/usr/bin/uvicorn", "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--loop", "uvloop",
				"--http", "httptools", "--ws", "websockets", "--no-access-log", "--log-level", "warning", "--app-dir", s.apps, w.asgiApp()}
		},
	},
	{
		name: "hypercorn", needs: []string{"/usr/bin/hypercorn", distPackages + "uvloop"},
		command: func(port int, w *workload, s *settings) []string {
			return []string{"/usr/bin/hypercorn", "--worker-class", "uvloop", "--bind", address(port), w.asgiApp()}
		},
	},
	{
		name: "websockets", needs: []string{distPackages + "websockets", distPackages + "uvloop"},
		command: func(port int, w *workload, s *settings) []string {
			return []string{python, filepath.Join(s.apps, "websockets_echo.py"), "127.0.0.1", fmt.Sprint(port)}
		},
	},
	{
		name: "nginx", paths: []string{"/static/mebibyte.bin", "/cached"}, needs: []string{"/usr/sbin/nginx"},
		command: func(port int, w *workload, s *settings) []string {
			line := []string{"/usr/sbin/nginx", "-p", s.work, "-e", "stderr", "-c", nginxConfig(port, w, s)}
			if w.php {
				line = append(phpBeside(s), line...)
			}
			return line
		},
	},
	{
		name: "nethttp",
		command: func(port int, w *workload, s *settings) []string {
			return []string{filepath.Join(s.work, "nethttp"), address(port), s.certificate(), s.key()}
		},
	},
	{
		name: "apache", needs: []string{"/usr/sbin/apache2", "/usr/lib/apache2/modules/mod_mpm_event.so"},
		command: func(port int, w *workload, s *settings) []string {
			return []string{"/usr/sbin/apache2", "-DFOREGROUND", "-f", apacheConfig(port, w, s)}
		},
	},
}

// bjoernModule is bjoern's library, which no Debian has: on PYTHONPATH, or where pip puts it.
func bjoernModule() string {
	places := append(filepath.SplitList(os.Getenv("PYTHONPATH")), "/usr/local/lib/python3*/dist-packages")
	for _, place := range places {
		if found, _ := filepath.Glob(filepath.Join(place, "_bjoern*.so")); len(found) > 0 {
			return found[0]
		}
	}
	return "/usr/local/lib/python3/dist-packages/bjoern"
}

// fapwsCommand starts fapws with more flags; the supervisor only where workers count.
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
	if w.php {
		return append(line, "-c", phpConfig(s))
	}
	return append(line, filepath.Join(s.apps, w.app+".py"))
}

// asgiApp is what ASGI servers run of a workload: that of fapws, or its twin.
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

// missing says why the server cannot run here, or nothing.
func (s *server) missing() string {
	for _, file := range s.needs {
		if file == "" {
			return "FAPWS_BIN is not set"
		}
		if _, err := os.Stat(file); err != nil {
			return "no " + file
		}
	}
	return ""
}

// nginxConfig writes a configuration as fast as nginx gets for files.
func nginxConfig(port int, w *workload, s *settings) string {
	lines := []string{
		"daemon off;", "worker_processes 1;", "pid " + s.work + "/nginx.pid;",
		"events { worker_connections 4096; }",
		"http {",
		"  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;",
		"  open_file_cache max=1000; open_file_cache_valid 60s; types { application/octet-stream bin; text/html html; text/plain txt; }",
	}
	root := s.work + "/documents"
	if w.folder {
		root = s.folder()
		lines = append(lines, "  autoindex on;")
	}
	if w.name == "gzip" {
		lines = append(lines, "  gzip on; gzip_min_length 1024;")
	}
	if w.name == "gzipstatic" {
		lines = append(lines, "  gzip_static on;")
	}
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		lines = append(lines, "  "+kind+"_temp_path "+s.work+"/nginx-tmp;")
	}
	if w.php {
		lines = append(lines, "  upstream php { server unix:"+phpSocket(s)+"; keepalive 2; }")
	}
	origin := "unix:" + s.work + "/origin.sock"
	os.Remove(s.work + "/origin.sock") // of a run that was killed
	lines = append(lines,
		"  proxy_cache_path "+s.work+"/nginx-cache keys_zone=pages:1m;",
		"  server { listen "+origin+"; root "+s.work+"/origin; default_type text/html; }",
		"  server { listen "+address(port)+nginxListens(w, s)+" root "+root+";",
		"    location = /hello { default_type text/plain; return 200 \"Hello world!\\n\"; }",
		"    location /cached { proxy_pass http://"+origin+"; proxy_cache pages; proxy_cache_valid 1h; add_header Fapws-Cache $upstream_cache_status; }",
	)
	if w.php {
		lines = append(lines, "    location /hello.php { fastcgi_pass php; fastcgi_keep_conn on; root "+phpFolder(s)+"; include /etc/nginx/fastcgi.conf; }")
	}
	lines = append(lines, "  }", "}")
	if os.Geteuid() == 0 {
		// The default user may not be allowed into the build folder.
		lines = append([]string{"user root;"}, lines...)
	}
	return s.write("nginx.conf", lines)
}

// nginxListens ends the listen directive. The cipher is the one that crypto/tls prefers.
func nginxListens(w *workload, s *settings) string {
	if !w.tls {
		return ";"
	}
	secure := " ssl; ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_certificate " + s.certificate() +
		"; ssl_certificate_key " + s.key() + ";"
	if w.streams > 0 {
		return " http2" + secure
	}
	return secure
}

// prepareFiles makes the 1 MiB document, BENCH_FILE and BENCH_STATIC of app.py, and a folder.
func prepareFiles(work string) error {
	folder := filepath.Join(work, "documents", "static")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	origin := filepath.Join(work, "origin") // of the page that nginx keeps in its cache
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

// environment is what a server's process gets.
func (s *server) environment(set *settings) []string {
	documents := filepath.Join(set.work, "documents", "static")
	env := append(os.Environ(),
		"BENCH_FILE="+filepath.Join(documents, "mebibyte.bin"), "PYTHONPATH="+set.apps, "FAPWS_ALLOW_ROOT=1")
	if slices.Contains(s.paths, "/static/mebibyte.bin") {
		env = append(env, "BENCH_STATIC="+documents)
	}
	return env
}

// lookWrk finds the loader.
func lookWrk() (string, error) {
	path, err := exec.LookPath("wrk")
	if err != nil {
		return "", fmt.Errorf("wrk is missing; install it with: sudo apt-get install wrk")
	}
	return path, nil
}
