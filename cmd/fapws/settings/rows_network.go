package settings

import (
	"strconv"
	"time"
)

func addressRows() []*Setting {
	return []*Setting{
		{
			Name: "bind", Short: "b", Aliases: []string{"listen"}, Group: GroupAddress, kept: true,
			Arg: "ADDR", Default: "0.0.0.0:8888", Global: "SERVER",
			Brief: "host:port, :port, https://:443 or /path of a unix socket; repeatable",
			Help:  "listen on host:port, :port, [ipv6]:port, https://host:port, an address, a port, a unix socket (/path, unix:path or unix:@name), fd://N (a listening socket inherited from the parent process) or systemd (every socket in LISTEN_FDS, which is also the default when systemd passes any); https+fd://N and https+systemd are these for HTTPS, as are sockets with FileDescriptorName=https; repeatable, or separated by commas",
			value: func(c *Config) *value { return addresses(&c.Bind) },
		},
		{
			Name: "host", Group: GroupAddress, kept: true, Arg: "HOST", sugar: true,
			Help:  "replace the host of the address",
			value: func(c *Config) *value { return host(&c.host) },
		},
		{
			Name: "port", Short: "p", Group: GroupAddress, kept: true, Arg: "PORT", Env: "PORT", sugar: true,
			Brief: "port of the address",
			Help:  "replace the port of the address; 0 picks a free port",
			value: func(c *Config) *value { return count(&c.port, 0, 65535) },
		},
		{
			Name: "backlog", Group: GroupAddress, kept: true, Arg: "N", Default: "0", Note: "0: system limit", Global: "BACKLOG",
			Help:  "maximum number of connections that the kernel queues before they are accepted",
			value: func(c *Config) *value { return count(&c.Backlog, 0, 1<<20) },
		},
		{
			Name: "uds-permissions", Aliases: []string{"unix-socket-perms"}, Group: GroupAddress, kept: true, Arg: "MODE", Default: "none", Note: "set by umask",
			Help:  "permissions of unix sockets, in octal: 660; set before clients can connect",
			value: func(c *Config) *value { return octal(&c.SocketMode) },
		},
		{
			Name: "uds-owner", Group: GroupAddress, kept: true, Arg: "USER:GROUP",
			Help:  "owner of unix sockets: user, user:group or :group, by name or number",
			value: func(c *Config) *value { return text(&c.SocketOwner) },
		},
		{
			Name: "forwarded-allow-ips", Aliases: []string{"trusted-proxy"}, Group: GroupAddress, Arg: "NETWORKS", Env: "FORWARDED_ALLOW_IPS",
			Help: "trust Forwarded and X-Forwarded-For, -Proto, -Host, -Port and -Prefix from proxies in these networks (they must set or remove every one of these fields): 10.0.0.1, 192.168.0.0/16, unix for unix sockets, * for any; ignored from all other clients",
			value: func(c *Config) *value {
				return networks(&c.Proxies, &c.Server.Sites.Proxies, &c.Server.Sites.ProxyUnix)
			},
		},
		{
			Name: "proxy-protocol", Group: GroupAddress,
			Help:  "require a PROXY protocol header (v1 or v2) from forwarded-allow-ips; other clients connect without one",
			value: func(c *Config) *value { return toggle(&c.Server.Sites.ProxyProtocol) },
		},
	}
}

