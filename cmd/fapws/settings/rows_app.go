package settings

import "time"

func (t *table) app() {
	t.group = "Application"
	t.add("threads", "8", func(c *Config) *value { return count(&c.Threads, 0, 256) }).also("blocking-threads").inScript().
		brief("maximum Python threads; 0: handlers on the event loop, where a slow handler blocks the server").
		help("maximum number of Python handler threads, started on demand; 0 runs handlers inline on the event loop: lowest latency and memory, but a slow handler blocks the server")
	t.add("max-queue", "2048", func(c *Config) *value { return count(&c.MaxQueue, 1, 1<<20) }).also("queue").inScript().
		help("maximum number of requests waiting for a thread; further requests get 503")
	t.add("chdir", "", func(c *Config) *value { return text(&c.Chdir) }).also("-C working-dir").takesPath("DIR").
		brief("change to this directory first").
		help("change to this directory before anything else")
	t.add("interface", "auto", func(c *Config) *value { return choice(&c.Interface, "auto", "paths", "wsgi", "asgi") }).takes("NAME").
		help("how to call the application: paths (the PATHS of a script), wsgi, asgi, or auto: look for PATHS, application and app, in this order, and tell WSGI from ASGI by the signature")
	t.add("lifespan", "auto", func(c *Config) *value { return choice(&c.Lifespan, "auto", "on", "off") }).takes("NAME").
		help("ASGI lifespan events: on (startup fails if the application does not support them), off, or auto (if supported)")
	t.add("loop", "auto", func(c *Config) *value { return choice(&c.Loop, "auto", "asyncio", "uvloop") }).takes("NAME").
		help("event loop for async code: asyncio, uvloop, or auto: uvloop if it is installed")
	t.add("factory", "", func(c *Config) *value { return toggle(&c.Factory) }).also("call").
		help("APP names a function that returns the application")
	t.add("pythonpath", "", func(c *Config) *value { return texts(&c.PythonPath) }).also("app-dir").takesPath("DIRS").
		help("directories to search for modules before PYTHONPATH; repeatable, or separated by commas")
	t.add("env-file", "", func(c *Config) *value { return texts(&c.EnvFiles) }).also("env-files").takesPath("FILES").
		help("set the environment variables in these files (NAME=value, such as .env) before the application loads; variables already set win, and fapws itself does not read them as settings; repeatable, or separated by commas")
	t.add("venv", "", func(c *Config) *value { return text(&c.Venv) }).also("virtualenv").takesPath("DIR").from("VIRTUAL_ENV").
		help("use the packages of this virtual environment; default: .venv or venv next to the application or in the working directory, if it is of the same Python version; off: none")
	t.add("root-path", "", func(c *Config) *value { return rootPath(&c.Server.Sites.RootPath) }).also("url-prefix url-path-prefix").takes("PATH").
		help("URL path at which a proxy mounts the application; prepended to SCRIPT_NAME and stripped from requests that include it")
	t.add("x-sendfile", "", func(c *Config) *value { return texts(&c.Server.SendfileRoots) }).takesPath("DIRS").inScript().
		help("let the application send a file in these directories with X-Sendfile: FILE; otherwise the field is passed on; repeatable, or separated by commas")
	t.add("x-accel", "", func(c *Config) *value { return mappings(&c.Server.AccelRoots) }).takesPath("PREFIX=DIR").inScript().
		help("let the application send a file from DIR with X-Accel-Redirect: /PREFIX/FILE; otherwise the field is passed on; repeatable, or separated by commas")
}

