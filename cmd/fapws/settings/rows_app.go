package settings

import "time"

func appRows() []*Setting {
	return []*Setting{
		{
			Name: "threads", Aliases: []string{"blocking-threads"}, Group: GroupPython, Arg: "N", Default: "8", Global: "THREADS",
			Brief: "maximum Python threads; 0: handlers on the event loop, where a slow handler blocks the server",
			Help:  "maximum number of Python handler threads, started on demand; 0 runs handlers inline on the event loop: lowest latency and memory, but a slow handler blocks the server",
			value: func(c *Config) *value { return count(&c.Threads, 0, 256) },
		},
		{
			Name: "max-queue", Aliases: []string{"queue"}, Group: GroupPython, Arg: "N", Default: "2048", Global: "MAX_QUEUE",
			Help:  "maximum number of requests waiting for a thread; further requests get 503",
			value: func(c *Config) *value { return count(&c.MaxQueue, 1, 1<<20) },
		},
		{
			Name: "chdir", Short: "C", Aliases: []string{"working-dir"}, Group: GroupPython, Arg: "DIR", path: true,
			Brief: "change to this directory first",
			Help:  "change to this directory before anything else",
			value: func(c *Config) *value { return text(&c.Chdir) },
		},
		{
			Name: "interface", Group: GroupPython, Arg: "NAME", Default: "auto",
			Help:  "how to call the application: paths (the PATHS of a script), wsgi, asgi, or auto: look for PATHS, application and app, in this order, and tell WSGI from ASGI by the signature",
			value: func(c *Config) *value { return choice(&c.Interface, Interfaces) },
		},
		{
			Name: "lifespan", Group: GroupPython, Arg: "NAME", Default: "auto",
			Help:  "ASGI lifespan events: on (startup fails if the application does not support them), off, or auto (if supported)",
			value: func(c *Config) *value { return choice(&c.Lifespan, Lifespans) },
		},
		{
			Name: "loop", Group: GroupPython, Arg: "NAME", Default: "auto",
			Help:  "event loop for async code: asyncio, uvloop, or auto: uvloop if it is installed",
			value: func(c *Config) *value { return choice(&c.Loop, Loops) },
		},
		{
			Name: "factory", Aliases: []string{"call"}, Group: GroupPython,
			Help:  "APP names a function that returns the application",
			value: func(c *Config) *value { return toggle(&c.Factory) },
		},
		{
			Name: "pythonpath", Aliases: []string{"app-dir"}, Group: GroupPython, Arg: "DIRS", path: true,
			Help:  "directories to search for modules before PYTHONPATH; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.PythonPath) },
		},
		{
			Name: "env-file", Aliases: []string{"env-files"}, Group: GroupPython, Arg: "FILES", path: true,
			Help:  "set the environment variables in these files (NAME=value, such as .env) before the application loads; variables already set win, and fapws itself does not read them as settings; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.EnvFiles) },
		},
		{
			Name: "venv", Aliases: []string{"virtualenv"}, Group: GroupPython, Arg: "DIR", Env: "VIRTUAL_ENV", path: true,
			Help:  "use the packages of this virtual environment; default: .venv or venv next to the application or in the working directory, if it is of the same Python version; off: none",
			value: func(c *Config) *value { return text(&c.Venv) },
		},
		{
			Name: "root-path", Aliases: []string{"url-prefix", "url-path-prefix"}, Group: GroupPython, Arg: "PATH",
			Help:  "URL path at which a proxy mounts the application; prepended to SCRIPT_NAME and stripped from requests that include it",
			value: func(c *Config) *value { return rootPath(&c.Server.Sites.RootPath) },
		},
		{
			Name: "x-sendfile", Group: GroupPython, Arg: "DIRS", Global: "X_SENDFILE", path: true,
			Help:  "let the application send a file in these directories with X-Sendfile: FILE; otherwise the field is passed on; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.Server.SendfileRoots) },
		},
		{
			Name: "x-accel", Group: GroupPython, Arg: "PREFIX=DIR", Global: "X_ACCEL", path: true,
			Help:  "let the application send a file from DIR with X-Accel-Redirect: /PREFIX/FILE; otherwise the field is passed on; repeatable, or separated by commas",
			value: func(c *Config) *value { return mappings(&c.Server.AccelRoots) },
		},
	}
}

