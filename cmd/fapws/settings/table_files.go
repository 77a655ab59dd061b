package settings

var filesSettings = []*Setting{
	{Name: "config", also: "-c", Arg: "FILE",
		Brief: "configuration file; ./fapws.toml is found by default",
		Help: "configuration file (TOML): keys are flag names, plus hosts; default: the first of ./fapws.toml, " +
			"~/.config/fapws/fapws.toml and, without APP, /etc/fapws/fapws.toml; off: no file",
		value: func(c *Config) *value { return text(&c.File) }},
	{Name: "static", also: "static-map", Arg: "PREFIX=DIR", path: true,
		Brief: "serve the files of DIR under PREFIX; repeatable",
		Help: "serve the files of a directory under a URL prefix before the application: /static=./static; " +
			"repeatable, or separated by commas",
		value: func(c *Config) *value { return mappings(&c.Static) }},
	{Name: "index", also: "static-path-dir-to-file", Arg: "NAMES", Default: "index.html,index.htm",
		Help:  "index files of a directory; the first one found is served",
		value: option("index")},
	{Name: "autoindex", also: "browse list", Default: "no", Note: "yes if APP is a directory, otherwise no",
		Help:  "list directories that have no index file",
		value: option("autoindex")},
	{Name: "spa", Arg: "FILE",
		Help:  "fallback file for page requests that match no file (single-page applications): index.html",
		value: option("spa")},
	{Name: "expires", Arg: "PATTERN=TIME",
		Help: "how long clients may cache files; the first matching pattern applies: *.css=30d, *=1h; TIME takes " +
			"s, m, h, d, w, y, or is immutable, no-cache, no-store or off; repeatable, or separated by commas",
		value: option("expires")},
	{Name: "dotfiles", Default: "no",
		Help:  "serve and list files whose names begin with a dot; /.well-known is always served",
		value: option("dotfiles")},
	{Name: "symlinks", Arg: "WHICH", Default: "inside",
		Help: "symbolic links to follow: inside (target in the same directory tree), owner (inside, and the " +
			"target has the same owner), or no",
		value: option("symlinks")},
	{Name: "mime-types", Arg: "FILE", path: true,
		Help: "file of media types by extension, in the format of Apache's mime.types; overrides the built-in " +
			"types",
		value: option("mime-types")},
	{Name: "charset", Arg: "NAME", Default: "utf-8",
		Help:  "charset of text files in Content-Type; off omits it",
		value: option("charset")},
	{Name: "compress", Default: "yes",
		Help: "compress files, and responses of applications, upstreams and programs, with zstd or gzip for " +
			"clients that accept it, if that makes them smaller; --no-compress disables it",
		value: option("compress")},
	{Name: "expose", Arg: "PATTERNS",
		Help: "serve files of these names (*.py, *.db), although they look like sources, backups (*~, *.bak), " +
			"databases (*.db, *.sqlite3, *.sql) or keys (*.key, *.secret), which are hidden; logs, passwords, " +
			"the configuration file and scripts stay hidden",
		value: option("expose")},
	{Name: "cache-files-max", Default: "16M",
		Help: "memory for small files, compressed files and listings, per directory and worker; 0 disables this " +
			"cache and compression",
		value: option("cache-files-max")},
	{Name: "ssi", Default: "no",
		Help:  "process server-side includes in *.shtml files, as Apache's mod_include does",
		value: func(c *Config) *value { return toggle(&c.SSI, true) }},
	{Name: "cache", Default: "no", Global: "CACHE",
		Help: "cache responses whose Cache-Control or Expires allows it; without this flag, only responses " +
			"selected by fapws.cache.cached or a \"cache\" key",
		value: func(c *Config) *value { return toggle(&c.Cache, true) }},
	{Name: "cache-max-size", Default: "16M", Global: "CACHE_MAX_SIZE",
		Help: "cache size per worker; least recently used entries are evicted first, and one entry may use an " +
			"eighth of it, up to 1 MiB; 0 disables the cache",
		value: func(c *Config) *value { return size(&c.Server.CacheSize, 0, 1024<<40) }},
}
