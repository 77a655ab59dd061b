package settings

func addressRows() []*Setting {
	return []*Setting{
		{
			Name: "bind", Short: "b", Aliases: []string{"listen"}, Group: GroupAddress,
			Arg: "ADDR", Default: "0.0.0.0:8888", Global: "SERVER",
			Brief: "host:port, :port, [ipv6]:port or unix:/path; repeatable",
			Help:  "serve on host:port, :port, [ipv6]:port, an address alone, a port alone, unix:/path, unix:@name, fd://N (a listening socket that fapws is started with) or systemd (all that LISTEN_FDS passes, also used when no address is given); repeat it or separate with commas for several",
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
			Name: "uds-permissions", Aliases: []string{"unix-socket-perms"}, Group: GroupAddress, Arg: "MODE", Default: "none", Note: "as umask allows",
			Help:  "permissions of unix sockets, in octal as chmod takes them: 660; set before anybody can connect",
			value: func(c *Config) value { return &octal{&c.SocketMode} },
		},
		{
			Name: "uds-owner", Group: GroupAddress, Arg: "USER:GROUP",
			Help:  "owner of unix sockets: user, user:group or :group, by name or number",
			value: func(c *Config) value { return &text{&c.SocketOwner} },
		},
		{
			Name: "forwarded-allow-ips", Group: GroupAddress, Arg: "NETWORKS", Env: "FORWARDED_ALLOW_IPS",
			Help:  "believe Forwarded and X-Forwarded-For, -Proto, -Host, -Port and -Prefix from proxies at these addresses, which must set or remove every one of them: 10.0.0.1, 192.168.0.0/16, unix for unix sockets, * for any; from others never",
			value: func(c *Config) value { return &networks{&c.Proxies} },
		},
		{
			Name: "proxy-protocol", Group: GroupAddress,
			Help:  "expect the PROXY protocol, version 1 or 2, from those of forwarded-allow-ips; others are served as ever",
			value: func(c *Config) value { return &toggle{&c.ProxyProtocol} },
		},
	}
}
