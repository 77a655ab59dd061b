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
