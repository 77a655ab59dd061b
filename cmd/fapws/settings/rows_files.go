package settings

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