// file has the settings of files that are served without an application: those of a directory in the place of APP, of
// --static, and of the hosts of a configuration file that do not say otherwise.
func (t *table) file() {
	t.group = "Files"
	t.add("config", "", func(c *Config) *value { return text(&c.File) }).also("-c").takes("FILE").
		brief("configuration file; ./fapws.toml is found by default").
		help("configuration file (TOML): keys are flag names, plus hosts; default: the first of ./fapws.toml, ~/.config/fapws/fapws.toml and, without APP, /etc/fapws/fapws.toml; off: no file")
	t.add("static", "", func(c *Config) *value { return mappings(&c.Static) }).also("static-map").takesPath("PREFIX=DIR").
		brief("serve the files of DIR under PREFIX; repeatable").
		help("serve the files of a directory under a URL prefix before the application: /static=./static; repeatable, or separated by commas")
	t.add("index", "index.html,index.htm", func(c *Config) *value { return texts(&c.Index) }).takes("NAMES").
		help("index files of a directory; the first one found is served")
	t.add("autoindex", "no", func(c *Config) *value { return toggle(&c.Listing) }).shows("yes if APP is a directory, otherwise no").
		help("list directories that have no index file")
	t.add("spa", "", func(c *Config) *value { return text(&c.SPA) }).takes("FILE").
		help("fallback file for page requests that match no file (single-page applications): index.html")
	t.add("mime-types", "", func(c *Config) *value { return text(&c.MimeTypes) }).takesPath("FILE").
		help("file of media types by extension, in the format of Apache's mime.types; overrides the built-in types")
	t.add("charset", "utf-8", func(c *Config) *value { return text(&c.Charset) }).takes("NAME").
		help("charset of text files in Content-Type; off omits it")
	t.add("compress", "yes", func(c *Config) *value { return toggle(&c.Compress) }).
		help("compress files with zstd or gzip for clients that accept it, if that makes them smaller; --no-compress disables it")
	t.add("expires", "", func(c *Config) *value { return expiries(&c.Expires) }).takes("PATTERN=TIME").
		help("how long clients may cache files; the first matching pattern applies: *.css=30d, *=1h; TIME takes s, m, h, d, w, y, or is immutable, no-cache, no-store or off; repeatable, or separated by commas")
	t.add("ssi", "no", func(c *Config) *value { return toggle(&c.SSI) }).
		help("process server-side includes in *.shtml files, as Apache's mod_include does")
	t.add("symlinks", "inside", func(c *Config) *value { return choice(&c.Symlinks, "inside", "owner", "no") }).takes("WHICH").
		help("symbolic links to follow: inside (target in the same directory tree), owner (inside, and the target has the same owner), or no")
	t.add("dotfiles", "no", func(c *Config) *value { return toggle(&c.DotFiles) }).
		help("serve and list files whose names begin with a dot; /.well-known is always served")
	t.add("expose", "", func(c *Config) *value { return texts(&c.Expose) }).takes("PATTERNS").
		help("serve files of these names (*.py, *.db), although they look like sources, backups (*~, *.bak), databases (*.db, *.sqlite3, *.sql) or keys (*.key, *.secret), which are hidden; logs, passwords, the configuration file and scripts stay hidden")
	t.add("cache-files-max", "16M", func(c *Config) *value { return size(&c.CacheBytes, 0, 1<<40) }).
		help("memory for small files, compressed files and listings, per directory and worker; 0 disables this cache and compression")
}

// cache has the settings of pages that are kept in memory.
func (t *table) cache() {
	t.group = "Files"
	t.add("cache", "no", func(c *Config) *value { return toggle(&c.Cache) }).inScript().
		help(`cache responses whose Cache-Control or Expires allows it; without this flag, only responses selected by fapws.cache.cached or a "cache" key`)
	t.add("cache-max-size", "16M", func(c *Config) *value { return size(&c.Server.CacheSize, 0, 1<<50) }).inScript().
		help("cache size per worker; least recently used entries are evicted first, and one entry may use an eighth of it, up to 1 MiB; 0 disables the cache")
}

func (t *table) login() {
	t.group = "Address"
	t.add("login", "", func(c *Config) *value { return text(&c.LoginUsers) }).takesPath("FILE").
		help("require users of this file to log in by a form, for everything but hosts and routes that say otherwise; fapws user add makes users, or the browser the first one, with a code that the log shows")
	t.add("login-idle", "30m", func(c *Config) *value { return duration(&c.LoginIdle, time.Second) }).
		help("a session of login ends when it was not used for this time")
	t.add("login-age", "12h", func(c *Config) *value { return duration(&c.LoginAge, time.Second) }).
		help("a session of login ends after this time, even if it is used")
}

