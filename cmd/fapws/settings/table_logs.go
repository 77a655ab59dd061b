package settings

import "time"

func logsSettings(c *Config) []*Setting {
	return []*Setting{
		{Name: "access-log", also: "access-logfile no-access-log=off", Arg: "FILE", path: true, Default: "off", script: true,
			Brief: "log requests to a file; \"-\" is standard output", value: text(&c.AccessLog)},
		{Name: "access-log-format", also: "access-logformat access-log-fmt", Arg: "FORMAT", Default: "combined", script: true,
			value: logFormat(&c.AccessLogFormat)},
		{Name: "trace", script: true, value: toggle(&c.Server.Sites.Trace, true)},
		{Name: "otel", script: true, value: toggle(&c.OTel, true)},
		{Name: "request-id", script: true, value: toggle(&c.Server.Sites.RequestID, true)},
		{Name: "server-timing", script: true, value: toggle(&c.Server.Sites.ServerTiming, true)},
		{Name: "error-log", also: "error-logfile log-file", Arg: "FILE", path: true, Default: "-", kept: true,
			value: text(&c.ErrorLog)},
		{Name: "error-log-format", Arg: "FORMAT", Default: "text", kept: true,
			value: choice(&c.ErrorLogFormat, []string{"text", "json"}, nil)},
		{Name: "log-max-size", Default: "1M", script: true, value: size(&c.LogMaxSize, 0, 1024<<40)},
		{Name: "log-rotate", Arg: "WHEN", Default: "off", script: true, value: logRotate(&c.LogRotate)},
		{Name: "log-keep", Default: "5", script: true, value: count(&c.LogKeep, 0, 100000)},
		{Name: "log-buffer", Default: "32K", script: true, value: size(&c.LogBuffer, 1, 1<<20)},
		{Name: "log-flush", Default: "1s", script: true, value: duration(&c.LogFlush, time.Millisecond)},
		{Name: "log-level", Arg: "LEVEL", Default: "info", script: true, Brief: "debug, info, warning or error",
			value: choice(&c.LogLevel, []string{"debug", "info", "warning", "error"},
				[]string{"warn=warning", "critical=error", "fatal=error", "0=debug", "10=debug",
					"20=info", "30=warning", "40=error", "50=error"})},
		{Name: "debug", Default: "0", alone: "1", script: true, Brief: "1: requests and tracebacks; 2: loop; 3: bytes",
			value: debugLevel(&c.Debug)},
	}
}