func tlsRows() []*Setting {
	return []*Setting{
		{
			Name: "certfile", Aliases: []string{"ssl-certfile", "ssl-certificate", "tls-cert", "cert"}, Group: GroupAddress, Arg: "FILE", path: true,
			Brief: "certificate for HTTPS; its key is --keyfile FILE",
			Help:  "certificate for HTTPS in PEM format, followed by intermediate certificates; the file may also contain the key; repeatable: clients get the certificate that covers the requested host, otherwise the first; without https:// in any --bind, every TCP address serves HTTPS; read again on HUP and when the file changes",
			value: func(c *Config) *value { return texts(&c.CertFiles) },
		},
		{
			Name: "keyfile", Aliases: []string{"ssl-keyfile", "tls-key", "key"}, Group: GroupAddress, Arg: "FILE", path: true,
			Help:  "private key of the certificate, in PEM format and not encrypted; one for each certfile, in the same order, or none if each certfile has its key",
			value: func(c *Config) *value { return texts(&c.KeyFiles) },
		},
		{
			Name: "tls", Group: GroupAddress, Arg: "WORD", Default: "off",
			Help:  "source of certificates in addition to certfile: off (none); auto: fapws creates an authority in the state directory, and certificates for all names and addresses of this machine; clients download the authority from /.well-known/fapws-ca.crt and must trust it; acme: a public authority such as Let's Encrypt, which must reach port 80 or 443 of this machine",
			value: func(c *Config) *value { return choice(&c.TLS, TLSModes) },
		},
		{
			Name: "acme-hosts", Group: GroupAddress, Arg: "NAMES",
			Help:  "hosts that tls=acme orders certificates for; default: the names of all hosts in the configuration file that have no certfile; repeatable, or separated by commas",
			value: func(c *Config) *value { return hostNames(&c.ACMEHosts) },
		},
		{
			Name: "acme-email", Group: GroupAddress, Arg: "ADDRESS",
			Help:  "address that the authority of tls=acme may write to",
			value: func(c *Config) *value { return text(&c.ACMEEmail) },
		},
		{
			Name: "acme-directory", Group: GroupAddress, Arg: "URL", Default: "https://acme-v02.api.letsencrypt.org/directory",
			Help:  "directory URL of the authority of tls=acme, whose terms of service you agree to",
			value: func(c *Config) *value { return httpsURL(&c.ACMEURL) },
		},
		{
			Name: "state-dir", Group: GroupAddress, Arg: "DIR", path: true,
			Help:  "directory for what fapws keeps: keys and certificates that it creates, and ended sessions of login; default: STATE_DIRECTORY of systemd, /var/lib/fapws for root, otherwise ~/.local/state/fapws",
			value: func(c *Config) *value { return text(&c.StateDir) },
		},
		{
			Name: "ca-certs", Aliases: []string{"ssl-ca-certs", "ssl-ca"}, Group: GroupAddress, Arg: "FILE", path: true,
			Help:  "authorities whose client certificates are accepted, in PEM format; requires cert-reqs, or a rule client-cert in the configuration file",
			value: func(c *Config) *value { return text(&c.CACerts) },
		},
		{
			Name: "cert-reqs", Aliases: []string{"ssl-cert-reqs"}, Group: GroupAddress, Arg: "WORD", Default: "none",
			Help:  "client certificates: none (not requested), optional (verified if the client has one) or required (other clients are refused); also 0, 1 and 2, the numbers of Python's ssl module",
			value: func(c *Config) *value { return certReqs(&c.CertReqs) },
		},
		{
			Name: "tls-min", Aliases: []string{"ssl-protocol-min"}, Group: GroupAddress, Arg: "VERSION", Default: "1.2",
			Help:  "oldest version of TLS: 1.2 or 1.3",
			value: func(c *Config) *value { return choice(&c.TLSMin, TLSVersions) },
		},
		{
			Name: "tls-timeout", Group: GroupAddress, Arg: "TIME", Default: "10s",
			Help:  "maximum time for the TLS handshake of a connection",
			value: func(c *Config) *value { return duration(&c.Server.TLSTimeout, time.Millisecond) },
		},
		{
			Name: "tls-max-handshakes", Group: GroupAddress, Arg: "N", Default: "1024",
			Help:  "maximum number of TLS handshakes under way in each process; further clients wait in the listen queue, and a handshake that has waited for its client for longer than a second may end for them",
			value: func(c *Config) *value { return count(&c.Server.TLSHandshakes, 1, 1<<20) },
		},
		{
			Name: "tls-strict-sni", Group: GroupAddress,
			Help:  "refuse clients that request no host, or a host that no certificate covers, instead of using the first certificate",
			value: func(c *Config) *value { return toggle(&c.TLSStrictSNI) },
		},
		{
			Name: "https-redirect", Group: GroupAddress, Arg: "PORT", Default: "no", alone: "yes",
			Help:  "redirect plain HTTP to the same page over HTTPS, at the port of the first HTTPS address (yes) or at this port; paths under /.well-known/acme-challenge/ are not redirected",
			value: func(c *Config) *value { return httpsRedirect(&c.HTTPSRedirect) },
		},
	}
}

