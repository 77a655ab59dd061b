package settings

var limitsSettings = []*Setting{
	{Name: "max-clients", also: "limit-concurrency worker-connections connection-limit",
		Note: "limited by open files", Global: "MAX_CLIENTS",
		Brief: "maximum open connections; further clients wait",
		Help:  "maximum number of open connections; see max-clients-action",
		value: func(c *Config) *value { return count(&c.Server.Accept.MaxClients, 1, 1<<30) }},
	{Name: "max-clients-action", Arg: "WHAT", Default: "wait", Global: "MAX_CLIENTS_ACTION",
		Help:  "at the limit, let new clients wait in the listen queue (wait) or reject them with 503 (503)",
		value: func(c *Config) *value { return oneOf(&c.Server.Accept.Refuse, []string{"wait", "503"}, false, true) }},
	{Name: "max-clients-per-address", Default: "0", Global: "MAX_CLIENTS_PER_ADDRESS",
		Help: "maximum number of open connections of a client address, of IPv6 of a /64, in each worker; further " +
			"connections get 503; trusted proxies have no limit; 0: no limit",
		value: func(c *Config) *value { return count(&c.Server.Accept.MaxPerAddress, 0, 1<<30) }},
	{Name: "max-body-size", also: "max-request-body-size", Note: "10M or 1G", Global: "MAX_BODY_SIZE",
		Brief: "maximum request body, otherwise 413",
		Help: "maximum size of a request body; larger bodies get 413; without it, 10M, for a WSGI application 1G " +
			"and a quarter of the free space where bodies are stored (TMPDIR), and no limit for an ASGI " +
			"application",
		value: func(c *Config) *value { return size(&c.Server.Sites.MaxBodySize, 1, 1024<<40) }},
	{Name: "max-unsent", Default: "0", Global: "MAX_UNSENT",
		Help: "maximum memory of responses that wait for slow clients, per worker; the largest does not count, " +
			"and beyond it responses end whose clients read least for their size; 0: a quarter of the " +
			"available memory, divided by the workers",
		value: func(c *Config) *value { return size(&c.Server.MaxUnsent, 0, 1024<<40) }},
	{Name: "max-cgi", Default: "16", Global: "MAX_CGI",
		Help: "maximum number of CGI programs running at once per worker; 256 requests may wait for one, further " +
			"requests get 503",
		value: func(c *Config) *value { return count(&c.MaxCGI, 1, 10000) }},
	{Name: "limit-request-line", Default: "8K", Global: "LIMIT_REQUEST_LINE",
		Help:  "maximum length of the request line, otherwise 414",
		value: func(c *Config) *value { return size(&c.Server.Sites.Limits.RequestLine, 64, 1<<20) }},
	{Name: "limit-request-field-size", Default: "32K", Global: "LIMIT_REQUEST_FIELD_SIZE",
		Help:  "maximum length of a header field, otherwise 431",
		value: func(c *Config) *value { return size(&c.Server.Sites.Limits.FieldLine, 64, 1<<20) }},
	{Name: "limit-request-head", also: "max-request-header-size", Default: "64K",
		Global: "LIMIT_REQUEST_HEAD",
		Help:   "maximum length of the request line and all header fields, otherwise 431",
		value:  func(c *Config) *value { return size(&c.Server.Sites.Limits.Head, 256, 4<<20) }},
	{Name: "limit-request-fields", Default: "100", Global: "LIMIT_REQUEST_FIELDS",
		Help:  "maximum number of header fields, otherwise 431",
		value: func(c *Config) *value { return count(&c.Server.Sites.Limits.Fields, 1, 10000) }},
	{Name: "http2-max-streams", also: "http2-max-concurrent-streams", Default: "128",
		Global: "HTTP2_MAX_STREAMS",
		Help: "maximum number of active requests of an HTTP/2 connection; further requests are refused, and " +
			"clients may retry them",
		value: func(c *Config) *value { return count(&c.Server.HTTP2.MaxStreams, 1, 10000) }},
	{Name: "http2-max-resets", Default: "1000", Global: "HTTP2_MAX_RESETS",
		Help: "requests that an HTTP/2 client may cancel in a row, and 3 % of this number more each second; " +
			"pings, settings and other frames that carry no request count as up to one reset each; a client " +
			"that exceeds it is disconnected",
		value: func(c *Config) *value { return count(&c.Server.HTTP2.MaxResets, 10, 1000000) }},
	{Name: "http2-max-window", Default: "256K", Global: "HTTP2_MAX_WINDOW",
		Help: "maximum amount of request data that an HTTP/2 client may send ahead of an application that takes " +
			"it as it arrives (ASGI, WebSockets, proxies), for each active request; the first 64 KiB are " +
			"always allowed",
		value: func(c *Config) *value { return size(&c.Server.HTTP2.MaxWindow, 64<<10, 1<<30) }},
	{Name: "http2-connection-window", also: "http2-initial-connection-window-size", Default: "8M",
		Global: "HTTP2_CONNECTION_WINDOW",
		Help: "maximum amount of request data that an HTTP/2 client may send ahead of the application on all " +
			"requests of a connection together; with less than 64K for each of http2-max-streams, requests " +
			"that wait for the application can hold up others of their connection; request bodies that are not " +
			"streamed stay in memory up to an eighth of it, further ones are stored in files; all connections " +
			"of a client address together get up to four times this, and all clients twelve times, above 64K " +
			"for each connection",
		value: func(c *Config) *value { return size(&c.Server.HTTP2.ConnectionWindow, 64<<10, 1<<30) }},
	{Name: "ws-max-size", also: "websocket-max-message-size", Default: "16M", Global: "WS_MAX_SIZE",
		Help: "maximum size of a WebSocket message after decompression; a larger one closes the connection with " +
			"1009",
		value: func(c *Config) *value { return size(&c.Server.WebSockets.MaxSize, 1, 1<<30) }},
	{Name: "ws-per-message-deflate", Default: "yes", Global: "WS_PER_MESSAGE_DEFLATE",
		Help:  "compress WebSocket messages for clients that ask for it (permessage-deflate)",
		value: func(c *Config) *value { return toggle(&c.Server.WebSockets.NoDeflate, false) }},
	{Name: "channel-subscribers", Default: "100000", Global: "CHANNEL_SUBSCRIBERS",
		Help:  "maximum number of subscribers of one channel per worker; further subscribers get 503",
		value: func(c *Config) *value { return count(&c.Server.Channels.Subscribers, 1, 1<<30) }},
	{Name: "channel-subscribers-per-address", Default: "256", Global: "CHANNEL_SUBSCRIBERS_PER_ADDRESS",
		Help: "maximum number of subscribers from one address (IPv6: one /64 network) per worker; further " +
			"subscribers get 503",
		value: func(c *Config) *value { return count(&c.Server.Channels.PerAddress, 1, 1<<30) }},
	{Name: "channel-buffer", Default: "64K", Global: "CHANNEL_BUFFER",
		Help:  "event data queued for a slow subscriber; a subscriber that exceeds it is disconnected",
		value: func(c *Config) *value { return size(&c.Server.Channels.Buffer, 4<<10, 64<<20) }},
	{Name: "channel-history", Default: "100", Global: "CHANNEL_HISTORY",
		Help: "number of events of each channel kept for clients that reconnect, for an hour and up to 256K per " +
			"channel and 16M in total; 0 keeps no events",
		value: func(c *Config) *value { return count(&c.Server.Channels.History, 0, 1<<20) }},
	{Name: "channel-max-event", Default: "64K", Global: "CHANNEL_MAX_EVENT",
		Help:  "maximum size of an event as sent; fapws.publish and fapws.broadcast refuse larger ones",
		value: func(c *Config) *value { return size(&c.Server.Channels.MaxEvent, 256, 16<<20) }},
}