// fileRows are about files that are served without an application: those of a
// folder in the place of APP, of --static, and of the hosts of a configuration
// file that do not say otherwise.
func fileRows() []*Setting {
	return []*Setting{
		{
			Name: "config", Short: "c", Group: GroupFiles, Arg: "FILE",
			Brief: "configuration file; ./fapws.toml is found by default",
			Help:  "configuration file (TOML): keys are flag names, plus hosts; default: the first of ./fapws.toml, ~/.config/fapws/fapws.toml and, without APP, /etc/fapws/fapws.toml; off: no file",
			value: func(c *Config) *value { return text(&c.File) },
		},
		{
			Name: "static", Aliases: []string{"static-map"}, Group: GroupFiles, Arg: "PREFIX=DIR", path: true,
			Brief: "serve the files of DIR under PREFIX; repeatable",
			Help:  "serve the files of a directory under a URL prefix before the application: /static=./static; repeatable, or separated by commas",
			value: func(c *Config) *value { return mappings(&c.Static) },
		},
		{
			Name: "index", Group: GroupFiles, Arg: "NAMES", Default: "index.html,index.htm",
			Help:  "index files of a directory; the first one found is served",
			value: func(c *Config) *value { return texts(&c.Index) },
		},
		{
			Name: "autoindex", Group: GroupFiles, Default: "no", Note: "yes if APP is a directory, otherwise no",
			Help:  "list directories that have no index file",
			value: func(c *Config) *value { return toggle(&c.Listing) },
		},
		{
			Name: "spa", Group: GroupFiles, Arg: "FILE",
			Help:  "fallback file for page requests that match no file (single-page applications): index.html",
			value: func(c *Config) *value { return text(&c.SPA) },
		},
		{
			Name: "mime-types", Group: GroupFiles, Arg: "FILE", path: true,
			Help:  "file of media types by extension, in the format of Apache's mime.types; overrides the built-in types",
			value: func(c *Config) *value { return text(&c.MimeTypes) },
		},
		{
			Name: "charset", Group: GroupFiles, Arg: "NAME", Default: "utf-8",
			Help:  "charset of text files in Content-Type; off omits it",
			value: func(c *Config) *value { return text(&c.Charset) },
		},
		{
			Name: "compress", Group: GroupFiles, Default: "yes",
			Help:  "compress files with zstd or gzip for clients that accept it, if that makes them smaller; --no-compress disables it",
			value: func(c *Config) *value { return toggle(&c.Compress) },
		},
		{
			Name: "expires", Group: GroupFiles, Arg: "PATTERN=TIME",
			Help:  "how long clients may cache files; the first matching pattern applies: *.css=30d, *=1h; TIME takes s, m, h, d, w, y, or is immutable, no-cache, no-store or off; repeatable, or separated by commas",
			value: func(c *Config) *value { return expiries(&c.Expires) },
		},
		{
			Name: "ssi", Group: GroupFiles, Default: "no",
			Help:  "process server-side includes in *.shtml files, as Apache's mod_include does",
			value: func(c *Config) *value { return toggle(&c.SSI) },
		},
		{
			Name: "symlinks", Group: GroupFiles, Arg: "WHICH", Default: "inside",
			Help:  "symbolic links to follow: inside (target in the same directory tree), owner (inside, and the target has the same owner), or no",
			value: func(c *Config) *value { return choice(&c.Symlinks, SymlinkPolicies) },
		},
		{
			Name: "dotfiles", Group: GroupFiles, Default: "no",
			Help:  "serve and list files whose names begin with a dot; /.well-known is always served",
			value: func(c *Config) *value { return toggle(&c.DotFiles) },
		},
		{
			Name: "expose", Group: GroupFiles, Arg: "PATTERNS",
			Help:  "serve files of these names (*.py, *.db), although they look like sources, backups (*~, *.bak), databases (*.db, *.sqlite3, *.sql) or keys (*.key, *.secret), which are hidden; logs, passwords, the configuration file and scripts stay hidden",
			value: func(c *Config) *value { return texts(&c.Expose) },
		},
		{
			Name: "cache-files-max", Group: GroupFiles, Arg: "SIZE", Default: "16M",
			Help:  "memory for small files, compressed files and listings, per directory and worker; 0 disables this cache and compression",
			value: func(c *Config) *value { return size(&c.CacheBytes, 0, 1<<40) },
		},
	}
}

