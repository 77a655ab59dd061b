package settings

func http2Rows() []*Setting {
	return []*Setting{
		{
			Name: "http2", Group: GroupAddress, Default: "yes",
			Help:  "offer HTTP/2 to clients with TLS; --no-http2 leaves them HTTP/1.1",
			value: func(c *Config) value { return &toggle{&c.HTTP2} },
		},
		{
			Name: "h2c", Aliases: []string{"http2-cleartext"}, Group: GroupAddress, Global: "H2C",
			Help:  "serve HTTP/2 without TLS to clients that start with it (prior knowledge), such as proxies and load balancers; other clients get HTTP/1",
			value: func(c *Config) value { return &toggle{&c.H2C} },
		},
		{
			Name: "http2-max-streams", Aliases: []string{"http2-max-concurrent-streams"}, Group: GroupLimits, Arg: "N", Default: "128", Global: "HTTP2_MAX_STREAMS",
			Help:  "maximum number of active requests of an HTTP/2 connection; further requests are refused, and clients may retry them",
			value: func(c *Config) value { return &count{&c.HTTP2MaxStreams, 1, 10000} },
		},
		{
			Name: "http2-max-resets", Group: GroupLimits, Arg: "N", Default: "1000", Global: "HTTP2_MAX_RESETS",
			Help:  "requests that an HTTP/2 client may cancel in a row, and 3 % of this number more each second; pings, settings and other frames that carry no request count as up to one reset each; a client that exceeds it is disconnected",
			value: func(c *Config) value { return &count{&c.HTTP2MaxResets, 10, 1000000} },
		},
		{
			Name: "http2-max-window", Group: GroupLimits, Arg: "SIZE", Default: "256K", Global: "HTTP2_MAX_WINDOW",
			Help:  "maximum amount of request data that an HTTP/2 client may send ahead of an application that takes it as it arrives (ASGI, WebSockets, proxies), for each active request; the first 64 KiB are always allowed",
			value: func(c *Config) value { return &size[int]{&c.HTTP2MaxWindow, 64 << 10, 1 << 30} },
		},
		{
			Name: "http2-connection-window", Aliases: []string{"http2-initial-connection-window-size"}, Group: GroupLimits, Arg: "SIZE", Default: "8M", Global: "HTTP2_CONNECTION_WINDOW",
			Help:  "maximum amount of request data that an HTTP/2 client may send ahead of the application on all requests of a connection together; with less than 64K for each of http2-max-streams, requests that wait for the application can hold up others of their connection; request bodies that are not streamed stay in memory up to an eighth of it, further ones are stored in files; all connections of a client address together get up to four times this, and all clients twelve times, above 64K for each connection",
			value: func(c *Config) value { return &size[int]{&c.HTTP2ConnectionWindow, 64 << 10, 1 << 30} },
		},
	}
}
