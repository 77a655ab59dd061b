package settings

func appRows() []*Setting {
	return []*Setting{
		{
			Name: "threads", Aliases: []string{"blocking-threads"}, Group: GroupPython, Arg: "N", Default: "8", Global: "THREADS",
			Brief: "maximum Python threads; 0: handlers on the event loop, where a slow handler blocks the server",
			Help:  "maximum number of Python handler threads, started on demand; 0 runs handlers inline on the event loop: lowest latency and memory, but a slow handler blocks the server",
			value: func(c *Config) value { return &count{&c.Threads, 0, 256} },
		},
		{
			Name: "max-queue", Aliases: []string{"queue"}, Group: GroupPython, Arg: "N", Default: "2048", Global: "MAX_QUEUE",
			Help:  "maximum number of requests waiting for a thread; further requests get 503",
			value: func(c *Config) value { return &count{&c.MaxQueue, 1, 1 << 20} },
		},
		{
			Name: "chdir", Short: "C", Aliases: []string{"working-dir"}, Group: GroupPython, Arg: "DIR", path: true,
			Brief: "change to this directory first",
			Help:  "change to this directory before anything else",
			value: func(c *Config) value { return &text{&c.Chdir} },
		},
		{
			Name: "interface", Group: GroupPython, Arg: "NAME", Default: "auto",
			Help:  "how to call the application: paths (the PATHS of a script), wsgi, asgi, or auto: look for PATHS, application and app, in this order, and tell WSGI from ASGI by the signature",
			value: func(c *Config) value { return &choice{&c.Interface, Interfaces} },
		},
		{
			Name: "lifespan", Group: GroupPython, Arg: "NAME", Default: "auto",
			Help:  "ASGI lifespan events: on (startup fails if the application does not support them), off, or auto (if supported)",
			value: func(c *Config) value { return &choice{&c.Lifespan, Lifespans} },
		},
		{
			Name: "loop", Group: GroupPython, Arg: "NAME", Default: "auto",
			Help:  "event loop for async code: asyncio, uvloop, or auto: uvloop if it is installed",
			value: func(c *Config) value { return &choice{&c.Loop, Loops} },
		},
		{
			Name: "factory", Aliases: []string{"call"}, Group: GroupPython,
			Help:  "APP names a function that returns the application",
			value: func(c *Config) value { return &toggle{&c.Factory} },
		},
		{
			Name: "pythonpath", Aliases: []string{"app-dir"}, Group: GroupPython, Arg: "DIRS", path: true,
			Help:  "directories to search for modules before PYTHONPATH; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.PythonPath} },
		},
		{
			Name: "env-file", Aliases: []string{"env-files"}, Group: GroupPython, Arg: "FILES", path: true,
			Help:  "set the environment variables in these files (NAME=value, such as .env) before the application loads; variables already set win, and fapws itself does not read them as settings; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.EnvFiles} },
		},
		{
			Name: "venv", Aliases: []string{"virtualenv"}, Group: GroupPython, Arg: "DIR", Env: "VIRTUAL_ENV", path: true,
			Help:  "use the packages of this virtual environment; default: .venv or venv next to the application or in the working directory, if it is of the same Python version; off: none",
			value: func(c *Config) value { return &text{&c.Venv} },
		},
		{
			Name: "root-path", Aliases: []string{"url-prefix", "url-path-prefix"}, Group: GroupPython, Arg: "PATH",
			Help:  "URL path at which a proxy mounts the application; prepended to SCRIPT_NAME and stripped from requests that include it",
			value: func(c *Config) value { return &rootPath{&c.RootPath} },
		},
		{
			Name: "x-sendfile", Group: GroupPython, Arg: "DIRS", Global: "X_SENDFILE", path: true,
			Help:  "let the application send a file in these directories with X-Sendfile: FILE; otherwise the field is passed on; repeatable, or separated by commas",
			value: func(c *Config) value { return &texts{&c.SendfileRoots} },
		},
		{
			Name: "x-accel", Group: GroupPython, Arg: "PREFIX=DIR", Global: "X_ACCEL", path: true,
			Help:  "let the application send a file from DIR with X-Accel-Redirect: /PREFIX/FILE; otherwise the field is passed on; repeatable, or separated by commas",
			value: func(c *Config) value { return &mappings{&c.AccelRoots} },
		},
	}
}
