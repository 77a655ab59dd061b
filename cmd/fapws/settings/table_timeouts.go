package settings

import "time"

var timeoutsSettings = []*Setting{
	{Name: "head-timeout", Default: "10s", Global: "HEAD_TIMEOUT",
		Help:  "maximum time to receive the request line and header fields, otherwise 408",
		value: func(c *Config) *value { return duration(&c.Server.Sites.HeadTimeout, time.Millisecond) }},
	{Name: "body-timeout", Default: "20s", Global: "BODY_TIMEOUT",
		Help:  "maximum time without receiving request body data, otherwise 408",
		value: func(c *Config) *value { return duration(&c.Server.Sites.BodyTimeout, time.Millisecond) }},
	{Name: "body-min-rate", Default: "500", Global: "BODY_MIN_RATE",
		Help:  "minimum average rate of a request body in bytes per second, otherwise 408; 0 disables",
		value: func(c *Config) *value { return size(&c.Server.Sites.BodyRate, 0, 1<<40) }},
	{Name: "keep-alive", also: "timeout-keep-alive channel-timeout timeout-idle", Default: "75s",
		Global: "KEEP_ALIVE",
		Brief:  "close a connection after this much idle time",
		value:  func(c *Config) *value { return duration(&c.Server.Sites.KeepAlive, time.Millisecond) }},
	{Name: "write-timeout", Default: "60s", Global: "WRITE_TIMEOUT",
		Help:  "close a connection whose client reads no response data for this long",
		value: func(c *Config) *value { return duration(&c.Server.WriteTimeout, time.Millisecond) }},
	{Name: "timeout", also: "-t", Default: "0s", Global: "TIMEOUT",
		Brief: "maximum time of a handler, then 504; 0: any",
		Help: "maximum time until a handler starts its response (otherwise 504) and between two chunks; on " +
			"timeout the Python stack is logged and fapws.Timeout raised in the handler; 0 disables",
		value: func(c *Config) *value { return duration(&c.Server.Timeout, 0) }},
	{Name: "graceful-timeout", also: "timeout-graceful-shutdown shutdown-timeout", Default: "30s",
		Global: "GRACEFUL_TIMEOUT",
		Brief:  "time to finish active requests when stopping",
		Help:   "after SIGTERM or SIGINT, maximum time to finish active requests; a second signal exits immediately",
		value:  func(c *Config) *value { return duration(&c.GracefulTimeout, 0) }},
	{Name: "shutdown-delay", Default: "0s",
		Help: "after SIGTERM or SIGINT, keep serving for this long before stopping: the readiness of --health is " +
			"503, and responses close their connections, so load balancers and clients change to other servers " +
			"in time",
		value: func(c *Config) *value { return duration(&c.ShutdownDelay, 0) }},
	{Name: "ws-ping-interval", also: "websocket-ping-interval ping-interval", Default: "20s",
		Global: "WS_PING_INTERVAL",
		Help:   "send a ping on a WebSocket whose client has been silent for this long; 0 disables",
		value:  func(c *Config) *value { return duration(&c.Server.WebSockets.Ping, 0) }},
	{Name: "ws-ping-timeout", also: "ping-timeout", Default: "20s", Global: "WS_PING_TIMEOUT",
		Help:  "close a WebSocket whose client does not respond for this long after a ping; 0 disables",
		value: func(c *Config) *value { return duration(&c.Server.WebSockets.PingTimeout, 0) }},
	{Name: "ws-reload-grace", Default: "0s", Global: "WS_RELOAD_GRACE",
		Help: "after a reload, close WebSockets that cannot move to the new code this much later, with code 1012; " +
			"at most graceful-timeout",
		value: func(c *Config) *value { return duration(&c.Server.WebSockets.ReloadGrace, 0) }},
	{Name: "channel-heartbeat", Default: "45s", Global: "CHANNEL_HEARTBEAT",
		Help: "send an SSE comment to a subscriber idle for at most this long; a connection with data " +
			"unacknowledged for twice this time is dropped",
		value: func(c *Config) *value { return duration(&c.Server.Channels.Heartbeat, time.Second) }},
	{Name: "channel-retry", Default: "3s", Global: "CHANNEL_RETRY",
		Help:  "reconnection delay sent to subscribers",
		value: func(c *Config) *value { return duration(&c.Server.Channels.Retry, time.Millisecond) }},
}
