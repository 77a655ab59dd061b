package settings

// websocketRows are about WebSockets, with the names of uvicorn.
func websocketRows() []*Setting {
	return []*Setting{
		{
			Name: "ws-max-size", Group: GroupLimits, Arg: "SIZE", Default: "1M", Global: "WS_MAX_SIZE",
			Help:  "largest message of a WebSocket, also when it is compressed; a larger one closes it with 1009",
			value: func(c *Config) value { return &size[int]{&c.WebSocketMaxSize, 1, 1 << 30} },
		},
		{
			Name: "ws-ping-interval", Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "WS_PING_INTERVAL",
			Help:  "send a ping on a WebSocket whose client was silent for so long; 0 never",
			value: func(c *Config) value { return &duration{&c.WebSocketPing, 0} },
		},
		{
			Name: "ws-ping-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "WS_PING_TIMEOUT",
			Help:  "close a WebSocket whose client gives no sign of life for so long after a ping; 0 never",
			value: func(c *Config) value { return &duration{&c.WebSocketPingTimeout, 0} },
		},
		{
			Name: "ws-per-message-deflate", Group: GroupLimits, Default: "yes", Global: "WS_PER_MESSAGE_DEFLATE",
			Help:  "compress messages of WebSockets whose clients ask for it (permessage-deflate)",
			value: func(c *Config) value { return &toggle{&c.WebSocketDeflate} },
		},
	}
}