func (t *table) process() {
	t.group = "Processes"
	t.add("workers", "1", func(c *Config) *value { return count(&c.Workers, 0, 512) }).also("-w").from("WEB_CONCURRENCY").keep().
		brief("processes under a supervisor; 0: one per core").
		help("worker processes under a supervisor that restarts crashed workers, reloads on HUP and upgrades on USR2; 0: one per core that the machine and its control group (container) allow; omitted: a single process without a supervisor, except as process 1")
	t.add("fork", "", func(c *Config) *value { return toggle(&c.Fork) }).
		help("answer each request of the application in a separate process, forked from one that has loaded it; synchronous handlers only")
	t.add("max-forks", "32", func(c *Config) *value { return count(&c.MaxForks, 1, 1024) }).
		help("maximum number of such processes at a time; max-queue further requests wait, others get 503")
	t.add("idle-stop", "0s", func(c *Config) *value { return duration(&c.IdleStop, 0) }).
		help("end Python when no request or WebSocket of any worker has needed the application for this long; the next request loads it again and waits for it, see start-wait; 0 disables")
	t.add("max-requests", "0", func(c *Config) *value { return count(&c.MaxRequests, 0, 1<<30) }).also("limit-max-requests").
		help("replace a worker after this many requests; 0 disables")
	t.add("max-requests-jitter", "0", func(c *Config) *value { return count(&c.MaxRequestsJitter, 0, 1<<30) }).also("limit-max-requests-jitter").
		help("add a random number up to this to max-requests, so that workers are not all replaced at once")
	t.add("max-rss", "0", func(c *Config) *value { return size(&c.MaxRSS, 0, 1<<50) }).keep().
		help("replace a worker whose resident memory exceeds this; 0 disables")
	t.add("reload", "", func(c *Config) *value { return toggle(&c.Reload) }).keep().
		brief("reload the application when its files change").
		help("reload when a file of the application changes; if the new code fails to load, the old code keeps serving")
	t.add("reload-dir", "", func(c *Config) *value { return texts(&c.ReloadDirs) }).also("reload-paths").takesPath("DIRS").keep().
		help("directories to watch for --reload, including subdirectories; default: the directory of the script, or the working directory for a module; repeatable, or separated by commas")
	t.add("reload-include", "", func(c *Config) *value { return texts(&c.ReloadInclude) }).also("reload-extra-file extra-files").takes("PATTERNS").keep().
		help("files to watch for --reload in addition to *.py: patterns such as *.html or templates/*.txt, or paths; repeatable, or separated by commas")
	t.add("reload-exclude", "", func(c *Config) *value { return texts(&c.ReloadExclude) }).also("reload-ignore-patterns reload-ignore-dirs reload-ignore-paths exclude-patterns").takes("PATTERNS").keep().
		help("files and directories not to watch for --reload, in addition to .*, *~, __pycache__, node_modules and virtual environments; repeatable, or separated by commas")
	t.add("reload-check", "", func(c *Config) *value { return checkTarget(&c.ReloadCheck) }).takes("PATH").
		help("a new worker must answer GET PATH with a status below 400 before it serves, without a password where clients need one; /path, or http://host/path for an application that checks Host")
	t.add("dev", "", func(c *Config) *value { return toggle(&c.Dev) }).keep().
		brief("reload, tracebacks in the browser; on 127.0.0.1 only").
		help("development mode: --reload, also when a template such as *.html or *.jinja2 changes; tracebacks in the browser, also when code fails to load; requests in the log; listens on 127.0.0.1:8888 by default, and only on addresses of this machine")
	t.add("dev-anywhere", "", func(c *Config) *value { return toggle(&c.DevAnywhere) }).keep().
		help("allow --dev on any address; anyone who can connect can see your source code")
	t.add("user", "", func(c *Config) *value { return text(&c.User) }).also("-u").takes("USER").keep().
		brief("run as this user after binding as root").
		help("run as this user, by name or number, after binding the addresses as root; the application never runs as root")
	t.add("group", "", func(c *Config) *value { return text(&c.Group) }).also("-g").takes("GROUP").keep().
		help("run with this group; default: the groups of the user, or 65534 for an unknown user number")
	t.add("chroot", "", func(c *Config) *value { return text(&c.Chroot) }).takesPath("DIR").keep().
		help("make this directory the root directory of each worker after it has loaded the application; requires root and --user; files opened and modules imported later must be inside it, at the same path")
	t.add("allow-root", "", func(c *Config) *value { return toggle(&c.AllowRoot) }).keep().
		help("serve as root; without it, root must pass --user, except in a container and where no other user exists")
	t.add("sandbox", "off", func(c *Config) *value { return sandboxMode(&c.Sandbox) }).takes("MODE").bare("on").keep().
		help("restrict each worker, after it has loaded the application, to the files, TCP ports and system calls that it needs: on (what the kernel cannot restrict is one warning), strict (then the server does not start), or off; without a value, on; with check, request each path in the sandbox and print denials")
	t.add("sandbox-read", "", func(c *Config) *value { return texts(&c.SandboxRead) }).takesPath("FILES").
		help("files and directories that a sandbox may read, in addition to Python, the application, and directories that are served; repeatable, or separated by commas")
	t.add("sandbox-write", "", func(c *Config) *value { return texts(&c.SandboxWrite) }).takesPath("FILES").
		help("files and directories that a sandbox may also change, in addition to a private directory for temporary files and the directories of logs; repeatable, or separated by commas")
	t.add("sandbox-exec", "", func(c *Config) *value { return texts(&c.SandboxExec) }).takesPath("FILES").
		help("programs, or directories of programs, that a sandbox may run; default: none, or those of the system if the configuration has CGI or PHP; repeatable, or separated by commas")
	t.add("sandbox-connect", "", func(c *Config) *value { return ports(&c.SandboxConnect, "unix") }).
		help("TCP ports that a sandbox may connect to, and the word unix for all unix sockets, in addition to those of proxies and FastCGI in the configuration; repeatable, or separated by commas")
	t.add("sandbox-bind", "", func(c *Config) *value { return ports(&c.SandboxBind, "") }).
		help("TCP ports that the application may listen on in a sandbox; repeatable, or separated by commas")
	t.add("umask", "none", func(c *Config) *value { return octal(&c.Umask, -1) }).also("-m").shows("unchanged").keep().
		help("file mode mask, in octal: 027")
	t.add("pid", "", func(c *Config) *value { return text(&c.PidFile) }).also("pidfile pid-file").takesPath("FILE").keep().
		help("write the process ID of the process that receives signals to this file; removed on exit")
	t.add("ctl-socket", "auto", func(c *Config) *value { return text(&c.ControlSocket) }).takesPath("FILE").keep().
		help("control socket for fapws ctl: auto (one per server, in a private directory of the user), off, or a path")
	t.add("status", "off", func(c *Config) *value { return statusPrefix(&c.Status, "/_fapws") }).takes("PREFIX").
		help("serve a status page and metrics for Prometheus under this path, such as /_fapws, to clients on this machine and, if the host has a password, to logged-in users")
	t.add("health", "off", func(c *Config) *value { return statusPrefix(&c.Health, "/healthz") }).takes("PREFIX").
		help("answer 200 under this path, such as /healthz, without Python and for every client; PREFIX/ready gets 503 until the application has loaded, and during shutdown-delay")
	t.add("load-timeout", "60s", func(c *Config) *value { return duration(&c.LoadTimeout, time.Millisecond) }).keep().
		help("maximum time for a new worker to load the application")
	t.add("start-wait", "30s", func(c *Config) *value { return duration(&c.Server.Sites.StartWait, 0) }).keep().
		help("while the application loads, maximum time that requests for it wait; then they get 503 with Retry-After; a browser that opens a page waits 1 second at most, and then shows a page that refreshes itself; 0: nothing waits")
}

