package settings

var applicationSettings = []*Setting{
	{Name: "threads", also: "blocking-threads", Default: "8", Global: "THREADS",
		Brief: "maximum Python threads; 0: handlers on the event loop, where a slow handler blocks the server",
		Help: "maximum number of Python handler threads, started on demand; handlers that have waited for long " +
			"do not count, except with 1; 0 runs handlers inline on the event loop: lowest latency and memory, " +
			"but a slow handler blocks the server",
		value: func(c *Config) *value { return count(&c.Threads, 0, 256) }},
	{Name: "max-queue", also: "queue", Default: "2048", Global: "MAX_QUEUE",
		Help:  "maximum number of requests waiting for a thread; further requests get 503",
		value: func(c *Config) *value { return count(&c.MaxQueue, 1, 1<<20) }},
	{Name: "chdir", also: "-C working-dir", Arg: "DIR", path: true,
		Brief: "change to this directory first",
		Help:  "change to this directory before anything else",
		value: func(c *Config) *value { return text(&c.Chdir) }},
	{Name: "interface", Arg: "NAME", Default: "auto",
		Help: "how to call the application: paths (the PATHS of a script), wsgi, asgi, or auto: look for PATHS, " +
			"application and app, in this order, and tell WSGI from ASGI by the signature",
		value: func(c *Config) *value { return choice(&c.Interface, []string{"auto", "paths", "wsgi", "asgi"}, nil) }},
	{Name: "lifespan", also: "asgi-lifespan", Arg: "NAME", Default: "auto",
		Help: "ASGI lifespan events: on (startup fails if the application does not support them), off, or auto " +
			"(if supported)",
		value: func(c *Config) *value { return choice(&c.Lifespan, []string{"auto", "on", "off"}, nil) }},
	{Name: "loop", also: "asgi-loop", Arg: "NAME", Default: "auto",
		Help:  "event loop for async code: asyncio, uvloop, or auto: uvloop if it is installed",
		value: func(c *Config) *value { return choice(&c.Loop, []string{"auto", "asyncio", "uvloop"}, nil) }},
	{Name: "factory", also: "call",
		Help:  "APP names a function that returns the application",
		value: func(c *Config) *value { return toggle(&c.Factory, true) }},
	{Name: "pythonpath", also: "app-dir pp python-path", Arg: "DIRS", path: true,
		Help:  "directories to search for modules before PYTHONPATH; repeatable, or separated by commas",
		value: func(c *Config) *value { return texts(&c.PythonPath) }},
	{Name: "env-file", also: "env-files", Arg: "FILES", path: true,
		Help: "set the environment variables in these files (NAME=value, such as .env) before the application " +
			"loads; variables already set win, and fapws itself does not read them as settings; repeatable, or " +
			"separated by commas",
		value: func(c *Config) *value { return texts(&c.EnvFiles) }},
	{Name: "venv", also: "virtualenv", Arg: "DIR", path: true, Env: "VIRTUAL_ENV",
		Help: "use the packages of this virtual environment; default: .venv or venv next to the application or " +
			"in the working directory, if it is of the same Python version; off: none",
		value: func(c *Config) *value { return text(&c.Venv) }},
	{Name: "root-path", also: "url-prefix url-path-prefix", Arg: "PATH",
		Help: "URL path at which a proxy mounts the application; prepended to SCRIPT_NAME and stripped from " +
			"requests that include it",
		value: func(c *Config) *value { return rootPath(&c.Server.Sites.RootPath) }},
	{Name: "x-sendfile", Arg: "DIRS", path: true, Global: "X_SENDFILE",
		Help: "let the application send a file in these directories with X-Sendfile: FILE; otherwise the field " +
			"is passed on; repeatable, or separated by commas",
		value: func(c *Config) *value { return texts(&c.Server.SendfileRoots) }},
	{Name: "x-accel", Arg: "PREFIX=DIR", path: true, Global: "X_ACCEL",
		Help: "let the application send a file from DIR with X-Accel-Redirect: /PREFIX/FILE; otherwise the field " +
			"is passed on; repeatable, or separated by commas",
		value: func(c *Config) *value { return mappings(&c.Server.AccelRoots) }},
}
