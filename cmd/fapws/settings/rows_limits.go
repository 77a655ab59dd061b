package settings

import (
	"strconv"
	"time"
)

func limitRows(m Machine) []*Setting {
	return []*Setting{
		{
			Name: "max-clients", Aliases: []string{"limit-concurrency", "worker-connections"}, Group: GroupLimits,
			Arg: "N", Default: strconv.Itoa(defaultClients(m.OpenFiles)), Note: "as the limit of open files allows", Global: "MAX_CLIENTS",
			Brief: "connections open at the same time; more of them wait",
			value: func(c *Config) value { return &count{&c.MaxClients, 1, 1 << 30} },
		},
		{
			Name: "max-clients-action", Group: GroupLimits, Arg: "WHAT", Default: "wait", Global: "MAX_CLIENTS_ACTION",
			Help:  "what more clients do: wait in the listen queue, the first come first, or get 503 at once",
			value: func(c *Config) value { return &choice{&c.MaxClientsAction, ClientsActions} },
		},
		{
			Name: "max-body-size", Aliases: []string{"max-request-body-size"}, Group: GroupLimits,
			Arg: "SIZE", Default: "10M", Global: "MAX_BODY_SIZE",
			Brief: "largest body of a request, else 413",
			Help:  "largest body of a request; a larger one is answered 413",
			value: func(c *Config) value { return &size[int64]{&c.MaxBodySize, 1, 1 << 50} },
		},
		{
			Name: "max-cgi", Group: GroupLimits, Arg: "N", Default: "16", Global: "MAX_CGI",
			Help:  "CGI programs that run at the same time in each worker; 256 requests may wait for them, more are answered 503",
			value: func(c *Config) value { return &count{&c.MaxCGI, 1, 10000} },
		},
		{
			Name: "limit-request-line", Group: GroupLimits, Arg: "SIZE", Default: "8K", Global: "LIMIT_REQUEST_LINE",
			Help:  "longest request line, else 414",
			value: func(c *Config) value { return &size[int]{&c.MaxLine, 64, 1 << 20} },
		},
		{
			Name: "limit-request-field-size", Group: GroupLimits, Arg: "SIZE", Default: "8K", Global: "LIMIT_REQUEST_FIELD_SIZE",
			Help:  "longest header field, else 431",
			value: func(c *Config) value { return &size[int]{&c.MaxField, 64, 1 << 20} },
		},
		{
			Name: "limit-request-head", Group: GroupLimits, Arg: "SIZE", Default: "32K", Global: "LIMIT_REQUEST_HEAD",
			Help:  "longest request line with all header fields, else 431",
			value: func(c *Config) value { return &size[int]{&c.MaxHead, 256, 4 << 20} },
		},
		{
			Name: "limit-request-fields", Group: GroupLimits, Arg: "N", Default: "100", Global: "LIMIT_REQUEST_FIELDS",
			Help:  "most header fields, else 431",
			value: func(c *Config) value { return &count{&c.MaxFields, 1, 10000} },
		},
		{
			Name: "head-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "10s", Global: "HEAD_TIMEOUT",
			Help:  "longest time to receive a request line with its header fields, else 408",
			value: func(c *Config) value { return &duration{&c.HeadTimeout, time.Millisecond} },
		},
		{
			Name: "body-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "BODY_TIMEOUT",
			Help:  "longest pause while a body comes in, else 408",
			value: func(c *Config) value { return &duration{&c.BodyTimeout, time.Millisecond} },
		},
		{
			Name: "body-min-rate", Group: GroupTimeouts, Arg: "SIZE", Default: "500", Global: "BODY_MIN_RATE",
			Help:  "bytes a second that a body has to reach on average, else 408; 0 allows any",
			value: func(c *Config) value { return &size[int64]{&c.BodyMinRate, 0, 1 << 40} },
		},
		{
			Name: "keep-alive", Aliases: []string{"timeout-keep-alive"}, Group: GroupTimeouts,
			Arg: "TIME", Default: "75s", Global: "KEEP_ALIVE",
			Brief: "close connections idle for so long",
			Help:  "close a connection that was idle for so long",
			value: func(c *Config) value { return &duration{&c.KeepAlive, time.Millisecond} },
		},
		{
			Name: "write-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "60s", Global: "WRITE_TIMEOUT",
			Help:  "longest time that a client may take nothing of its response, else it is cut off",
			value: func(c *Config) value { return &duration{&c.WriteTimeout, time.Millisecond} },
		},
		{
			Name: "timeout", Group: GroupTimeouts, Arg: "TIME", Default: "0s", Global: "TIMEOUT",
			Brief: "longest time a handler may take, else 504; 0 is any",
			Help:  "longest time until a handler begins its response, else 504, and for each further piece; its Python stack is logged and an exception raised in it; 0 is any",
			value: func(c *Config) value { return &duration{&c.Timeout, 0} },
		},
		{
			Name: "graceful-timeout", Aliases: []string{"timeout-graceful-shutdown"}, Group: GroupTimeouts,
			Arg: "TIME", Default: "30s", Global: "GRACEFUL_TIMEOUT",
			Brief: "time to finish requests when told to stop",
			Help:  "after SIGTERM or SIGINT, time to finish what is in flight; a second signal stops at once",
			value: func(c *Config) value { return &duration{&c.GracefulTimeout, 0} },
		},
	}
}

// defaultClients leaves descriptors for the script, for files being sent and
// for logs, so that accepting never meets the limit of open files.
func defaultClients(openFiles uint64) int {
	const (
		unknown = 1024
		atMost  = 65536 // beyond, memory is what to think of first
	)
	if openFiles == 0 {
		openFiles = unknown
	}
	reserve := min(max(openFiles/4, 32), 1024)
	if openFiles <= reserve {
		return 1
	}
	return int(min(openFiles-reserve, atMost))
}
