package settings

import "time"

var processesSettings = []*Setting{
	{Name: "workers", also: "-w processes", Default: "1", Env: "WEB_CONCURRENCY", kept: true,
		Brief: "processes under a supervisor; 0: one per core",
		Help: "worker processes under a supervisor that restarts crashed workers, reloads on HUP and upgrades on " +
			"USR2; 0: one per core that the machine and its control group (container) allow; omitted: a single " +
			"process without a supervisor, except as process 1",
		value: func(c *Config) *value { return count(&c.Workers, 0, 512) }},
	{Name: "fork",
		Help: "answer each request of the application in a separate process, forked from one that has loaded it; " +
			"synchronous handlers only",
		value: func(c *Config) *value { return toggle(&c.Fork, true) }},
	{Name: "max-forks", Default: "32",
		Help:  "maximum number of such processes at a time; max-queue further requests wait, others get 503",
		value: func(c *Config) *value { return count(&c.MaxForks, 1, 1<<10) }},
	{Name: "idle-stop", Default: "0s",
		Help: "end Python when no request or WebSocket of any worker has needed the application for this long; " +
			"the next request loads it again and waits for it, see start-wait; 0 disables",
		value: func(c *Config) *value { return duration(&c.IdleStop, 0) }},
	{Name: "max-requests", also: "limit-max-requests", Default: "0",
		Help:  "replace a worker after this many requests; 0 disables",
		value: func(c *Config) *value { return count(&c.MaxRequests, 0, 1<<30) }},
	{Name: "max-requests-jitter", also: "limit-max-requests-jitter", Default: "0",
		Help:  "add a random number up to this to max-requests, so that workers are not all replaced at once",
		value: func(c *Config) *value { return count(&c.MaxRequestsJitter, 0, 1<<30) }},
	{Name: "max-rss", Default: "0", kept: true,
		Help:  "replace a worker whose resident memory exceeds this; 0 disables",
		value: func(c *Config) *value { return size(&c.MaxRSS, 0, 1024<<40) }},
	{Name: "reload", kept: true,
		Brief: "reload the application when its files change",
		Help: "reload when a file of the application changes; if the new code fails to load, the old code keeps " +
			"serving",
		value: func(c *Config) *value { return toggle(&c.Reload, true) }},
	{Name: "reload-dir", also: "reload-paths", Arg: "DIRS", path: true, kept: true,
		Help: "directories to watch for --reload, including subdirectories; default: the directory of the " +
			"script, or the working directory for a module; repeatable, or separated by commas",
		value: func(c *Config) *value { return texts(&c.ReloadDirs) }},
	{Name: "reload-include", also: "reload-extra-file extra-files", Arg: "PATTERNS", kept: true,
		Help: "files to watch for --reload in addition to *.py: patterns such as *.html or templates/*.txt, or " +
			"paths; repeatable, or separated by commas",
		value: func(c *Config) *value { return texts(&c.ReloadInclude) }},
	{Name: "reload-exclude",
		also: "reload-ignore-patterns reload-ignore-dirs reload-ignore-paths exclude-patterns",
		Arg:  "PATTERNS", kept: true,
		Help: "files and directories not to watch for --reload, in addition to .*, *~, __pycache__, node_modules " +
			"and virtual environments; repeatable, or separated by commas",
		value: func(c *Config) *value { return texts(&c.ReloadExclude) }},
	{Name: "reload-check", Arg: "PATH",
		Help: "a new worker must answer GET PATH with a status below 400 before it serves, without a password " +
			"where clients need one; /path, or http://host/path for an application that checks Host",
		value: func(c *Config) *value { return target(&c.ReloadCheck) }},
	{Name: "dev", kept: true,
		Brief: "reload, tracebacks in the browser; on 127.0.0.1 only",
		Help: "development mode: --reload, also when a template such as *.html or *.jinja2 changes; the first " +
			"request after a change waits for the new code (therefore a TLS connection of HTTP/1 carries " +
			"one request); " +
			"tracebacks in the browser, " +
			"also when code fails to load; open pages refresh themselves after a change; requests in the log; " +
			"listens on 127.0.0.1:8888 by default, and only on addresses of this machine",
		value: func(c *Config) *value { return toggle(&c.Dev, true) }},
	{Name: "dev-refresh", Default: "yes",
		Help: "with --dev, append a script to the pages of applications that loads a page again in the browser " +
			"when its code has changed",
		value: func(c *Config) *value { return toggle(&c.NoDevRefresh, false) }},
	{Name: "dev-anywhere", kept: true,
		Help:  "allow --dev on any address; anyone who can connect can see your source code",
		value: func(c *Config) *value { return toggle(&c.DevAnywhere, true) }},
	{Name: "user", also: "-u uid", Arg: "USER", kept: true,
		Brief: "run as this user after binding as root",
		Help: "run as this user, by name or number, after binding the addresses as root; the application never " +
			"runs as root",
		value: func(c *Config) *value { return text(&c.User) }},
	{Name: "group", also: "-g gid", Arg: "GROUP", kept: true,
		Help:  "run with this group; default: the groups of the user, or 65534 for an unknown user number",
		value: func(c *Config) *value { return text(&c.Group) }},
	{Name: "chroot", Arg: "DIR", path: true, kept: true,
		Help: "make this directory the root directory of each worker after it has loaded the application; " +
			"requires root and --user; files opened and modules imported later must be inside it, at the same " +
			"path",
		value: func(c *Config) *value { return text(&c.Chroot) }},
	{Name: "allow-root", kept: true,
		Help: "serve as root; without it, root must pass --user, except in a container and where no other user " +
			"exists",
		value: func(c *Config) *value { return toggle(&c.AllowRoot, true) }},
	{Name: "sandbox", Arg: "MODE", Default: "off", alone: "on", kept: true,
		Help: "restrict each worker, after it has loaded the application, to the files, TCP ports and system " +
			"calls that it needs: on (what the kernel cannot restrict is one warning), strict (then the server " +
			"does not start), or off; without a value, on; with check, request each path in the sandbox and " +
			"print denials",
		value: func(c *Config) *value {
			return choice(&c.Sandbox, []string{"off", "on", "strict"},
				[]string{"yes=on", "true=on", "1=on", "no=off", "false=off", "0=off"})
		}},
	{Name: "sandbox-read", Arg: "FILES", path: true,
		Help: "files and directories that a sandbox may read, in addition to Python, the application, and " +
			"directories that are served; repeatable, or separated by commas",
		value: func(c *Config) *value { return texts(&c.SandboxRead) }},
	{Name: "sandbox-write", Arg: "FILES", path: true,
		Help: "files and directories that a sandbox may also change, in addition to a private directory for " +
			"temporary files and the directories of logs; repeatable, or separated by commas",
		value: func(c *Config) *value { return texts(&c.SandboxWrite) }},
	{Name: "sandbox-exec", Arg: "FILES", path: true,
		Help: "programs, or directories of programs, that a sandbox may run; default: none, or those of the " +
			"system if the configuration has CGI or PHP; repeatable, or separated by commas",
		value: func(c *Config) *value { return texts(&c.SandboxExec) }},
	{Name: "sandbox-connect",
		Help: "TCP ports that a sandbox may connect to, and the word unix for all unix sockets, in addition to " +
			"those of proxies and FastCGI in the configuration; repeatable, or separated by commas",
		value: func(c *Config) *value { return ports(&c.SandboxConnect, "unix") }},
	{Name: "sandbox-bind",
		Help:  "TCP ports that the application may listen on in a sandbox; repeatable, or separated by commas",
		value: func(c *Config) *value { return ports(&c.SandboxBind, "") }},
	{Name: "umask", also: "-m", Default: "none", Note: "unchanged", kept: true,
		Help:  "file mode mask, in octal: 027",
		value: func(c *Config) *value { return octal(&c.Umask, "none") }},
	{Name: "name", also: "-n proc-name process-name procname", Arg: "NAME", kept: true,
		Help:  "name of the processes in ps, top and pgrep, at most 15 bytes; default: fapws",
		value: func(c *Config) *value { return processName(&c.Name) }},
	{Name: "pid", also: "pidfile pid-file", Arg: "FILE", path: true, kept: true,
		Help:  "write the process ID of the process that receives signals to this file; removed on exit",
		value: func(c *Config) *value { return text(&c.PidFile) }},
	{Name: "ctl-socket", also: "control-socket no-control-socket=off", Arg: "FILE", path: true,
		Default: "auto", kept: true,
		Help: "control socket for fapws ctl: auto (one per server, in a private directory of the user), off, or " +
			"a path",
		value: func(c *Config) *value { return text(&c.ControlSocket) }},
	{Name: "status", Arg: "PREFIX", Default: "off",
		Help: "serve a status page and metrics for Prometheus under this path, such as /_fapws, to clients on " +
			"this machine and, if the host has a password, to logged-in users",
		value: func(c *Config) *value { return statusPrefix(&c.Status, "/_fapws") }},
	{Name: "health", Arg: "PREFIX", Default: "off",
		Help: "answer 200 under this path, such as /healthz, without Python and for every client; PREFIX/ready " +
			"gets 503 until the application has loaded, during shutdown-delay, and while requests wait for a " +
			"thread in vain",
		value: func(c *Config) *value { return statusPrefix(&c.Health, "/healthz") }},
	{Name: "load-timeout", Default: "60s", kept: true,
		Help:  "maximum time for a new worker to load the application",
		value: func(c *Config) *value { return duration(&c.LoadTimeout, time.Millisecond) }},
	{Name: "start-wait", Default: "30s", kept: true,
		Help: "while the application loads, maximum time that requests for it wait; then they get 503 with " +
			"Retry-After; a browser that opens a page waits 1 second at most, and then shows a page that " +
			"refreshes itself; 0: nothing waits",
		value: func(c *Config) *value { return duration(&c.Server.Sites.StartWait, 0) }},
	{Name: "channels", Arg: "URL", kept: true,
		Help: "connect channels and groups with those of other servers through Redis or Valkey: redis://HOST, " +
			"rediss://, unix:// or redis+sentinel://",
		value: func(c *Config) *value { return brokerURL(&c.Channels) }},
}
