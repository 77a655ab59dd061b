package settings

// cacheRows are about pages that are kept in memory.
func cacheRows() []*Setting {
	return []*Setting{
		{
			Name: "cache", Group: GroupFiles, Default: "no", Global: "CACHE",
			Help:  "keep the answers of applications and programs that allow it by Cache-Control or Expires, and answer them without asking again; without it only where fapws.cache.cached or a cache key of the configuration file says so",
			value: func(c *Config) value { return &toggle{&c.Cache} },
		},
		{
			Name: "cache-max-size", Group: GroupFiles, Arg: "SIZE", Default: "16M", Global: "CACHE_MAX_SIZE",
			Help:  "memory for them, in each worker; those not asked for longest go first, and none is larger than an eighth of it or 1 MiB; 0 keeps none",
			value: func(c *Config) value { return &size[int64]{&c.CacheMaxSize, 0, 1 << 50} },
		},
	}
}
