package settings

func http2Rows() []*Setting {
	return []*Setting{
		{
			Name: "h2c", Aliases: []string{"http2-cleartext"}, Group: GroupAddress, Global: "H2C",
			Help:  "serve HTTP/2 without TLS to clients that start with it (prior knowledge), such as proxies and load balancers; other clients get HTTP/1",
			value: func(c *Config) value { return &toggle{&c.H2C} },
		},
		{
			Name: "http2-max-streams", Group: GroupLimits, Arg: "N", Default: "128", Global: "HTTP2_MAX_STREAMS",
			Help:  "maximum number of active requests of an HTTP/2 connection; further requests are refused, and clients may retry them",
			value: func(c *Config) value { return &count{&c.HTTP2MaxStreams, 1, 10000} },
		},
	}
}