// cacheRows are about pages that are kept in memory.
func cacheRows() []*Setting {
	return []*Setting{
		{
			Name: "cache", Group: GroupFiles, Default: "no", Global: "CACHE",
			Help:  `cache responses whose Cache-Control or Expires allows it; without this flag, only responses selected by fapws.cache.cached or a "cache" key`,
			value: func(c *Config) *value { return toggle(&c.Cache) },
		},
		{
			Name: "cache-max-size", Group: GroupFiles, Arg: "SIZE", Default: "16M", Global: "CACHE_MAX_SIZE",
			Help:  "cache size per worker; least recently used entries are evicted first, and one entry may use an eighth of it, up to 1 MiB; 0 disables the cache",
			value: func(c *Config) *value { return size(&c.Server.CacheSize, 0, 1<<50) },
		},
	}
}

func loginRows() []*Setting {
	return []*Setting{
		{
			Name: "login", Group: GroupAddress, Arg: "FILE", path: true,
			Help:  "require users of this file to log in by a form, for everything but hosts and routes that say otherwise; fapws user add makes users, or the browser the first one, with a code that the log shows",
			value: func(c *Config) *value { return text(&c.LoginUsers) },
		},
		{
			Name: "login-idle", Group: GroupAddress, Arg: "TIME", Default: "30m",
			Help:  "a session of login ends when it was not used for this time",
			value: func(c *Config) *value { return duration(&c.LoginIdle, time.Second) },
		},
		{
			Name: "login-age", Group: GroupAddress, Arg: "TIME", Default: "12h",
			Help:  "a session of login ends after this time, even if it is used",
			value: func(c *Config) *value { return duration(&c.LoginAge, time.Second) },
		},
	}
}

