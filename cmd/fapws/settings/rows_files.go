package settings

// fileRows are about files that are served without an application: those of a
// folder in the place of APP, of --static, and of the hosts of a configuration
// file that do not say otherwise.
func fileRows() []*Setting {
	return []*Setting{
		{
			Name: "config", Short: "c", Group: GroupFiles, Arg: "FILE",
			Brief: "configuration file; fapws.toml is found by itself",
			Help:  "configuration file in TOML, with the names of flags as keys, and hosts; not given, the first of ./fapws.toml, ~/.config/fapws/fapws.toml and /etc/fapws/fapws.toml; off is none",
			value: func(c *Config) value { return &text{&c.File} },
		},
		{
			Name: "static", Group: GroupFiles, Arg: "PREFIX=DIR", path: true,
			Brief: "serve the files of DIR below PREFIX; repeatable",
			Help:  "serve the files of a folder below a path, before the application is asked: /static=./static; repeatable, or with commas",
			value: func(c *Config) value { return &mappings{&c.Static} },
		},
		{
			Name: "index", Group: GroupFiles, Arg: "NAMES", Default: "index.html,index.htm",
			Help:  "files that answer for their folder, the first that there is",
			value: func(c *Config) value { return &texts{&c.Index} },
		},
		{
			Name: "autoindex", Group: GroupFiles, Default: "no", Note: "for a folder in the place of APP yes, else no",
			Help:  "list the files of a folder without index",
			value: func(c *Config) value { return &toggle{&c.Autoindex} },
		},
		{
			Name: "spa", Group: GroupFiles, Arg: "FILE",
			Help:  "file that answers where there is none and a page is asked for, for applications of one page: index.html",
			value: func(c *Config) value { return &text{&c.SPA} },
		},
		{
			Name: "mime-types", Group: GroupFiles, Arg: "FILE", path: true,
			Help:  "types of files by extension, in the format of Apache's mime.types; they go before those built in",
			value: func(c *Config) value { return &text{&c.MimeTypes} },
		},
		{
			Name: "charset", Group: GroupFiles, Arg: "NAME", Default: "utf-8",
			Help:  "charset of text files in Content-Type; off is none",
			value: func(c *Config) value { return &text{&c.Charset} },
		},
		{
			Name: "compress", Group: GroupFiles, Default: "yes",
			Help:  "compress files that get smaller by it, for clients that take zstd or gzip; --compress=no does not",
			value: func(c *Config) value { return &toggle{&c.Compress} },
		},
		{
			Name: "expires", Group: GroupFiles, Arg: "PATTERN=TIME",
			Help:  "how long clients may reuse files without asking, the first pattern that fits: *.css=30d, *=1h; TIME takes s, m, h, d, w, y, or is immutable, no-cache, no-store or off; repeatable, or with commas",
			value: func(c *Config) value { return &expiries{&c.Expires} },
		},
		{
			Name: "ssi", Group: GroupFiles, Default: "no",
			Help:  "carry out the elements of pages called *.shtml (server-side includes, as Apache's mod_include)",
			value: func(c *Config) value { return &toggle{&c.SSI} },
		},
		{
			Name: "symlinks", Group: GroupFiles, Arg: "WHICH", Default: "inside",
			Help:  "symbolic links that are followed: inside are those that stay in the folder, owner those of them whose target has the same owner, no is none",
			value: func(c *Config) value { return &choice{&c.Symlinks, SymlinkPolicies} },
		},
		{
			Name: "dotfiles", Group: GroupFiles, Default: "no",
			Help:  "serve and list files whose names begin with a dot, too; those below /.well-known always are",
			value: func(c *Config) value { return &toggle{&c.DotFiles} },
		},
		{
			Name: "cache-files-max", Group: GroupFiles, Arg: "SIZE", Default: "16M",
			Help:  "memory for small files, compressed ones and listings, for each folder in each worker; 0 keeps none, and compresses none",
			value: func(c *Config) value { return &size[int64]{&c.CacheFilesMax, 0, 1 << 40} },
		},
	}
}
