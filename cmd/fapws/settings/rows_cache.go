package settings

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