// channelRows are about channels: server-sent events to many clients.
func channelRows() []*Setting {
	return []*Setting{
		{
			Name: "channels", Group: GroupProcesses, kept: true, Arg: "URL",
			Help:  "connect channels and groups with those of other servers through Redis or Valkey: redis://HOST, rediss://, unix:// or redis+sentinel://",
			value: func(c *Config) *value { return brokerURL(&c.Channels) },
		},
		{
			Name: "channel-subscribers", Group: GroupLimits, Arg: "N", Default: "100000", Global: "CHANNEL_SUBSCRIBERS",
			Help:  "maximum number of subscribers of one channel per worker; further subscribers get 503",
			value: func(c *Config) *value { return count(&c.Server.Channels.Subscribers, 1, 1<<30) },
		},
		{
			Name: "channel-subscribers-per-address", Group: GroupLimits, Arg: "N", Default: "256", Global: "CHANNEL_SUBSCRIBERS_PER_ADDRESS",
			Help:  "maximum number of subscribers from one address (IPv6: one /64 network) per worker; further subscribers get 503",
			value: func(c *Config) *value { return count(&c.Server.Channels.PerAddress, 1, 1<<30) },
		},
		{
			Name: "channel-buffer", Group: GroupLimits, Arg: "SIZE", Default: "64K", Global: "CHANNEL_BUFFER",
			Help:  "event data queued for a slow subscriber; a subscriber that exceeds it is disconnected",
			value: func(c *Config) *value { return size(&c.Server.Channels.Buffer, 4<<10, 64<<20) },
		},
		{
			Name: "channel-history", Group: GroupLimits, Arg: "N", Default: "100", Global: "CHANNEL_HISTORY",
			Help:  "number of events of each channel kept for clients that reconnect, for an hour and up to 256K per channel and 16M in total; 0 keeps no events",
			value: func(c *Config) *value { return count(&c.Server.Channels.History, 0, 1<<20) },
		},
		{
			Name: "channel-heartbeat", Group: GroupTimeouts, Arg: "TIME", Default: "45s", Global: "CHANNEL_HEARTBEAT",
			Help:  "send an SSE comment to a subscriber idle for at most this long; a connection with data unacknowledged for twice this time is dropped",
			value: func(c *Config) *value { return duration(&c.Server.Channels.Heartbeat, time.Second) },
		},
		{
			Name: "channel-retry", Group: GroupTimeouts, Arg: "TIME", Default: "3s", Global: "CHANNEL_RETRY",
			Help:  "reconnection delay sent to subscribers",
			value: func(c *Config) *value { return duration(&c.Server.Channels.Retry, time.Millisecond) },
		},
		{
			Name: "channel-max-event", Group: GroupLimits, Arg: "SIZE", Default: "64K", Global: "CHANNEL_MAX_EVENT",
			Help:  "maximum size of an event as sent; fapws.publish and fapws.broadcast refuse larger ones",
			value: func(c *Config) *value { return size(&c.Server.Channels.MaxEvent, 256, 16<<20) },
		},
	}
}

