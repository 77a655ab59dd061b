package settings

import "time"

func logRows() []*Setting {
	return []*Setting{
		{
			Name: "access-log", Aliases: []string{"access-logfile"}, Group: GroupLogs, path: true,
			Arg: "FILE", Default: "off", Global: "ACCESS_LOG",
			Brief: `log requests to a file; "-" is standard output`,
			Help:  `one line for each request; "-" is standard output, off is none`,
			value: func(c *Config) value { return &text{&c.AccessLog} },
		},
		{
			Name: "access-log-format", Aliases: []string{"access-logformat"}, Group: GroupLogs,
			Arg: "FORMAT", Default: "combined", Global: "ACCESS_LOG_FORMAT",
			Help:  `combined or common as Apache writes them, vhost_combined as Debian's Apache does, timed (combined with the microseconds at the end), short, json, or text with the atoms of Apache (%h, %>s, %{Referer}i) and gunicorn (%(h)s)`,
			value: func(c *Config) value { return &logFormat{&c.AccessLogFormat} },
		},
		{
			Name: "error-log", Aliases: []string{"error-logfile", "log-file"}, Group: GroupLogs, path: true,
			Arg: "FILE", Default: "-",
			Help:  `where messages and tracebacks go, and all else that is written to standard error; "-" is standard error`,
			value: func(c *Config) value { return &text{&c.ErrorLog} },
		},
		{
			Name: "log-max-size", Group: GroupLogs, Arg: "SIZE", Default: "1M", Global: "LOG_MAX_SIZE",
			Help:  "a log file that would grow larger is compressed to FILE.1.gz, 1 to 2 and so on, and begun anew; 0 never",
			value: func(c *Config) value { return &size[int64]{&c.LogMaxSize, 0, 1 << 50} },
		},
		{
			Name: "log-rotate", Group: GroupLogs, Arg: "WHEN", Default: "off", Global: "LOG_ROTATE",
			Help:  "also hourly, daily, weekly, or after a time such as 6h",
			value: func(c *Config) value { return &logRotate{&c.LogRotate} },
		},
		{
			Name: "log-keep", Group: GroupLogs, Arg: "N", Default: "5", Global: "LOG_KEEP",
			Help:  "compressed log files that are kept",
			value: func(c *Config) value { return &count{&c.LogKeep, 0, 100000} },
		},
		{
			Name: "log-buffer", Group: GroupLogs, Arg: "SIZE", Default: "32K", Global: "LOG_BUFFER",
			Help:  "write the access log when so many bytes have gathered",
			value: func(c *Config) value { return &size[int]{&c.LogBuffer, 1, 1 << 20} },
		},
		{
			Name: "log-flush", Group: GroupLogs, Arg: "TIME", Default: "1s", Global: "LOG_FLUSH",
			Help:  "or when a line is so old; 60s is kind to a flash card",
			value: func(c *Config) value { return &duration{&c.LogFlush, time.Millisecond} },
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
