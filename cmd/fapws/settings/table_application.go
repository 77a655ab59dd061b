package settings

func applicationSettings(c *Config) []*Setting {
	return []*Setting{
		{Name: "threads", also: "blocking-threads", Default: "8", script: true,
			Brief: "maximum Python threads; 0: handlers on the event loop, where a slow handler blocks the server",
			value: count(&c.Threads, 0, 256)},
		{Name: "max-queue", also: "queue", Default: "2048", script: true, value: count(&c.MaxQueue, 1, 1<<20)},
		{Name: "chdir", also: "-C working-dir", Arg: "DIR", path: true, Brief: "change to this directory first",
			value: text(&c.Chdir)},
		{Name: "interface", Arg: "NAME", Default: "auto",
			value: choice(&c.Interface, []string{"auto", "paths", "wsgi", "asgi"}, nil)},
		{Name: "lifespan", also: "asgi-lifespan", Arg: "NAME", Default: "auto",
			value: choice(&c.Lifespan, []string{"auto", "on", "off"}, nil)},
		{Name: "loop", also: "asgi-loop", Arg: "NAME", Default: "auto",
			value: choice(&c.Loop, []string{"auto", "asyncio", "uvloop"}, nil)},
		{Name: "factory", also: "call", value: toggle(&c.Factory, true)},
		{Name: "pythonpath", also: "app-dir pp python-path", Arg: "DIRS", path: true, value: texts(&c.PythonPath)},
		{Name: "env-file", also: "env-files", Arg: "FILES", path: true, value: texts(&c.EnvFiles)},
		{Name: "venv", also: "virtualenv", Arg: "DIR", path: true, Env: "VIRTUAL_ENV", value: text(&c.Venv)},
		{Name: "root-path", also: "url-prefix url-path-prefix", Arg: "PATH", value: rootPath(&c.Server.Sites.RootPath)},
		{Name: "x-sendfile", Arg: "DIRS", path: true, script: true, value: texts(&c.Server.SendfileRoots)},
		{Name: "x-accel", Arg: "PREFIX=DIR", path: true, script: true, value: mappings(&c.Server.AccelRoots)},
	}
}
