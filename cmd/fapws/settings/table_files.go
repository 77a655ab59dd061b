package settings

func filesSettings(c *Config) []*Setting {
	return []*Setting{
		{Name: "config", also: "-c", Arg: "FILE", Brief: "configuration file; ./fapws.toml is found by default",
			value: text(&c.File)},
		{Name: "static", also: "static-map", Arg: "PREFIX=DIR", path: true,
			Brief: "serve the files of DIR under PREFIX; repeatable", value: mappings(&c.Static)},
		{Name: "index", also: "static-path-dir-to-file", Arg: "NAMES", Default: "index.html,index.htm",
			value: option(c, "index")},
		{Name: "autoindex", also: "browse list", Default: "no", Note: "yes if APP is a directory, otherwise no",
			value: option(c, "autoindex")},
		{Name: "spa", Arg: "FILE", value: option(c, "spa")},
		{Name: "expires", Arg: "PATTERN=TIME", value: option(c, "expires")},
		{Name: "dotfiles", Default: "no", value: option(c, "dotfiles")},
		{Name: "symlinks", Arg: "WHICH", Default: "inside", value: option(c, "symlinks")},
		{Name: "mime-types", Arg: "FILE", path: true, value: option(c, "mime-types")},
		{Name: "charset", Arg: "NAME", Default: "utf-8", value: option(c, "charset")},
		{Name: "compress", Default: "yes", value: option(c, "compress")},
		{Name: "expose", Arg: "PATTERNS", value: option(c, "expose")},
		{Name: "cache-files-max", Default: "16M", value: option(c, "cache-files-max")},
		{Name: "ssi", Default: "no", value: toggle(&c.SSI, true)},
		{Name: "cache", Default: "no", script: true, value: toggle(&c.Cache, true)},
		{Name: "cache-max-size", Default: "16M", script: true, value: size(&c.Server.CacheSize, 0, 1024<<40)},
	}
}
