package settings

import (
	"strconv"
	"time"
)

func limitRows(m Machine) []*Setting {
	return []*Setting{
		{
			Name: "max-clients", Aliases: []string{"limit-concurrency", "worker-connections", "connection-limit"}, Group: GroupLimits,
			Arg: "N", Default: strconv.Itoa(defaultClients(m.OpenFiles)), Note: "limited by open files", Global: "MAX_CLIENTS",
			Brief: "maximum open connections; further clients wait",
			Help:  "maximum number of open connections; see max-clients-action",
			value: func(c *Config) value { return &count{&c.MaxClients, 1, 1 << 30} },
		},
		{
			Name: "max-clients-action", Group: GroupLimits, Arg: "WHAT", Default: "wait", Global: "MAX_CLIENTS_ACTION",
			Help:  "at the limit, let new clients wait in the listen queue (wait) or reject them with 503 (503)",
			value: func(c *Config) value { return &choice{&c.MaxClientsAction, ClientsActions} },
		},
		{
			Name: "max-body-size", Aliases: []string{"max-request-body-size"}, Group: GroupLimits,
			Arg: "SIZE", Default: "10M", Global: "MAX_BODY_SIZE",
			Brief: "maximum request body, otherwise 413",
			Help:  "maximum size of a request body; larger bodies get 413",
			value: func(c *Config) value { return &size[int64]{&c.MaxBodySize, 1, 1 << 50} },
		},
		{
			Name: "max-unsent", Group: GroupLimits, Arg: "SIZE", Default: "0", Global: "MAX_UNSENT",
			Help:  "maximum memory of responses that wait for slow clients, per worker; the largest does not count, and beyond it responses end whose clients read least for their size; 0: a quarter of the available memory, divided by the workers",
			value: func(c *Config) value { return &size[int64]{&c.MaxUnsent, 0, 1 << 50} },
		},
		{
			Name: "max-cgi", Group: GroupLimits, Arg: "N", Default: "16", Global: "MAX_CGI",
			Help:  "maximum number of CGI programs running at once per worker; 256 requests may wait for one, further requests get 503",
			value: func(c *Config) value { return &count{&c.MaxCGI, 1, 10000} },
		},
		{
			Name: "limit-request-line", Group: GroupLimits, Arg: "SIZE", Default: "8K", Global: "LIMIT_REQUEST_LINE",
			Help:  "maximum length of the request line, otherwise 414",
			value: func(c *Config) value { return &size[int]{&c.MaxLine, 64, 1 << 20} },
		},
		{
			Name: "limit-request-field-size", Group: GroupLimits, Arg: "SIZE", Default: "8K", Global: "LIMIT_REQUEST_FIELD_SIZE",
			Help:  "maximum length of a header field, otherwise 431",
			value: func(c *Config) value { return &size[int]{&c.MaxField, 64, 1 << 20} },
		},
		{
			Name: "limit-request-head", Aliases: []string{"max-request-header-size"}, Group: GroupLimits, Arg: "SIZE", Default: "32K", Global: "LIMIT_REQUEST_HEAD",
			Help:  "maximum length of the request line and all header fields, otherwise 431",
			value: func(c *Config) value { return &size[int]{&c.MaxHead, 256, 4 << 20} },
		},
		{
			Name: "limit-request-fields", Group: GroupLimits, Arg: "N", Default: "100", Global: "LIMIT_REQUEST_FIELDS",
			Help:  "maximum number of header fields, otherwise 431",
			value: func(c *Config) value { return &count{&c.MaxFields, 1, 10000} },
		},
		{
			Name: "head-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "10s", Global: "HEAD_TIMEOUT",
			Help:  "maximum time to receive the request line and header fields, otherwise 408",
			value: func(c *Config) value { return &duration{&c.HeadTimeout, time.Millisecond} },
		},
		{
			Name: "body-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "BODY_TIMEOUT",
			Help:  "maximum time without receiving request body data, otherwise 408",
			value: func(c *Config) value { return &duration{&c.BodyTimeout, time.Millisecond} },
		},
		{
			Name: "body-min-rate", Group: GroupTimeouts, Arg: "SIZE", Default: "500", Global: "BODY_MIN_RATE",
			Help:  "minimum average rate of a request body in bytes per second, otherwise 408; 0 disables",
			value: func(c *Config) value { return &size[int64]{&c.BodyMinRate, 0, 1 << 40} },
		},
		{
			Name: "keep-alive", Aliases: []string{"timeout-keep-alive"}, Group: GroupTimeouts,
			Arg: "TIME", Default: "75s", Global: "KEEP_ALIVE",
			Brief: "close a connection after this much idle time",
			value: func(c *Config) value { return &duration{&c.KeepAlive, time.Millisecond} },
		},
		{
			Name: "write-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "60s", Global: "WRITE_TIMEOUT",
			Help:  "close a connection whose client reads no response data for this long",
			value: func(c *Config) value { return &duration{&c.WriteTimeout, time.Millisecond} },
		},
		{
			Name: "timeout", Short: "t", Group: GroupTimeouts, Arg: "TIME", Default: "0s", Global: "TIMEOUT",
			Brief: "maximum time of a handler, then 504; 0: any",
			Help:  "maximum time until a handler starts its response (otherwise 504) and between two chunks; on timeout the Python stack is logged and fapws.Timeout raised in the handler; 0 disables",
			value: func(c *Config) value { return &duration{&c.Timeout, 0} },
		},
		{
			Name: "graceful-timeout", Aliases: []string{"timeout-graceful-shutdown"}, Group: GroupTimeouts,
			Arg: "TIME", Default: "30s", Global: "GRACEFUL_TIMEOUT",
			Brief: "time to finish active requests when stopping",
			Help:  "after SIGTERM or SIGINT, maximum time to finish active requests; a second signal exits immediately",
			value: func(c *Config) value { return &duration{&c.GracefulTimeout, 0} },
		},
		{
			Name: "shutdown-delay", Group: GroupTimeouts, Arg: "TIME", Default: "0s",
			Help:  "after SIGTERM or SIGINT, keep serving for this long before stopping: the readiness of --health is 503, and responses close their connections, so load balancers and clients change to other servers in time",
			value: func(c *Config) value { return &duration{&c.ShutdownDelay, 0} },
		},
	}
}

// defaultClients leaves descriptors for the script, for files being sent and
// for logs, so that accepting never meets the limit of open files.
func defaultClients(openFiles uint64) int {
	const (
		unknown = 1024
		atMost  = 65536 // above it, memory runs out first
	)
	if openFiles == 0 {
		openFiles = unknown
	}
	reserve := max(openFiles/4, 32)
	if openFiles <= reserve {
		return 1
	}
	return int(min(openFiles-reserve, atMost))
}

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
