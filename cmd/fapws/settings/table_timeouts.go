package settings

import "time"

func timeoutsSettings(c *Config) []*Setting {
	return []*Setting{
		{Name: "head-timeout", Default: "10s", script: true, value: duration(&c.Server.Sites.HeadTimeout, time.Millisecond)},
		{Name: "body-timeout", Default: "20s", script: true, value: duration(&c.Server.Sites.BodyTimeout, time.Millisecond)},
		{Name: "body-min-rate", Default: "500", script: true, value: size(&c.Server.Sites.BodyRate, 0, 1<<40)},
		{Name: "keep-alive", also: "timeout-keep-alive channel-timeout timeout-idle", Default: "75s", script: true,
			Brief: "close a connection after this much idle time", value: duration(&c.Server.Sites.KeepAlive, time.Millisecond)},
		{Name: "write-timeout", Default: "60s", script: true, value: duration(&c.Server.WriteTimeout, time.Millisecond)},
		{Name: "timeout", also: "-t", Default: "0s", script: true, Brief: "maximum time of a handler, then 504; 0: any",
			value: duration(&c.Server.Timeout, 0)},
		{Name: "graceful-timeout", also: "timeout-graceful-shutdown shutdown-timeout", Default: "30s", script: true,
			Brief: "time to finish active requests when stopping", value: duration(&c.GracefulTimeout, 0)},
		{Name: "shutdown-delay", Default: "0s", value: duration(&c.ShutdownDelay, 0)},
		{Name: "ws-ping-interval", also: "websocket-ping-interval ping-interval", Default: "20s", script: true,
			value: duration(&c.Server.WebSockets.Ping, 0)},
		{Name: "ws-ping-timeout", also: "ping-timeout", Default: "20s", script: true,
			value: duration(&c.Server.WebSockets.PingTimeout, 0)},
		{Name: "ws-reload-grace", Default: "0s", script: true, value: duration(&c.Server.WebSockets.ReloadGrace, 0)},
		{Name: "channel-heartbeat", Default: "45s", script: true, value: duration(&c.Server.Channels.Heartbeat, time.Second)},
		{Name: "channel-retry", Default: "3s", script: true, value: duration(&c.Server.Channels.Retry, time.Millisecond)},
	}
}
