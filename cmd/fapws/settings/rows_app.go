package settings

func appRows() []*Setting {
	return []*Setting{
		{
			Name: "threads", Short: "t", Group: GroupPython, Arg: "N", Default: "8", Global: "THREADS",
			Brief: "most Python threads; 0 is inline, on the event loop: fastest, but a slow handler stops everything",
			Help:  "most Python threads that run handlers, started when needed; 0 runs them inline, on the event loop: least latency and memory, but a slow handler then stops everything",
			value: func(c *Config) value { return &count{&c.Threads, 0, 256} },
		},
		{
			Name: "max-queue", Aliases: []string{"queue"}, Group: GroupPython, Arg: "N", Default: "2048", Global: "MAX_QUEUE",
			Help:  "requests that may wait for a thread; one more is answered 503",
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
			Help:  "what to serve: paths is the PATHS of a script, wsgi or asgi an application; auto looks for PATHS, application and app, in this order, and tells WSGI from ASGI by their arguments",
			value: func(c *Config) value { return &choice{&c.Interface, Interfaces} },
		},
		{
			Name: "lifespan", Group: GroupPython, Arg: "NAME", Default: "auto",
			Help:  "whether ASGI applications are told of startup and shutdown: on (one that cannot be told does not start), off, or auto, where it can be",
			value: func(c *Config) value { return &choice{&c.Lifespan, Lifespans} },
		},
		{
			Name: "loop", Group: GroupPython, Arg: "NAME", Default: "auto",
			Help:  "event loop of async code: asyncio, uvloop, or auto, which is uvloop if it is installed",
			value: func(c *Config) value { return &choice{&c.Loop, Loops} },
		},
		{
			Name: "factory", Aliases: []string{"call"}, Group: GroupPython,
			Help:  "what APP names is a function that returns the application",
			value: func(c *Config) value { return &toggle{&c.Factory} },
		},
		{
			Name: "pythonpath", Group: GroupPython, Arg: "DIRS", path: true,
			Help:  "folders to look for modules in, before those of PYTHONPATH; repeatable, or with commas",
			value: func(c *Config) value { return &texts{&c.PythonPath} },
		},
		{
			Name: "venv", Group: GroupPython, Arg: "DIR", Env: "VIRTUAL_ENV", path: true,
			Help:  "use the packages of this virtual environment",
			value: func(c *Config) value { return &text{&c.Venv} },
		},
		{
			Name: "root-path", Group: GroupPython, Arg: "PATH",
			Help:  "path below which a proxy serves the application: put before SCRIPT_NAME, and taken off requests that have it",
			value: func(c *Config) value { return &rootPath{&c.RootPath} },
		},
		{
			Name: "x-sendfile", Group: GroupPython, Arg: "DIRS", Global: "X_SENDFILE", path: true,
			Help:  "when the application answers with X-Sendfile: FILE, send that file if it is in one of these folders, instead of passing the field on; repeatable, or with commas",
			value: func(c *Config) value { return &texts{&c.SendfileRoots} },
		},
		{
			Name: "x-accel", Group: GroupPython, Arg: "PREFIX=DIR", Global: "X_ACCEL", path: true,
			Help:  "when the application answers with X-Accel-Redirect: /PREFIX/FILE, send the file from that folder, instead of passing the field on; repeatable, or with commas",
			value: func(c *Config) value { return &mappings{&c.AccelRoots} },
		},
	}
}
