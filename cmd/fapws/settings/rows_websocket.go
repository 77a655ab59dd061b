package settings

// websocketRows are about WebSockets, with the names of uvicorn.
func websocketRows() []*Setting {
	return []*Setting{
		{
			Name: "ws-max-size", Group: GroupLimits, Arg: "SIZE", Default: "1M", Global: "WS_MAX_SIZE",
			Help:  "maximum size of a WebSocket message after decompression; a larger one closes the connection with 1009",
			value: func(c *Config) value { return &size[int]{&c.WebSocketMaxSize, 1, 1 << 30} },
		},
		{
			Name: "ws-ping-interval", Aliases: []string{"websocket-ping-interval"}, Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "WS_PING_INTERVAL",
			Help:  "send a ping on a WebSocket whose client has been silent for this long; 0 disables",
			value: func(c *Config) value { return &duration{&c.WebSocketPing, 0} },
		},
		{
			Name: "ws-ping-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "WS_PING_TIMEOUT",
			Help:  "close a WebSocket whose client does not respond for this long after a ping; 0 disables",
			value: func(c *Config) value { return &duration{&c.WebSocketPingTimeout, 0} },
		},
		{
			Name: "ws-per-message-deflate", Group: GroupLimits, Default: "yes", Global: "WS_PER_MESSAGE_DEFLATE",
			Help:  "compress WebSocket messages for clients that ask for it (permessage-deflate)",
			value: func(c *Config) value { return &toggle{&c.WebSocketDeflate} },
		},
	}
}