func limitRows(m Machine) []*Setting {
	return []*Setting{
		{
			Name: "max-clients", Aliases: []string{"limit-concurrency", "worker-connections", "connection-limit"}, Group: GroupLimits,
			Arg: "N", Default: strconv.Itoa(defaultClients(m.OpenFiles)), Note: "limited by open files", Global: "MAX_CLIENTS",
			Brief: "maximum open connections; further clients wait",
			Help:  "maximum number of open connections; see max-clients-action",
			value: func(c *Config) *value { return count(&c.Server.Accept.MaxClients, 1, 1<<30) },
		},
		{
			Name: "max-clients-action", Group: GroupLimits, Arg: "WHAT", Default: "wait", Global: "MAX_CLIENTS_ACTION",
			Help:  "at the limit, let new clients wait in the listen queue (wait) or reject them with 503 (503)",
			value: func(c *Config) *value { return either(&c.Server.Accept.Refuse, "wait", "503") },
		},
		{
			Name: "max-body-size", Aliases: []string{"max-request-body-size"}, Group: GroupLimits,
			Arg: "SIZE", Default: "10M", Global: "MAX_BODY_SIZE",
			Brief: "maximum request body, otherwise 413",
			Help:  "maximum size of a request body; larger bodies get 413",
			value: func(c *Config) *value { return size(&c.Server.Sites.MaxBodySize, 1, 1<<50) },
		},
		{
			Name: "max-unsent", Group: GroupLimits, Arg: "SIZE", Default: "0", Global: "MAX_UNSENT",
			Help:  "maximum memory of responses that wait for slow clients, per worker; the largest does not count, and beyond it responses end whose clients read least for their size; 0: a quarter of the available memory, divided by the workers",
			value: func(c *Config) *value { return size(&c.Server.MaxUnsent, 0, 1<<50) },
		},
		{
			Name: "max-cgi", Group: GroupLimits, Arg: "N", Default: "16", Global: "MAX_CGI",
			Help:  "maximum number of CGI programs running at once per worker; 256 requests may wait for one, further requests get 503",
			value: func(c *Config) *value { return count(&c.MaxCGI, 1, 10000) },
		},
		{
			Name: "limit-request-line", Group: GroupLimits, Arg: "SIZE", Default: "8K", Global: "LIMIT_REQUEST_LINE",
			Help:  "maximum length of the request line, otherwise 414",
			value: func(c *Config) *value { return size(&c.Server.Sites.Limits.RequestLine, 64, 1<<20) },
		},
		{
			Name: "limit-request-field-size", Group: GroupLimits, Arg: "SIZE", Default: "8K", Global: "LIMIT_REQUEST_FIELD_SIZE",
			Help:  "maximum length of a header field, otherwise 431",
			value: func(c *Config) *value { return size(&c.Server.Sites.Limits.FieldLine, 64, 1<<20) },
		},
		{
			Name: "limit-request-head", Aliases: []string{"max-request-header-size"}, Group: GroupLimits, Arg: "SIZE", Default: "32K", Global: "LIMIT_REQUEST_HEAD",
			Help:  "maximum length of the request line and all header fields, otherwise 431",
			value: func(c *Config) *value { return size(&c.Server.Sites.Limits.Head, 256, 4<<20) },
		},
		{
			Name: "limit-request-fields", Group: GroupLimits, Arg: "N", Default: "100", Global: "LIMIT_REQUEST_FIELDS",
			Help:  "maximum number of header fields, otherwise 431",
			value: func(c *Config) *value { return count(&c.Server.Sites.Limits.Fields, 1, 10000) },
		},
		{
			Name: "head-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "10s", Global: "HEAD_TIMEOUT",
			Help:  "maximum time to receive the request line and header fields, otherwise 408",
			value: func(c *Config) *value { return duration(&c.Server.Sites.HeadTimeout, time.Millisecond) },
		},
		{
			Name: "body-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "BODY_TIMEOUT",
			Help:  "maximum time without receiving request body data, otherwise 408",
			value: func(c *Config) *value { return duration(&c.Server.Sites.BodyTimeout, time.Millisecond) },
		},
		{
			Name: "body-min-rate", Group: GroupTimeouts, Arg: "SIZE", Default: "500", Global: "BODY_MIN_RATE",
			Help:  "minimum average rate of a request body in bytes per second, otherwise 408; 0 disables",
			value: func(c *Config) *value { return size(&c.Server.Sites.BodyRate, 0, 1<<40) },
		},
		{
			Name: "keep-alive", Aliases: []string{"timeout-keep-alive"}, Group: GroupTimeouts,
			Arg: "TIME", Default: "75s", Global: "KEEP_ALIVE",
			Brief: "close a connection after this much idle time",
			value: func(c *Config) *value { return duration(&c.Server.Sites.KeepAlive, time.Millisecond) },
		},
		{
			Name: "write-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "60s", Global: "WRITE_TIMEOUT",
			Help:  "close a connection whose client reads no response data for this long",
			value: func(c *Config) *value { return duration(&c.Server.WriteTimeout, time.Millisecond) },
		},
		{
			Name: "timeout", Short: "t", Group: GroupTimeouts, Arg: "TIME", Default: "0s", Global: "TIMEOUT",
			Brief: "maximum time of a handler, then 504; 0: any",
			Help:  "maximum time until a handler starts its response (otherwise 504) and between two chunks; on timeout the Python stack is logged and fapws.Timeout raised in the handler; 0 disables",
			value: func(c *Config) *value { return duration(&c.Server.Timeout, 0) },
		},
		{
			Name: "graceful-timeout", Aliases: []string{"timeout-graceful-shutdown"}, Group: GroupTimeouts,
			Arg: "TIME", Default: "30s", Global: "GRACEFUL_TIMEOUT",
			Brief: "time to finish active requests when stopping",
			Help:  "after SIGTERM or SIGINT, maximum time to finish active requests; a second signal exits immediately",
			value: func(c *Config) *value { return duration(&c.GracefulTimeout, 0) },
		},
		{
			Name: "shutdown-delay", Group: GroupTimeouts, Arg: "TIME", Default: "0s",
			Help:  "after SIGTERM or SIGINT, keep serving for this long before stopping: the readiness of --health is 503, and responses close their connections, so load balancers and clients change to other servers in time",
			value: func(c *Config) *value { return duration(&c.ShutdownDelay, 0) },
		},
	}
}

// defaultClients leaves descriptors for the script, for files being sent and
// for logs, so that accepting never meets the limit of open files.
func defaultClients(openFiles uint64) int {
	const (
		unknown = 1024
		atMost  = 65536 // above it, memory runs out first
	)
	if openFiles == 0 {
		openFiles = unknown
	}
	reserve := max(openFiles/4, 32)
	if openFiles <= reserve {
		return 1
	}
	return int(min(openFiles-reserve, atMost))
}

