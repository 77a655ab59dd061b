package settings

import "time"

// channelRows are about channels: server-sent events to many clients.
func channelRows() []*Setting {
	return []*Setting{
		{
			Name: "channels", Group: GroupProcesses, Arg: "URL",
			Help:  "connect channels and groups with those of other servers through Redis or Valkey: redis://HOST, rediss://, unix:// or redis+sentinel://",
			value: func(c *Config) value { return &brokerURL{text{&c.Channels}} },
		},
		{
			Name: "channel-subscribers", Group: GroupLimits, Arg: "N", Default: "100000", Global: "CHANNEL_SUBSCRIBERS",
			Help:  "maximum number of subscribers of one channel per worker; further subscribers get 503",
			value: func(c *Config) value { return &count{&c.ChannelSubscribers, 1, 1 << 30} },
		},
		{
			Name: "channel-subscribers-per-address", Group: GroupLimits, Arg: "N", Default: "256", Global: "CHANNEL_SUBSCRIBERS_PER_ADDRESS",
			Help:  "maximum number of subscribers from one address (IPv6: one /64 network) per worker; further subscribers get 503",
			value: func(c *Config) value { return &count{&c.ChannelPerAddress, 1, 1 << 30} },
		},
		{
			Name: "channel-buffer", Group: GroupLimits, Arg: "SIZE", Default: "64K", Global: "CHANNEL_BUFFER",
			Help:  "event data queued for a slow subscriber; a subscriber that exceeds it is disconnected",
			value: func(c *Config) value { return &size[int]{&c.ChannelBuffer, 4 << 10, 64 << 20} },
		},
		{
			Name: "channel-history", Group: GroupLimits, Arg: "N", Default: "100", Global: "CHANNEL_HISTORY",
			Help:  "number of events of each channel kept for clients that reconnect, for an hour and up to 256K per channel and 16M in total; 0 keeps no events",
			value: func(c *Config) value { return &count{&c.ChannelHistory, 0, 1 << 20} },
		},
		{
			Name: "channel-heartbeat", Group: GroupTimeouts, Arg: "TIME", Default: "45s", Global: "CHANNEL_HEARTBEAT",
			Help:  "send an SSE comment to a subscriber idle for this long; a connection with data unacknowledged for twice this time is dropped",
			value: func(c *Config) value { return &duration{&c.ChannelHeartbeat, time.Second} },
		},
		{
			Name: "channel-retry", Group: GroupTimeouts, Arg: "TIME", Default: "3s", Global: "CHANNEL_RETRY",
			Help:  "reconnection delay sent to subscribers",
			value: func(c *Config) value { return &duration{&c.ChannelRetry, time.Millisecond} },
		},
		{
			Name: "channel-max-event", Group: GroupLimits, Arg: "SIZE", Default: "64K", Global: "CHANNEL_MAX_EVENT",
			Help:  "maximum size of an event as sent; fapws.publish and fapws.broadcast refuse larger ones",
			value: func(c *Config) value { return &size[int]{&c.ChannelMaxEvent, 256, 16 << 20} },
		},
	}
}
