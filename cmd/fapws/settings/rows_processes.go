package settings

import "time"

func processRows() []*Setting {
	return []*Setting{
		{
			Name: "workers", Short: "w", Group: GroupProcesses, Arg: "N", Default: "1", Env: "WEB_CONCURRENCY",
			Brief: "processes under a supervisor; 0: one per core",
			Help:  "worker processes under a supervisor that restarts crashed workers, reloads on HUP and upgrades on USR2; 0: one per core that the machine and its control group (container) allow; omitted: a single process without a supervisor, except as process 1",
			value: func(c *Config) value { return &count{&c.Workers, 0, 512} },
		},
		{
			Name: "fork", Group: GroupProcesses,
			Help:  "answer each request of the application in a separate process, forked from one that has loaded it; synchronous handlers only",
			value: func(c *Config) value { return &toggle{&c.Fork} },
		},
		{
			Name: "max-forks", Group: GroupProcesses, Arg: "N", Default: "32",
			Help:  "maximum number of such processes at a time; max-queue further requests wait, others get 503",
			value: func(c *Config) value { return &count{&c.MaxForks, 1, 1024} },
		},
		{
			Name: "idle-stop", Group: GroupProcesses, Arg: "TIME", Default: "0s",
			Help:  "end Python when no request or WebSocket of any worker has needed the application for this long; the next request loads it again and waits for it, see start-wait; 0 disables",
			value: func(c *Config) value { return &duration{&c.IdleStop, 0} },
		},
		{
			Name: "max-requests", Aliases: []string{"limit-max-requests"}, Group: GroupProcesses, Arg: "N", Default: "0",
			Help:  "replace a worker after this many requests; 0 disables",
			value: func(c *Config) value { return &count{&c.MaxRequests, 0, 1 << 30} },
		},
		{
			Name: "max-requests-jitter", Aliases: []string{"limit-max-requests-jitter"}, Group: GroupProcesses, Arg: "N", Default: "0",
			Help:  "add a random number up to this to max-requests, so that workers are not all replaced at once",
			value: func(c *Config) value { return &count{&c.MaxRequestsJitter, 0, 1 << 30} },
		},
		{
			Name: "max-rss", Group: GroupProcesses, Arg: "SIZE", Default: "0",
			Help:  "replace a worker whose resident memory exceeds this; 0 disables",
			value: func(c *Config) value { return &size[int64]{&c.MaxRSS, 0, 1 << 50} },
		},
		{
			Name: "reload", Group: GroupProcesses,
			Brief: "reload the application when its files change",
			Help:  "reload when a file of the application changes; if the new code fails to load, the old code keeps serving",
			value: func(c *Config) value { return &toggle{&c.Reload} },
		},
		{
			Name: "reload-dir", Aliases: []string{"reload-paths"}, Group: GroupProcesses, Arg: "DIRS", path: true,
			Help:  "directories to watch for --reload, including subdirectories; default: the directory of the script, or the working directory for a module; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.ReloadDirs} },
		},
		{
			Name: "reload-include", Aliases: []string{"reload-extra-file", "extra-files"}, Group: GroupProcesses, Arg: "PATTERNS",
			Help:  "files to watch for --reload in addition to *.py: patterns such as *.html or templates/*.txt, or paths; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.ReloadInclude} },
		},
		{
			Name: "reload-exclude", Aliases: []string{"reload-ignore-patterns", "reload-ignore-dirs", "reload-ignore-paths", "exclude-patterns"}, Group: GroupProcesses, Arg: "PATTERNS",
			Help:  "files and directories not to watch for --reload, in addition to .*, *~, __pycache__, node_modules and virtual environments; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.ReloadExclude} },
		},
		{
			Name: "reload-check", Group: GroupProcesses, Arg: "PATH",
			Help:  "a new worker must answer GET PATH with a status below 400 before it serves, without a password where clients need one; /path, or http://host/path for an application that checks Host",
			value: func(c *Config) value { return &checkTarget{&c.ReloadCheck} },
		},
		{
			Name: "dev", Group: GroupProcesses,
			Brief: "reload, tracebacks in the browser; on 127.0.0.1 only",
			Help:  "development mode: --reload, also when a template such as *.html or *.jinja2 changes; tracebacks in the browser, also when code fails to load; requests in the log; listens on 127.0.0.1:8888 by default, and only on addresses of this machine",
			value: func(c *Config) value { return &toggle{&c.Dev} },
		},
		{
			Name: "dev-anywhere", Group: GroupProcesses,
			Help:  "allow --dev on any address; anyone who can connect can see your source code",
			value: func(c *Config) value { return &toggle{&c.DevAnywhere} },
		},
		{
			Name: "user", Short: "u", Group: GroupProcesses, Arg: "USER",
			Brief: "run as this user after binding as root",
			Help:  "run as this user, by name or number, after binding the addresses as root; the application never runs as root",
			value: func(c *Config) value { return &text{&c.User} },
		},
		{
			Name: "group", Short: "g", Group: GroupProcesses, Arg: "GROUP",
			Help:  "run with this group; default: the groups of the user, or 65534 for an unknown user number",
			value: func(c *Config) value { return &text{&c.Group} },
		},
		{
			Name: "chroot", Group: GroupProcesses, Arg: "DIR", path: true,
			Help:  "make this directory the root directory of each worker after it has loaded the application; requires root and --user; files opened and modules imported later must be inside it, at the same path",
			value: func(c *Config) value { return &text{&c.Chroot} },
		},
		{
			Name: "allow-root", Group: GroupProcesses,
			Help:  "serve as root; without it, root must pass --user, except in a container and where no other user exists",
			value: func(c *Config) value { return &toggle{&c.AllowRoot} },
		},
		{
			Name: "sandbox", Group: GroupProcesses, Arg: "MODE", Default: "off", alone: "on",
			Help:  "restrict each worker, after it has loaded the application, to the files, TCP ports and system calls that it needs: on (what the kernel cannot restrict is one warning), strict (then the server does not start), or off; without a value, on; with check, request each path in the sandbox and print denials",
			value: func(c *Config) value { return &sandboxMode{choice{&c.Sandbox, SandboxModes}} },
		},
		{
			Name: "sandbox-read", Group: GroupProcesses, Arg: "FILES", path: true,
			Help:  "files and directories that a sandbox may read, in addition to Python, the application, and directories that are served; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.SandboxRead} },
		},
		{
			Name: "sandbox-write", Group: GroupProcesses, Arg: "FILES", path: true,
			Help:  "files and directories that a sandbox may also change, in addition to a private directory for temporary files and the directories of logs; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.SandboxWrite} },
		},
		{
			Name: "sandbox-exec", Group: GroupProcesses, Arg: "FILES", path: true,
			Help:  "programs, or directories of programs, that a sandbox may run; default: none, or those of the system if the configuration has CGI or PHP; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.SandboxExec} },
		},
		{
			Name: "sandbox-connect", Group: GroupProcesses, Arg: "PORTS",
			Help:  "TCP ports that a sandbox may connect to, and the word unix for all unix sockets, in addition to those of proxies and FastCGI in the configuration; repeatable, or separated by commas",
			value: func(c *Config) value { return &ports{&c.SandboxConnect, &c.SandboxUnix} },
		},
		{
			Name: "sandbox-bind", Group: GroupProcesses, Arg: "PORTS",
			Help:  "TCP ports that the application may listen on in a sandbox; repeatable, or separated by commas",
			value: func(c *Config) value { return &ports{to: &c.SandboxBind} },
		},
		{
			Name: "umask", Short: "m", Group: GroupProcesses, Arg: "MODE", Default: "none", Note: "unchanged",
			Help:  "file mode mask, in octal: 027",
			value: func(c *Config) value { return &octal{&c.Umask} },
		},
		{
			Name: "pid", Aliases: []string{"pidfile", "pid-file"}, Group: GroupProcesses, Arg: "FILE", path: true,
			Help:  "write the process ID of the process that receives signals to this file; removed on exit",
			value: func(c *Config) value { return &text{&c.PidFile} },
		},
		{
			Name: "ctl-socket", Group: GroupProcesses, Arg: "FILE", Default: "auto", path: true,
			Help:  "control socket for fapws ctl: auto (one per server, in a private directory of the user), off, or a path",
			value: func(c *Config) value { return &text{&c.ControlSocket} },
		},
		{
			Name: "status", Group: GroupProcesses, Arg: "PREFIX", Default: "off",
			Help:  "serve a status page and metrics for Prometheus under this path, such as /_fapws, to clients on this machine and, if the host has a password, to logged-in users",
			value: func(c *Config) value { return &statusPrefix{&c.Status, "/_fapws"} },
		},
		{
			Name: "health", Group: GroupProcesses, Arg: "PREFIX", Default: "off",
			Help:  "answer 200 under this path, such as /healthz, without Python and for every client; PREFIX/ready gets 503 until the application has loaded, and during shutdown-delay",
			value: func(c *Config) value { return &statusPrefix{&c.Health, "/healthz"} },
		},
		{
			Name: "load-timeout", Group: GroupProcesses, Arg: "TIME", Default: "60s",
			Help:  "maximum time for a new worker to load the application",
			value: func(c *Config) value { return &duration{&c.LoadTimeout, time.Millisecond} },
		},
		{
			Name: "start-wait", Group: GroupProcesses, Arg: "TIME", Default: "30s",
			Help:  "while the application loads, maximum time that requests for it wait; then they get 503 with Retry-After; a browser that opens a page waits 1 second at most, and then shows a page that refreshes itself; 0: nothing waits",
			value: func(c *Config) value { return &duration{&c.StartWait, 0} },
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
			value: func(c *Config) value { return &text{&c.AccessLog} },
		},
		{
			Name: "access-log-format", Aliases: []string{"access-logformat", "access-log-fmt"}, Group: GroupLogs,
			Arg: "FORMAT", Default: "combined", Global: "ACCESS_LOG_FORMAT",
			Help:  "format of the access log: combined or common (Apache), vhost_combined (Debian's Apache), timed (combined, then microseconds), short, json, or a format string of Apache (%h, %>s, %{Referer}i) or gunicorn (%(h)s)",
			value: func(c *Config) value { return &logFormat{&c.AccessLogFormat} },
		},
		{
			Name: "trace", Group: GroupLogs, Global: "TRACE",
			Help:  "continue the traces of requests, or begin new ones (W3C Trace Context): the field traceparent reaches applications, programs and upstreams, and its trace-id is in the logs",
			value: func(c *Config) value { return &toggle{&c.Trace} },
		},
		{
			Name: "error-log", Aliases: []string{"error-logfile", "log-file"}, Group: GroupLogs, path: true,
			Arg: "FILE", Default: "-",
			Help:  `write messages, tracebacks and everything else on standard error to this file; "-" is standard error`,
			value: func(c *Config) value { return &text{&c.ErrorLog} },
		},
		{
			Name: "log-max-size", Group: GroupLogs, Arg: "SIZE", Default: "1M", Global: "LOG_MAX_SIZE",
			Help:  "rotate a log before it exceeds this size, compressing it to FILE.1.gz and renumbering older files; 0 disables",
			value: func(c *Config) value { return &size[int64]{&c.LogMaxSize, 0, 1 << 50} },
		},
		{
			Name: "log-rotate", Group: GroupLogs, Arg: "WHEN", Default: "off", Global: "LOG_ROTATE",
			Help:  "also rotate logs hourly, daily, weekly, or after a time such as 6h",
			value: func(c *Config) value { return &logRotate{&c.LogRotate} },
		},
		{
			Name: "log-keep", Group: GroupLogs, Arg: "N", Default: "5", Global: "LOG_KEEP",
			Help:  "number of compressed log files to keep",
			value: func(c *Config) value { return &count{&c.LogKeep, 0, 100000} },
		},
		{
			Name: "log-buffer", Group: GroupLogs, Arg: "SIZE", Default: "32K", Global: "LOG_BUFFER",
			Help:  "write the access log when this much has accumulated",
			value: func(c *Config) value { return &size[int]{&c.LogBuffer, 1, 1 << 20} },
		},
		{
			Name: "log-flush", Group: GroupLogs, Arg: "TIME", Default: "1s", Global: "LOG_FLUSH",
			Help:  "maximum age of buffered log lines before they are written; 60s reduces flash wear",
			value: func(c *Config) value { return &duration{&c.LogFlush, time.Millisecond} },
		},
		{
			Name: "log-level", Group: GroupLogs, Arg: "LEVEL", Default: "info", Global: "LOG_LEVEL",
			Brief: "debug, info, warning or error",
			Help:  "minimum level of messages: debug, info, warning or error",
			value: func(c *Config) value { return &level{&c.LogLevel} },
		},
		{
			Name: "debug", Group: GroupLogs, Arg: "N", Default: "0", Global: "DEBUG",
			Brief: "1: requests and tracebacks; 2: loop; 3: bytes",
			Help:  "1: log requests with timings and send tracebacks to browsers; 2: also log loop events; 3: also bytes; without a value, 1",
			alone: "1",
			value: func(c *Config) value { return &debugLevel{count{&c.Debug, 0, 3}} },
		},
	}
}
