package settings

import "time"

func processRows() []*Setting {
	return []*Setting{
		{
			Name: "workers", Short: "w", Group: GroupProcesses, Arg: "N", Default: "1", Env: "WEB_CONCURRENCY",
			Brief: "processes under a supervisor; 0 is one per core",
			Help:  "worker processes under a supervisor that replaces what dies, reloads on HUP and upgrades on USR2; 0 is one per core; without this flag, one process without supervisor",
			value: func(c *Config) value { return &count{&c.Workers, 0, 512} },
		},
		{
			Name: "max-requests", Group: GroupProcesses, Arg: "N", Default: "0",
			Help:  "replace a worker after so many requests; 0 is never",
			value: func(c *Config) value { return &count{&c.MaxRequests, 0, 1 << 30} },
		},
		{
			Name: "max-requests-jitter", Group: GroupProcesses, Arg: "N", Default: "0",
			Help:  "add up to so many to max-requests, by chance, so that workers are not replaced together",
			value: func(c *Config) value { return &count{&c.MaxRequestsJitter, 0, 1 << 30} },
		},
		{
			Name: "max-rss", Group: GroupProcesses, Arg: "SIZE", Default: "0",
			Help:  "replace a worker that has more memory than this; 0 is any",
			value: func(c *Config) value { return &size[int64]{&c.MaxRSS, 0, 1 << 50} },
		},
		{
			Name: "reload", Group: GroupProcesses,
			Brief: "reload the application when its files change",
			Help:  "reload when a file of the application changes; new code that fails leaves the old one serving",
			value: func(c *Config) value { return &toggle{&c.Reload} },
		},
		{
			Name: "reload-dir", Group: GroupProcesses, Arg: "DIRS", path: true,
			Help:  "folders to watch for reload, with those below; repeatable, or with commas; not given, that of the script, or for a module the working directory",
			value: func(c *Config) value { return &texts{&c.ReloadDirs} },
		},
		{
			Name: "reload-include", Group: GroupProcesses, Arg: "PATTERNS",
			Help:  "files to watch for reload besides *.py: patterns such as *.html or templates/*.txt, or paths; repeatable, or with commas",
			value: func(c *Config) value { return &texts{&c.ReloadInclude} },
		},
		{
			Name: "reload-exclude", Group: GroupProcesses, Arg: "PATTERNS",
			Help:  "files and folders not to watch for reload, besides .*, *~, __pycache__, node_modules and virtual environments; repeatable, or with commas",
			value: func(c *Config) value { return &texts{&c.ReloadExclude} },
		},
		{
			Name: "reload-check", Group: GroupProcesses, Arg: "PATH",
			Help:  "a new worker has to answer GET PATH with a status below 400 before it serves; /path, or http://host/path for an application that looks at Host",
			value: func(c *Config) value { return &checkTarget{&c.ReloadCheck} },
		},
		{
			Name: "dev", Group: GroupProcesses,
			Brief: "reload, tracebacks in the browser; on 127.0.0.1 only",
			Help:  "for development: as --reload, also when a template such as *.html or *.jinja2 changes, with tracebacks in the browser, also of code that does not load, and requests in the log; on 127.0.0.1:8888 if no address is given, and on no address that others reach",
			value: func(c *Config) value { return &toggle{&c.Dev} },
		},
		{
			Name: "dev-anywhere", Group: GroupProcesses,
			Help:  "allow dev on any address: who reaches it sees your source code",
			value: func(c *Config) value { return &toggle{&c.DevAnywhere} },
		},
		{
			Name: "user", Short: "u", Group: GroupProcesses, Arg: "USER",
			Brief: "run as this user after binding as root",
			Help:  "run as this user, by name or number, after the addresses were bound as root; the application never runs as root",
			value: func(c *Config) value { return &text{&c.User} },
		},
		{
			Name: "group", Short: "g", Group: GroupProcesses, Arg: "GROUP",
			Help:  "run with this group; not given, those of the user, or 65534 for a number that is no known user",
			value: func(c *Config) value { return &text{&c.Group} },
		},
		{
			Name: "chroot", Group: GroupProcesses, Arg: "DIR", path: true,
			Help:  "make this folder the root directory of each worker when it has loaded the application; needs root, and user; all that is opened or imported later has to lie below it, and has the same path there",
			value: func(c *Config) value { return &text{&c.Chroot} },
		},
		{
			Name: "allow-root", Group: GroupProcesses,
			Help:  "serve as root; without it, root has to name a user",
			value: func(c *Config) value { return &toggle{&c.AllowRoot} },
		},
		{
			Name: "umask", Short: "m", Group: GroupProcesses, Arg: "MODE", Default: "none", Note: "as it was started",
			Help:  "file mode mask, in octal: 027",
			value: func(c *Config) value { return &octal{&c.Umask} },
		},
		{
			Name: "pid", Short: "p", Aliases: []string{"pidfile"}, Group: GroupProcesses, Arg: "FILE", path: true,
			Help:  "write the number of the process that takes signals to this file, which is removed at the end",
			value: func(c *Config) value { return &text{&c.PidFile} },
		},
		{
			Name: "ctl-socket", Group: GroupProcesses, Arg: "FILE", Default: "auto", path: true,
			Help:  "socket for fapws ctl; auto is one for each server in a folder of the user's own, off is none",
			value: func(c *Config) value { return &text{&c.ControlSocket} },
		},
		{
			Name: "load-timeout", Group: GroupProcesses, Arg: "TIME", Default: "60s",
			Help:  "longest time a new worker may take to load the application",
			value: func(c *Config) value { return &duration{&c.LoadTimeout, time.Millisecond} },
		},
	}
}
