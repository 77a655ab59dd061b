package settings

import "time"

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

// fileRows are about files that are served without an application: those of a
// folder in the place of APP, of --static, and of the hosts of a configuration
// file that do not say otherwise.
func fileRows() []*Setting {
	return []*Setting{
		{
			Name: "config", Short: "c", Group: GroupFiles, Arg: "FILE",
			Brief: "configuration file; ./fapws.toml is found by default",
			Help:  "configuration file (TOML): keys are flag names, plus hosts; default: the first of ./fapws.toml, ~/.config/fapws/fapws.toml and, without APP, /etc/fapws/fapws.toml; off: no file",
			value: func(c *Config) value { return &text{&c.File} },
		},
		{
			Name: "static", Aliases: []string{"static-map"}, Group: GroupFiles, Arg: "PREFIX=DIR", path: true,
			Brief: "serve the files of DIR under PREFIX; repeatable",
			Help:  "serve the files of a directory under a URL prefix before the application: /static=./static; repeatable, or separated by commas",
			value: func(c *Config) value { return &mappings{&c.Static} },
		},
		{
			Name: "index", Group: GroupFiles, Arg: "NAMES", Default: "index.html,index.htm",
			Help:  "index files of a directory; the first one found is served",
			value: func(c *Config) value { return &texts{&c.Index} },
		},
		{
			Name: "autoindex", Group: GroupFiles, Default: "no", Note: "yes if APP is a directory, otherwise no",
			Help:  "list directories that have no index file",
			value: func(c *Config) value { return &toggle{&c.Autoindex} },
		},
		{
			Name: "spa", Group: GroupFiles, Arg: "FILE",
			Help:  "fallback file for page requests that match no file (single-page applications): index.html",
			value: func(c *Config) value { return &text{&c.SPA} },
		},
		{
			Name: "mime-types", Group: GroupFiles, Arg: "FILE", path: true,
			Help:  "file of media types by extension, in the format of Apache's mime.types; overrides the built-in types",
			value: func(c *Config) value { return &text{&c.MimeTypes} },
		},
		{
			Name: "charset", Group: GroupFiles, Arg: "NAME", Default: "utf-8",
			Help:  "charset of text files in Content-Type; off omits it",
			value: func(c *Config) value { return &text{&c.Charset} },
		},
		{
			Name: "compress", Group: GroupFiles, Default: "yes",
			Help:  "compress files with zstd or gzip for clients that accept it, if that makes them smaller; --no-compress disables it",
			value: func(c *Config) value { return &toggle{&c.Compress} },
		},
		{
			Name: "expires", Group: GroupFiles, Arg: "PATTERN=TIME",
			Help:  "how long clients may cache files; the first matching pattern applies: *.css=30d, *=1h; TIME takes s, m, h, d, w, y, or is immutable, no-cache, no-store or off; repeatable, or separated by commas",
			value: func(c *Config) value { return &expiries{&c.Expires} },
		},
		{
			Name: "ssi", Group: GroupFiles, Default: "no",
			Help:  "process server-side includes in *.shtml files, as Apache's mod_include does",
			value: func(c *Config) value { return &toggle{&c.SSI} },
		},
		{
			Name: "symlinks", Group: GroupFiles, Arg: "WHICH", Default: "inside",
			Help:  "symbolic links to follow: inside (target in the same directory tree), owner (inside, and the target has the same owner), or no",
			value: func(c *Config) value { return &choice{&c.Symlinks, SymlinkPolicies} },
		},
		{
			Name: "dotfiles", Group: GroupFiles, Default: "no",
			Help:  "serve and list files whose names begin with a dot; /.well-known is always served",
			value: func(c *Config) value { return &toggle{&c.DotFiles} },
		},
		{
			Name: "expose", Group: GroupFiles, Arg: "PATTERNS",
			Help:  "serve files of these names (*.py, *.db), although they look like sources, backups (*~, *.bak), databases (*.db, *.sqlite3, *.sql) or keys (*.key, *.secret), which are hidden; logs, passwords, the configuration file and scripts stay hidden",
			value: func(c *Config) value { return &texts{&c.Expose} },
		},
		{
			Name: "cache-files-max", Group: GroupFiles, Arg: "SIZE", Default: "16M",
			Help:  "memory for small files, compressed files and listings, per directory and worker; 0 disables this cache and compression",
			value: func(c *Config) value { return &size[int64]{&c.CacheFilesMax, 0, 1 << 40} },
		},
	}
}

// cacheRows are about pages that are kept in memory.
func cacheRows() []*Setting {
	return []*Setting{
		{
			Name: "cache", Group: GroupFiles, Default: "no", Global: "CACHE",
			Help:  `cache responses whose Cache-Control or Expires allows it; without this flag, only responses selected by fapws.cache.cached or a "cache" key`,
			value: func(c *Config) value { return &toggle{&c.Cache} },
		},
		{
			Name: "cache-max-size", Group: GroupFiles, Arg: "SIZE", Default: "16M", Global: "CACHE_MAX_SIZE",
			Help:  "cache size per worker; least recently used entries are evicted first, and one entry may use an eighth of it, up to 1 MiB; 0 disables the cache",
			value: func(c *Config) value { return &size[int64]{&c.CacheMaxSize, 0, 1 << 50} },
		},
	}
}

func loginRows() []*Setting {
	return []*Setting{
		{
			Name: "login", Group: GroupAddress, Arg: "FILE", path: true,
			Help:  "require users of this file to log in by a form, for everything but hosts and routes that say otherwise; fapws user add makes users, or the browser the first one, with a code that the log shows",
			value: func(c *Config) value { return &text{&c.LoginUsers} },
		},
		{
			Name: "login-idle", Group: GroupAddress, Arg: "TIME", Default: "30m",
			Help:  "a session of login ends when it was not used for this time",
			value: func(c *Config) value { return &duration{&c.LoginIdle, time.Second} },
		},
		{
			Name: "login-age", Group: GroupAddress, Arg: "TIME", Default: "12h",
			Help:  "a session of login ends after this time, even if it is used",
			value: func(c *Config) value { return &duration{&c.LoginAge, time.Second} },
		},
	}
}
