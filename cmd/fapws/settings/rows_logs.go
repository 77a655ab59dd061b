package settings

func logRows() []*Setting {
	return []*Setting{
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
