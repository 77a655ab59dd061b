package settings

import (
	"strconv"
	"time"
)

// Machine is what defaults depend on.
type Machine struct {
	OpenFiles uint64 // the limit of open files of this process; 0 if not known
}

// Table returns the rows of all settings in the order of the help.
func Table(m Machine) []*Setting {
	return []*Setting{
		{
			Name: "bind", Short: "b", Aliases: []string{"listen"}, Group: GroupAddress,
			Arg: "ADDR", Default: "0.0.0.0:8888", Global: "SERVER",
			Brief: "host:port, :port, [ipv6]:port or unix:/path; repeatable",
			Help:  "serve on host:port, :port, [ipv6]:port, an address alone, a port alone or unix:/path; repeat it or separate with commas for several",
			value: func(c *Config) value { return &addresses{&c.Bind} },
		},
		{
			Name: "host", Group: GroupAddress, Arg: "HOST", sugar: true,
			Help:  "change only the host of the address",
			value: func(c *Config) value { return &host{&c.host} },
		},
		{
			Name: "port", Group: GroupAddress, Arg: "PORT", Env: "PORT", sugar: true,
			Help:  "change only the port of the address; 0 takes a free one",
			value: func(c *Config) value { return &count{&c.port, 0, 65535} },
		},
		{
			Name: "backlog", Group: GroupAddress, Arg: "N", Default: "0", Note: "0, the system's limit", Global: "BACKLOG",
			Help:  "connections that the system queues until they are accepted",
			value: func(c *Config) value { return &count{&c.Backlog, 0, 1 << 20} },
		},
		{
			Name: "threads", Short: "t", Group: GroupPython, Arg: "N", Default: "8", Global: "THREADS",
			Brief: "most Python threads; 0 runs handlers inline, on the event loop: fastest, but a slow handler stops everything",
			Help:  "most Python threads that run handlers, started when needed; 0 runs them inline, on the event loop: least latency and memory, but a slow handler then stops everything",
			value: func(c *Config) value { return &count{&c.Threads, 0, 256} },
		},
		{
			Name: "max-queue", Aliases: []string{"queue"}, Group: GroupPython, Arg: "N", Default: "2048", Global: "MAX_QUEUE",
			Help:  "requests that may wait for a thread; one more is answered 503",
			value: func(c *Config) value { return &count{&c.MaxQueue, 1, 1 << 20} },
		},
		{
			Name: "chdir", Short: "C", Aliases: []string{"working-dir"}, Group: GroupPython, Arg: "DIR",
			Brief: "change to this directory first",
			Help:  "change to this directory before anything else",
			value: func(c *Config) value { return &text{&c.Chdir} },
		},
		{
			Name: "max-clients", Aliases: []string{"limit-concurrency", "worker-connections"}, Group: GroupLimits,
			Arg: "N", Default: strconv.Itoa(defaultClients(m.OpenFiles)), Note: "as the limit of open files allows", Global: "MAX_CLIENTS",
			Brief: "connections open at the same time; more of them wait",
			value: func(c *Config) value { return &count{&c.MaxClients, 1, 1 << 30} },
		},
		{
			Name: "max-body-size", Aliases: []string{"max-request-body-size"}, Group: GroupLimits,
			Arg: "SIZE", Default: "10M", Global: "MAX_BODY_SIZE",
			Brief: "largest body of a request, else 413",
			Help:  "largest body of a request; a larger one is answered 413",
			value: func(c *Config) value { return &size[int64]{&c.MaxBodySize, 1, 1 << 50} },
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
			Name: "graceful-timeout", Aliases: []string{"timeout-graceful-shutdown"}, Group: GroupTimeouts,
			Arg: "TIME", Default: "30s", Global: "GRACEFUL_TIMEOUT",
			Brief: "time to finish requests when told to stop",
			Help:  "after SIGTERM or SIGINT, time to finish what is in flight; a second signal stops at once",
			value: func(c *Config) value { return &duration{&c.GracefulTimeout, 0} },
		},
		{
			Name: "access-log", Aliases: []string{"access-logfile"}, Group: GroupLogs,
			Arg: "FILE", Default: "off", Global: "ACCESS_LOG",
			Brief: `log requests to a file; "-" is standard output`,
			Help:  `one line for each request, in Apache's combined format with the duration in microseconds; "-" is standard output`,
			value: func(c *Config) value { return &text{&c.AccessLog} },
		},
		{
			Name: "log-level", Group: GroupLogs, Arg: "LEVEL", Default: "info", Global: "LOG_LEVEL",
			Brief: "debug, info, warning or error",
			Help:  "log from this level on: debug, info, warning or error",
			value: func(c *Config) value { return &level{&c.LogLevel} },
		},
		{
			Name: "debug", Group: GroupLogs, Arg: "N", Default: "0", Global: "DEBUG",
			Brief: "1 requests and tracebacks in the browser, 2 loop, 3 bytes",
			Help:  "1 shows requests with timings, and tracebacks in the browser; 2 also events of the loop; 3 also bytes",
			value: func(c *Config) value { return &count{&c.Debug, 0, 3} },
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

// variants are flags of other servers that give a setting in another way.
var variants = []struct {
	name   string
	of     string // name of the setting
	prefix string // goes before the value
	fixed  string // the value, when the flag has none
}{
	{name: "uds", of: "bind", prefix: "unix:"},
	{name: "no-access-log", of: "access-log", fixed: "off"},
}