func (t *table) log() {
	t.group = "Logs"
	t.add("access-log", "off", func(c *Config) *value { return text(&c.AccessLog) }).also("access-logfile").or(variant{name: "no-access-log", fixed: "off"}).takesPath("FILE").inScript().
		brief(`log requests to a file; "-" is standard output`).
		help(`write a line for each request to this file; "-" is standard output, off disables`)
	t.add("access-log-format", "combined", func(c *Config) *value { return logFormat(&c.AccessLogFormat) }).also("access-logformat access-log-fmt").takes("FORMAT").inScript().
		help("format of the access log: combined or common (Apache), vhost_combined (Debian's Apache), timed (combined, then microseconds), short, json, or a format string of Apache (%h, %>s, %{Referer}i) or gunicorn (%(h)s)")
	t.add("trace", "", func(c *Config) *value { return toggle(&c.Server.Sites.Trace) }).inScript().
		help("continue the traces of requests, or begin new ones (W3C Trace Context): the field traceparent reaches applications, programs and upstreams, and its trace-id is in the logs")
	t.add("error-log", "-", func(c *Config) *value { return text(&c.ErrorLog) }).keep().also("error-logfile log-file").takesPath("FILE").
		help(`write messages, tracebacks and everything else on standard error to this file; "-" is standard error`)
	t.add("log-max-size", "1M", func(c *Config) *value { return size(&c.LogMaxSize, 0, 1<<50) }).inScript().
		help("rotate a log before it exceeds this size, compressing it to FILE.1.gz and renumbering older files; 0 disables")
	t.add("log-rotate", "off", func(c *Config) *value { return logRotate(&c.LogRotate) }).takes("WHEN").inScript().
		help("also rotate logs hourly, daily, weekly, or after a time such as 6h")
	t.add("log-keep", "5", func(c *Config) *value { return count(&c.LogKeep, 0, 100000) }).inScript().
		help("number of compressed log files to keep")
	t.add("log-buffer", "32K", func(c *Config) *value { return size(&c.LogBuffer, 1, 1<<20) }).inScript().
		help("write the access log when this much has accumulated")
	t.add("log-flush", "1s", func(c *Config) *value { return duration(&c.LogFlush, time.Millisecond) }).inScript().
		help("maximum age of buffered log lines before they are written; 60s reduces flash wear")
	t.add("log-level", "info", func(c *Config) *value { return level(&c.LogLevel) }).takes("LEVEL").inScript().
		brief("debug, info, warning or error").
		help("minimum level of messages: debug, info, warning or error")
	t.add("debug", "0", func(c *Config) *value { return debugLevel(&c.Debug) }).bare("1").inScript().
		brief("1: requests and tracebacks; 2: loop; 3: bytes").
		help("1: log requests with timings and send tracebacks to browsers; 2: also log loop events; 3: also bytes; without a value, 1")
}
