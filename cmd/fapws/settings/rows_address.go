package settings

func addressRows() []*Setting {
	return []*Setting{
		{
			Name: "bind", Short: "b", Aliases: []string{"listen"}, Group: GroupAddress,
			Arg: "ADDR", Default: "0.0.0.0:8888", Global: "SERVER",
			Brief: "host:port, :port, https://:443 or /path of a unix socket; repeatable",
			Help:  "listen on host:port, :port, [ipv6]:port, https://host:port, an address, a port, a unix socket (/path, unix:path or unix:@name), fd://N (a listening socket inherited from the parent process) or systemd (every socket in LISTEN_FDS, which is also the default when systemd passes any); https+fd://N and https+systemd are these for HTTPS, as are sockets with FileDescriptorName=https; repeatable, or separated by commas",
			value: func(c *Config) value { return &addresses{&c.Bind} },
		},
		{
			Name: "host", Group: GroupAddress, Arg: "HOST", sugar: true,
			Help:  "replace the host of the address",
			value: func(c *Config) value { return &host{&c.host} },
		},
		{
			Name: "port", Short: "p", Group: GroupAddress, Arg: "PORT", Env: "PORT", sugar: true,
			Brief: "port of the address",
			Help:  "replace the port of the address; 0 picks a free port",
			value: func(c *Config) value { return &count{&c.port, 0, 65535} },
		},
		{
			Name: "backlog", Group: GroupAddress, Arg: "N", Default: "0", Note: "0: system limit", Global: "BACKLOG",
			Help:  "maximum number of connections that the kernel queues before they are accepted",
			value: func(c *Config) value { return &count{&c.Backlog, 0, 1 << 20} },
		},
		{
			Name: "uds-permissions", Aliases: []string{"unix-socket-perms"}, Group: GroupAddress, Arg: "MODE", Default: "none", Note: "set by umask",
			Help:  "permissions of unix sockets, in octal: 660; set before clients can connect",
			value: func(c *Config) value { return &octal{&c.SocketMode} },
		},
		{
			Name: "uds-owner", Group: GroupAddress, Arg: "USER:GROUP",
			Help:  "owner of unix sockets: user, user:group or :group, by name or number",
			value: func(c *Config) value { return &text{&c.SocketOwner} },
		},
		{
			Name: "forwarded-allow-ips", Aliases: []string{"trusted-proxy"}, Group: GroupAddress, Arg: "NETWORKS", Env: "FORWARDED_ALLOW_IPS",
			Help:  "trust Forwarded and X-Forwarded-For, -Proto, -Host, -Port and -Prefix from proxies in these networks (they must set or remove every one of these fields): 10.0.0.1, 192.168.0.0/16, unix for unix sockets, * for any; ignored from all other clients",
			value: func(c *Config) value { return &networks{&c.Proxies} },
		},
		{
			Name: "proxy-protocol", Group: GroupAddress,
			Help:  "require a PROXY protocol header (v1 or v2) from forwarded-allow-ips; other clients connect without one",
			value: func(c *Config) value { return &toggle{&c.ProxyProtocol} },
		},
	}
}