func processRows() []*Setting {
	return []*Setting{
		{
			Name: "workers", Short: "w", Group: GroupProcesses, kept: true, Arg: "N", Default: "1", Env: "WEB_CONCURRENCY",
			Brief: "processes under a supervisor; 0: one per core",
			Help:  "worker processes under a supervisor that restarts crashed workers, reloads on HUP and upgrades on USR2; 0: one per core that the machine and its control group (container) allow; omitted: a single process without a supervisor, except as process 1",
			value: func(c *Config) *value { return count(&c.Workers, 0, 512) },
		},
		{
			Name: "fork", Group: GroupProcesses,
			Help:  "answer each request of the application in a separate process, forked from one that has loaded it; synchronous handlers only",
			value: func(c *Config) *value { return toggle(&c.Fork) },
		},
		{
			Name: "max-forks", Group: GroupProcesses, Arg: "N", Default: "32",
			Help:  "maximum number of such processes at a time; max-queue further requests wait, others get 503",
			value: func(c *Config) *value { return count(&c.MaxForks, 1, 1024) },
		},
		{
			Name: "idle-stop", Group: GroupProcesses, Arg: "TIME", Default: "0s",
			Help:  "end Python when no request or WebSocket of any worker has needed the application for this long; the next request loads it again and waits for it, see start-wait; 0 disables",
			value: func(c *Config) *value { return duration(&c.IdleStop, 0) },
		},
		{
			Name: "max-requests", Aliases: []string{"limit-max-requests"}, Group: GroupProcesses, Arg: "N", Default: "0",
			Help:  "replace a worker after this many requests; 0 disables",
			value: func(c *Config) *value { return count(&c.MaxRequests, 0, 1<<30) },
		},
		{
			Name: "max-requests-jitter", Aliases: []string{"limit-max-requests-jitter"}, Group: GroupProcesses, Arg: "N", Default: "0",
			Help:  "add a random number up to this to max-requests, so that workers are not all replaced at once",
			value: func(c *Config) *value { return count(&c.MaxRequestsJitter, 0, 1<<30) },
		},
		{
			Name: "max-rss", Group: GroupProcesses, kept: true, Arg: "SIZE", Default: "0",
			Help:  "replace a worker whose resident memory exceeds this; 0 disables",
			value: func(c *Config) *value { return size(&c.MaxRSS, 0, 1<<50) },
		},
		{
			Name: "reload", Group: GroupProcesses, kept: true,
			Brief: "reload the application when its files change",
			Help:  "reload when a file of the application changes; if the new code fails to load, the old code keeps serving",
			value: func(c *Config) *value { return toggle(&c.Reload) },
		},
		{
			Name: "reload-dir", Aliases: []string{"reload-paths"}, Group: GroupProcesses, kept: true, Arg: "DIRS", path: true,
			Help:  "directories to watch for --reload, including subdirectories; default: the directory of the script, or the working directory for a module; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.ReloadDirs) },
		},
		{
			Name: "reload-include", Aliases: []string{"reload-extra-file", "extra-files"}, Group: GroupProcesses, kept: true, Arg: "PATTERNS",
			Help:  "files to watch for --reload in addition to *.py: patterns such as *.html or templates/*.txt, or paths; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.ReloadInclude) },
		},
		{
			Name: "reload-exclude", Aliases: []string{"reload-ignore-patterns", "reload-ignore-dirs", "reload-ignore-paths", "exclude-patterns"}, Group: GroupProcesses, kept: true, Arg: "PATTERNS",
			Help:  "files and directories not to watch for --reload, in addition to .*, *~, __pycache__, node_modules and virtual environments; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.ReloadExclude) },
		},
		{
			Name: "reload-check", Group: GroupProcesses, Arg: "PATH",
			Help:  "a new worker must answer GET PATH with a status below 400 before it serves, without a password where clients need one; /path, or http://host/path for an application that checks Host",
			value: func(c *Config) *value { return checkTarget(&c.ReloadCheck) },
		},
		{
			Name: "dev", Group: GroupProcesses, kept: true,
			Brief: "reload, tracebacks in the browser; on 127.0.0.1 only",
			Help:  "development mode: --reload, also when a template such as *.html or *.jinja2 changes; tracebacks in the browser, also when code fails to load; requests in the log; listens on 127.0.0.1:8888 by default, and only on addresses of this machine",
			value: func(c *Config) *value { return toggle(&c.Dev) },
		},
		{
			Name: "dev-anywhere", Group: GroupProcesses, kept: true,
			Help:  "allow --dev on any address; anyone who can connect can see your source code",
			value: func(c *Config) *value { return toggle(&c.DevAnywhere) },
		},
		{
			Name: "user", Short: "u", Group: GroupProcesses, kept: true, Arg: "USER",
			Brief: "run as this user after binding as root",
			Help:  "run as this user, by name or number, after binding the addresses as root; the application never runs as root",
			value: func(c *Config) *value { return text(&c.User) },
		},
		{
			Name: "group", Short: "g", Group: GroupProcesses, kept: true, Arg: "GROUP",
			Help:  "run with this group; default: the groups of the user, or 65534 for an unknown user number",
			value: func(c *Config) *value { return text(&c.Group) },
		},
		{
			Name: "chroot", Group: GroupProcesses, kept: true, Arg: "DIR", path: true,
			Help:  "make this directory the root directory of each worker after it has loaded the application; requires root and --user; files opened and modules imported later must be inside it, at the same path",
			value: func(c *Config) *value { return text(&c.Chroot) },
		},
		{
			Name: "allow-root", Group: GroupProcesses, kept: true,
			Help:  "serve as root; without it, root must pass --user, except in a container and where no other user exists",
			value: func(c *Config) *value { return toggle(&c.AllowRoot) },
		},
		{
			Name: "sandbox", Group: GroupProcesses, kept: true, Arg: "MODE", Default: "off", alone: "on",
			Help:  "restrict each worker, after it has loaded the application, to the files, TCP ports and system calls that it needs: on (what the kernel cannot restrict is one warning), strict (then the server does not start), or off; without a value, on; with check, request each path in the sandbox and print denials",
			value: func(c *Config) *value { return sandboxMode(&c.Sandbox) },
		},
		{
			Name: "sandbox-read", Group: GroupProcesses, Arg: "FILES", path: true,
			Help:  "files and directories that a sandbox may read, in addition to Python, the application, and directories that are served; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.SandboxRead) },
		},
		{
			Name: "sandbox-write", Group: GroupProcesses, Arg: "FILES", path: true,
			Help:  "files and directories that a sandbox may also change, in addition to a private directory for temporary files and the directories of logs; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.SandboxWrite) },
		},
		{
			Name: "sandbox-exec", Group: GroupProcesses, Arg: "FILES", path: true,
			Help:  "programs, or directories of programs, that a sandbox may run; default: none, or those of the system if the configuration has CGI or PHP; repeatable, or separated by commas",
			value: func(c *Config) *value { return texts(&c.SandboxExec) },
		},
		{
			Name: "sandbox-connect", Group: GroupProcesses, Arg: "PORTS",
			Help:  "TCP ports that a sandbox may connect to, and the word unix for all unix sockets, in addition to those of proxies and FastCGI in the configuration; repeatable, or separated by commas",
			value: func(c *Config) *value { return ports(&c.SandboxConnect, &c.SandboxUnix) },
		},
		{
			Name: "sandbox-bind", Group: GroupProcesses, Arg: "PORTS",
			Help:  "TCP ports that the application may listen on in a sandbox; repeatable, or separated by commas",
			value: func(c *Config) *value { return ports(&c.SandboxBind, nil) },
		},
		{
			Name: "umask", Short: "m", Group: GroupProcesses, kept: true, Arg: "MODE", Default: "none", Note: "unchanged",
			Help:  "file mode mask, in octal: 027",
			value: func(c *Config) *value { return octal(&c.Umask) },
		},
		{
			Name: "pid", Aliases: []string{"pidfile", "pid-file"}, Group: GroupProcesses, kept: true, Arg: "FILE", path: true,
			Help:  "write the process ID of the process that receives signals to this file; removed on exit",
			value: func(c *Config) *value { return text(&c.PidFile) },
		},
		{
			Name: "ctl-socket", Group: GroupProcesses, kept: true, Arg: "FILE", Default: "auto", path: true,
			Help:  "control socket for fapws ctl: auto (one per server, in a private directory of the user), off, or a path",
			value: func(c *Config) *value { return text(&c.ControlSocket) },
		},
		{
			Name: "status", Group: GroupProcesses, Arg: "PREFIX", Default: "off",
			Help:  "serve a status page and metrics for Prometheus under this path, such as /_fapws, to clients on this machine and, if the host has a password, to logged-in users",
			value: func(c *Config) *value { return statusPrefix(&c.Status, "/_fapws") },
		},
		{
			Name: "health", Group: GroupProcesses, Arg: "PREFIX", Default: "off",
			Help:  "answer 200 under this path, such as /healthz, without Python and for every client; PREFIX/ready gets 503 until the application has loaded, and during shutdown-delay",
			value: func(c *Config) *value { return statusPrefix(&c.Health, "/healthz") },
		},
		{
			Name: "load-timeout", Group: GroupProcesses, kept: true, Arg: "TIME", Default: "60s",
			Help:  "maximum time for a new worker to load the application",
			value: func(c *Config) *value { return duration(&c.LoadTimeout, time.Millisecond) },
		},
		{
			Name: "start-wait", Group: GroupProcesses, kept: true, Arg: "TIME", Default: "30s",
			Help:  "while the application loads, maximum time that requests for it wait; then they get 503 with Retry-After; a browser that opens a page waits 1 second at most, and then shows a page that refreshes itself; 0: nothing waits",
			value: func(c *Config) *value { return duration(&c.Server.Sites.StartWait, 0) },
		},
	}
}

