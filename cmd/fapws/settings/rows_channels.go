package settings

import "time"

// channelRows are about channels: server-sent events to many clients.
func channelRows() []*Setting {
	return []*Setting{
		{
			Name: "channel-listeners", Group: GroupLimits, Arg: "N", Default: "100000", Global: "CHANNEL_LISTENERS",
			Help:  "listeners of one channel in each worker; more are answered 503",
			value: func(c *Config) value { return &count{&c.ChannelListeners, 1, 1 << 30} },
		},
		{
			Name: "channel-listeners-per-address", Group: GroupLimits, Arg: "N", Default: "256", Global: "CHANNEL_LISTENERS_PER_ADDRESS",
			Help:  "listeners with one address, of IPv6 in one /64, in each worker; more are answered 503",
			value: func(c *Config) value { return &count{&c.ChannelPerAddress, 1, 1 << 30} },
		},
		{
			Name: "channel-buffer", Group: GroupLimits, Arg: "SIZE", Default: "64K", Global: "CHANNEL_BUFFER",
			Help:  "events that wait for a listener which reads slowly; beyond it, it is dropped",
			value: func(c *Config) value { return &size[int]{&c.ChannelBuffer, 4 << 10, 64 << 20} },
		},
		{
			Name: "channel-history", Group: GroupLimits, Arg: "N", Default: "100", Global: "CHANNEL_HISTORY",
			Help:  "events of each channel kept for clients that come back, for an hour, and at most 256K of each channel and 16M of all; 0 keeps none",
			value: func(c *Config) value { return &count{&c.ChannelHistory, 0, 1 << 20} },
		},
		{
			Name: "channel-heartbeat", Group: GroupTimeouts, Arg: "TIME", Default: "45s", Global: "CHANNEL_HEARTBEAT",
			Help:  "send a comment to a listener that got nothing for so long; one that does not answer to two of them has gone",
			value: func(c *Config) value { return &duration{&c.ChannelHeartbeat, time.Second} },
		},
		{
			Name: "channel-retry", Group: GroupTimeouts, Arg: "TIME", Default: "3s", Global: "CHANNEL_RETRY",
			Help:  "how long listeners are told to wait before they come back",
			value: func(c *Config) value { return &duration{&c.ChannelRetry, time.Millisecond} },
		},
		{
			Name: "channel-max-event", Group: GroupLimits, Arg: "SIZE", Default: "64K", Global: "CHANNEL_MAX_EVENT",
			Help:  "largest event, as it is sent; fapws.publish refuses a larger one, and fapws.broadcast a larger message",
			value: func(c *Config) value { return &size[int]{&c.ChannelMaxEvent, 256, 16 << 20} },
		},
	}
}
