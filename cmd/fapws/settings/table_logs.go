package settings

import "time"

var logsSettings = []*Setting{
	{Name: "access-log", also: "access-logfile no-access-log=off", Arg: "FILE", path: true, Default: "off",
		Global: "ACCESS_LOG",
		Brief:  "log requests to a file; \"-\" is standard output",
		Help:   "write a line for each request to this file; \"-\" is standard output, off disables",
		value:  func(c *Config) *value { return text(&c.AccessLog) }},
	{Name: "access-log-format", also: "access-logformat access-log-fmt", Arg: "FORMAT", Default: "combined",
		Global: "ACCESS_LOG_FORMAT",
		Help: "format of the access log: combined or common (Apache), vhost_combined (Debian's Apache), timed " +
			"(combined, then microseconds), short, json, json_timed (with the parts of the time), or a format " +
			"string of Apache (%h, %>s, %{Referer}i) or gunicorn (%(h)s)",
		value: func(c *Config) *value { return logFormat(&c.AccessLogFormat) }},
	{Name: "trace", Global: "TRACE",
		Help: "continue the traces of requests, or begin new ones (W3C Trace Context): the field traceparent " +
			"reaches applications, programs and upstreams, and its trace-id is in the logs",
		value: func(c *Config) *value { return toggle(&c.Server.Sites.Trace, true) }},
	{Name: "otel", Global: "OTEL",
		Help:  "send a span of each request to a collector of OpenTelemetry, as its OTEL_ variables say; implies --trace",
		value: func(c *Config) *value { return toggle(&c.OTel, true) }},
	{Name: "request-id", Global: "REQUEST_ID",
		Help: "give each request an id, that of a trusted proxy in X-Request-ID or a new one: the field reaches " +
			"applications, programs, upstreams and the client, and the id is in the logs",
		value: func(c *Config) *value { return toggle(&c.Server.Sites.RequestID, true) }},
	{Name: "server-timing", Global: "SERVER_TIMING",
		Help: "tell clients in the field Server-Timing how long a request waited for Python, how long its handler or " +
			"upstream took, and that the cache answered; browsers show it to developers",
		value: func(c *Config) *value { return toggle(&c.Server.Sites.ServerTiming, true) }},
	{Name: "error-log", also: "error-logfile log-file", Arg: "FILE", path: true, Default: "-", kept: true,
		Help: "write messages, tracebacks and everything else on standard error to this file; \"-\" is standard " +
			"error",
		value: func(c *Config) *value { return text(&c.ErrorLog) }},
	{Name: "error-log-format", Arg: "FORMAT", Default: "text", kept: true,
		Help: "text, or json: each message of the server, and of wsgi.errors, is one object on one line; other " +
			"output on standard error stays as it is",
		value: func(c *Config) *value { return choice(&c.ErrorLogFormat, []string{"text", "json"}, nil) }},
	{Name: "log-max-size", Default: "1M", Global: "LOG_MAX_SIZE",
		Help: "rotate a log before it exceeds this size, compressing it to FILE.1.gz and renumbering older " +
			"files; 0 disables",
		value: func(c *Config) *value { return size(&c.LogMaxSize, 0, 1024<<40) }},
	{Name: "log-rotate", Arg: "WHEN", Default: "off", Global: "LOG_ROTATE",
		Help:  "also rotate logs hourly, daily, weekly, or after a time such as 6h",
		value: func(c *Config) *value { return logRotate(&c.LogRotate) }},
	{Name: "log-keep", Default: "5", Global: "LOG_KEEP",
		Help:  "number of compressed log files to keep",
		value: func(c *Config) *value { return count(&c.LogKeep, 0, 100000) }},
	{Name: "log-buffer", Default: "32K", Global: "LOG_BUFFER",
		Help:  "write the access log when this much has accumulated",
		value: func(c *Config) *value { return size(&c.LogBuffer, 1, 1<<20) }},
	{Name: "log-flush", Default: "1s", Global: "LOG_FLUSH",
		Help:  "maximum age of buffered log lines before they are written; 60s reduces flash wear",
		value: func(c *Config) *value { return duration(&c.LogFlush, time.Millisecond) }},
	{Name: "log-level", Arg: "LEVEL", Default: "info", Global: "LOG_LEVEL",
		Brief: "debug, info, warning or error",
		Help:  "minimum level of messages: debug, info, warning or error",
		value: func(c *Config) *value {
			return choice(&c.LogLevel, []string{"debug", "info", "warning", "error"},
				[]string{"warn=warning", "critical=error", "fatal=error", "0=debug", "10=debug",
					"20=info", "30=warning", "40=error", "50=error"})
		}},
	{Name: "debug", Default: "0", alone: "1", Global: "DEBUG",
		Brief: "1: requests and tracebacks; 2: loop; 3: bytes",
		Help: "1: log requests with timings and send tracebacks to browsers; 2: also log loop events; 3: also " +
			"bytes; without a value, 1",
		value: func(c *Config) *value { return debugLevel(&c.Debug) }},
}