func logRows() []*Setting {
	return []*Setting{
		{
			Name: "access-log", Aliases: []string{"access-logfile"}, Group: GroupLogs, path: true,
			Arg: "FILE", Default: "off", Global: "ACCESS_LOG",
			Brief: `log requests to a file; "-" is standard output`,
			Help:  `write a line for each request to this file; "-" is standard output, off disables`,
			value: func(c *Config) *value { return text(&c.AccessLog) },
		},
		{
			Name: "access-log-format", Aliases: []string{"access-logformat", "access-log-fmt"}, Group: GroupLogs,
			Arg: "FORMAT", Default: "combined", Global: "ACCESS_LOG_FORMAT",
			Help:  "format of the access log: combined or common (Apache), vhost_combined (Debian's Apache), timed (combined, then microseconds), short, json, or a format string of Apache (%h, %>s, %{Referer}i) or gunicorn (%(h)s)",
			value: func(c *Config) *value { return logFormat(&c.AccessLogFormat) },
		},
		{
			Name: "trace", Group: GroupLogs, Global: "TRACE",
			Help:  "continue the traces of requests, or begin new ones (W3C Trace Context): the field traceparent reaches applications, programs and upstreams, and its trace-id is in the logs",
			value: func(c *Config) *value { return toggle(&c.Server.Sites.Trace) },
		},
		{
			Name: "error-log", Aliases: []string{"error-logfile", "log-file"}, Group: GroupLogs, path: true,
			Arg: "FILE", Default: "-",
			Help:  `write messages, tracebacks and everything else on standard error to this file; "-" is standard error`,
			value: func(c *Config) *value { return text(&c.ErrorLog) },
		},
		{
			Name: "log-max-size", Group: GroupLogs, Arg: "SIZE", Default: "1M", Global: "LOG_MAX_SIZE",
			Help:  "rotate a log before it exceeds this size, compressing it to FILE.1.gz and renumbering older files; 0 disables",
			value: func(c *Config) *value { return size(&c.LogMaxSize, 0, 1<<50) },
		},
		{
			Name: "log-rotate", Group: GroupLogs, Arg: "WHEN", Default: "off", Global: "LOG_ROTATE",
			Help:  "also rotate logs hourly, daily, weekly, or after a time such as 6h",
			value: func(c *Config) *value { return logRotate(&c.LogRotate) },
		},
		{
			Name: "log-keep", Group: GroupLogs, Arg: "N", Default: "5", Global: "LOG_KEEP",
			Help:  "number of compressed log files to keep",
			value: func(c *Config) *value { return count(&c.LogKeep, 0, 100000) },
		},
		{
			Name: "log-buffer", Group: GroupLogs, Arg: "SIZE", Default: "32K", Global: "LOG_BUFFER",
			Help:  "write the access log when this much has accumulated",
			value: func(c *Config) *value { return size(&c.LogBuffer, 1, 1<<20) },
		},
		{
			Name: "log-flush", Group: GroupLogs, Arg: "TIME", Default: "1s", Global: "LOG_FLUSH",
			Help:  "maximum age of buffered log lines before they are written; 60s reduces flash wear",
			value: func(c *Config) *value { return duration(&c.LogFlush, time.Millisecond) },
		},
		{
			Name: "log-level", Group: GroupLogs, Arg: "LEVEL", Default: "info", Global: "LOG_LEVEL",
			Brief: "debug, info, warning or error",
			Help:  "minimum level of messages: debug, info, warning or error",
			value: func(c *Config) *value { return level(&c.LogLevel) },
		},
		{
			Name: "debug", Group: GroupLogs, Arg: "N", Default: "0", Global: "DEBUG",
			Brief: "1: requests and tracebacks; 2: loop; 3: bytes",
			Help:  "1: log requests with timings and send tracebacks to browsers; 2: also log loop events; 3: also bytes; without a value, 1",
			alone: "1",
			value: func(c *Config) *value { return debugLevel(&c.Debug) },
		},
	}
}