func http2Rows() []*Setting {
	return []*Setting{
		{
			Name: "http2", Group: GroupAddress, Default: "yes",
			Help:  "offer HTTP/2 to clients with TLS; --no-http2 leaves them HTTP/1.1",
			value: func(c *Config) *value { return toggle(&c.HTTP2) },
		},
		{
			Name: "h2c", Aliases: []string{"http2-cleartext"}, Group: GroupAddress, Global: "H2C",
			Help:  "serve HTTP/2 without TLS to clients that start with it (prior knowledge), such as proxies and load balancers; other clients get HTTP/1",
			value: func(c *Config) *value { return toggle(&c.Server.Sites.H2C) },
		},
		{
			Name: "http2-max-streams", Aliases: []string{"http2-max-concurrent-streams"}, Group: GroupLimits, Arg: "N", Default: "128", Global: "HTTP2_MAX_STREAMS",
			Help:  "maximum number of active requests of an HTTP/2 connection; further requests are refused, and clients may retry them",
			value: func(c *Config) *value { return count(&c.Server.HTTP2.MaxStreams, 1, 10000) },
		},
		{
			Name: "http2-max-resets", Group: GroupLimits, Arg: "N", Default: "1000", Global: "HTTP2_MAX_RESETS",
			Help:  "requests that an HTTP/2 client may cancel in a row, and 3 % of this number more each second; pings, settings and other frames that carry no request count as up to one reset each; a client that exceeds it is disconnected",
			value: func(c *Config) *value { return count(&c.Server.HTTP2.MaxResets, 10, 1000000) },
		},
		{
			Name: "http2-max-window", Group: GroupLimits, Arg: "SIZE", Default: "256K", Global: "HTTP2_MAX_WINDOW",
			Help:  "maximum amount of request data that an HTTP/2 client may send ahead of an application that takes it as it arrives (ASGI, WebSockets, proxies), for each active request; the first 64 KiB are always allowed",
			value: func(c *Config) *value { return size(&c.Server.HTTP2.MaxWindow, 64<<10, 1<<30) },
		},
		{
			Name: "http2-connection-window", Aliases: []string{"http2-initial-connection-window-size"}, Group: GroupLimits, Arg: "SIZE", Default: "8M", Global: "HTTP2_CONNECTION_WINDOW",
			Help:  "maximum amount of request data that an HTTP/2 client may send ahead of the application on all requests of a connection together; with less than 64K for each of http2-max-streams, requests that wait for the application can hold up others of their connection; request bodies that are not streamed stay in memory up to an eighth of it, further ones are stored in files; all connections of a client address together get up to four times this, and all clients twelve times, above 64K for each connection",
			value: func(c *Config) *value { return size(&c.Server.HTTP2.ConnectionWindow, 64<<10, 1<<30) },
		},
	}
}

// websocketRows are about WebSockets, with the names of uvicorn.
func websocketRows() []*Setting {
	return []*Setting{
		{
			Name: "ws-max-size", Group: GroupLimits, Arg: "SIZE", Default: "1M", Global: "WS_MAX_SIZE",
			Help:  "maximum size of a WebSocket message after decompression; a larger one closes the connection with 1009",
			value: func(c *Config) *value { return size(&c.Server.WebSockets.MaxSize, 1, 1<<30) },
		},
		{
			Name: "ws-ping-interval", Aliases: []string{"websocket-ping-interval"}, Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "WS_PING_INTERVAL",
			Help:  "send a ping on a WebSocket whose client has been silent for this long; 0 disables",
			value: func(c *Config) *value { return duration(&c.Server.WebSockets.Ping, 0) },
		},
		{
			Name: "ws-ping-timeout", Group: GroupTimeouts, Arg: "TIME", Default: "20s", Global: "WS_PING_TIMEOUT",
			Help:  "close a WebSocket whose client does not respond for this long after a ping; 0 disables",
			value: func(c *Config) *value { return duration(&c.Server.WebSockets.PingTimeout, 0) },
		},
		{
			Name: "ws-per-message-deflate", Group: GroupLimits, Default: "yes", Global: "WS_PER_MESSAGE_DEFLATE",
			Help:  "compress WebSocket messages for clients that ask for it (permessage-deflate)",
			value: func(c *Config) *value { return negated(&c.Server.Sites.NoDeflate) },
		},
	}
}
