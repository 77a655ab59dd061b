package settings

import (
	"crypto/tls"
	"strconv"
	"time"
)

func (t *table) address() {
	t.group = "Address"
	t.add("bind", "0.0.0.0:8888", func(c *Config) *value { return addresses(&c.Bind) }).also("-b listen").
		or(variant{name: "uds", prefix: "unix:"}, variant{name: "unix-socket", prefix: "unix:"}, variant{name: "fd", prefix: "fd://"}).takes("ADDR").global("SERVER").keep().
		brief("host:port, :port, https://:443 or /path of a unix socket; repeatable").
		help("listen on host:port, :port, [ipv6]:port, https://host:port, an address, a port, a unix socket (/path, unix:path or unix:@name), fd://N (a listening socket inherited from the parent process) or systemd (every socket in LISTEN_FDS, which is also the default when systemd passes any); https+fd://N and https+systemd are these for HTTPS, as are sockets with FileDescriptorName=https; repeatable, or separated by commas")
	t.add("host", "", func(c *Config) *value { return host(&c.host) }).takes("HOST").keep().asSugar().
		help("replace the host of the address")
	t.add("port", "", func(c *Config) *value { return count(&c.port, 0, 65535) }).also("-p").takes("PORT").from("PORT").keep().asSugar().
		brief("port of the address").
		help("replace the port of the address; 0 picks a free port")
	t.add("backlog", "0", func(c *Config) *value { return count(&c.Backlog, 0, 1<<20) }).shows("0: system limit").inScript().keep().
		help("maximum number of connections that the kernel queues before they are accepted")
	t.add("uds-permissions", "none", func(c *Config) *value { return octal(&c.SocketMode, -1) }).also("unix-socket-perms").shows("set by umask").keep().
		help("permissions of unix sockets, in octal: 660; set before clients can connect")
	t.add("uds-owner", "", func(c *Config) *value { return text(&c.SocketOwner) }).takes("USER:GROUP").keep().
		help("owner of unix sockets: user, user:group or :group, by name or number")
	t.add("forwarded-allow-ips", "", func(c *Config) *value {
		return networks(&c.Proxies, &c.Server.Sites.Proxies, &c.Server.Sites.ProxyUnix)
	}).also("trusted-proxy").takes("NETWORKS").from("FORWARDED_ALLOW_IPS").
		help("trust Forwarded and X-Forwarded-For, -Proto, -Host, -Port and -Prefix from proxies in these networks (they must set or remove every one of these fields): 10.0.0.1, 192.168.0.0/16, unix for unix sockets, * for any; ignored from all other clients")
	t.add("proxy-protocol", "", func(c *Config) *value { return toggle(&c.Server.Sites.ProxyProtocol) }).
		help("require a PROXY protocol header (v1 or v2) from forwarded-allow-ips; other clients connect without one")
}

func (t *table) tls() {
	t.group = "Address"
	t.add("certfile", "", func(c *Config) *value { return texts(&c.CertFiles) }).also("ssl-certfile ssl-certificate tls-cert cert").takesPath("FILE").
		brief("certificate for HTTPS; its key is --keyfile FILE").
		help("certificate for HTTPS in PEM format, followed by intermediate certificates; the file may also contain the key; repeatable: clients get the certificate that covers the requested host, otherwise the first; without https:// in any --bind, every TCP address serves HTTPS; read again on HUP and when the file changes")
	t.add("keyfile", "", func(c *Config) *value { return texts(&c.KeyFiles) }).also("ssl-keyfile tls-key key").takesPath("FILE").
		help("private key of the certificate, in PEM format and not encrypted; one for each certfile, in the same order, or none if each certfile has its key")
	t.add("tls", "off", func(c *Config) *value { return choice(&c.TLS, TLSModes...) }).takes("WORD").
		help("source of certificates in addition to certfile: off (none); auto: fapws creates an authority in the state directory, and certificates for all names and addresses of this machine; clients download the authority from /.well-known/fapws-ca.crt and must trust it; acme: a public authority such as Let's Encrypt, which must reach port 80 or 443 of this machine")
	t.add("acme-hosts", "", func(c *Config) *value { return hostNames(&c.ACMEHosts) }).takes("NAMES").
		help("hosts that tls=acme orders certificates for; default: the names of all hosts in the configuration file that have no certfile; repeatable, or separated by commas")
	t.add("acme-email", "", func(c *Config) *value { return text(&c.ACMEEmail) }).takes("ADDRESS").
		help("address that the authority of tls=acme may write to")
	t.add("acme-directory", "https://acme-v02.api.letsencrypt.org/directory", func(c *Config) *value { return httpsURL(&c.ACMEURL) }).takes("URL").
		help("directory URL of the authority of tls=acme, whose terms of service you agree to")
	t.add("state-dir", "", func(c *Config) *value { return text(&c.StateDir) }).takesPath("DIR").
		help("directory for what fapws keeps: keys and certificates that it creates, and ended sessions of login; default: STATE_DIRECTORY of systemd, /var/lib/fapws for root, otherwise ~/.local/state/fapws")
	t.add("ca-certs", "", func(c *Config) *value { return text(&c.CACerts) }).also("ssl-ca-certs ssl-ca").takesPath("FILE").
		help("authorities whose client certificates are accepted, in PEM format; requires cert-reqs, or a rule client-cert in the configuration file")
	t.add("cert-reqs", "none", func(c *Config) *value { return certReqs(&c.CertReqs) }).also("ssl-cert-reqs").takes("WORD").
		help("client certificates: none (not requested), optional (verified if the client has one) or required (other clients are refused); also 0, 1 and 2, the numbers of Python's ssl module")
	t.add("tls-min", "1.2", func(c *Config) *value {
		return oneOf(&c.TLSMin, []string{"1.2", "1.3"}, tls.VersionTLS12, tls.VersionTLS13)
	}).also("ssl-protocol-min").takes("VERSION").
		help("oldest version of TLS: 1.2 or 1.3")
	t.add("tls-timeout", "10s", func(c *Config) *value { return duration(&c.Server.TLSTimeout, time.Millisecond) }).
		help("maximum time for the TLS handshake of a connection")
	t.add("tls-max-handshakes", "1024", func(c *Config) *value { return count(&c.Server.TLSHandshakes, 1, 1<<20) }).
		help("maximum number of TLS handshakes under way in each process; further clients wait in the listen queue, and a handshake that has waited for its client for longer than a second may end for them")
	t.add("tls-strict-sni", "", func(c *Config) *value { return toggle(&c.TLSStrictSNI) }).
		help("refuse clients that request no host, or a host that no certificate covers, instead of using the first certificate")
	t.add("https-redirect", "no", func(c *Config) *value { return httpsRedirect(&c.HTTPSRedirect) }).takes("PORT").bare("yes").
		help("redirect plain HTTP to the same page over HTTPS, at the port of the first HTTPS address (yes) or at this port; paths under /.well-known/acme-challenge/ are not redirected")
}

// channel has the settings of channels: server-sent events to many clients.
func (t *table) channel() {
	t.group = "Processes"
	t.add("channels", "", func(c *Config) *value { return brokerURL(&c.Channels) }).takes("URL").keep().
		help("connect channels and groups with those of other servers through Redis or Valkey: redis://HOST, rediss://, unix:// or redis+sentinel://")
	t.group = "Limits"
	t.add("channel-subscribers", "100000", func(c *Config) *value { return count(&c.Server.Channels.Subscribers, 1, 1<<30) }).inScript().
		help("maximum number of subscribers of one channel per worker; further subscribers get 503")
	t.add("channel-subscribers-per-address", "256", func(c *Config) *value { return count(&c.Server.Channels.PerAddress, 1, 1<<30) }).inScript().
		help("maximum number of subscribers from one address (IPv6: one /64 network) per worker; further subscribers get 503")
	t.add("channel-buffer", "64K", func(c *Config) *value { return size(&c.Server.Channels.Buffer, 4<<10, 64<<20) }).inScript().
		help("event data queued for a slow subscriber; a subscriber that exceeds it is disconnected")
	t.add("channel-history", "100", func(c *Config) *value { return count(&c.Server.Channels.History, 0, 1<<20) }).inScript().
		help("number of events of each channel kept for clients that reconnect, for an hour and up to 256K per channel and 16M in total; 0 keeps no events")
	t.group = "Timeouts"
	t.add("channel-heartbeat", "45s", func(c *Config) *value { return duration(&c.Server.Channels.Heartbeat, time.Second) }).inScript().
		help("send an SSE comment to a subscriber idle for at most this long; a connection with data unacknowledged for twice this time is dropped")
	t.add("channel-retry", "3s", func(c *Config) *value { return duration(&c.Server.Channels.Retry, time.Millisecond) }).inScript().
		help("reconnection delay sent to subscribers")
	t.group = "Limits"
	t.add("channel-max-event", "64K", func(c *Config) *value { return size(&c.Server.Channels.MaxEvent, 256, 16<<20) }).inScript().
		help("maximum size of an event as sent; fapws.publish and fapws.broadcast refuse larger ones")
}

func (t *table) limit(openFiles uint64) {
	t.group = "Limits"
	t.add("max-clients", strconv.Itoa(defaultClients(openFiles)), func(c *Config) *value { return count(&c.Server.Accept.MaxClients, 1, 1<<30) }).also("limit-concurrency worker-connections connection-limit").shows("limited by open files").inScript().
		brief("maximum open connections; further clients wait").
		help("maximum number of open connections; see max-clients-action")
	t.add("max-clients-action", "wait", func(c *Config) *value { return either(&c.Server.Accept.Refuse, "wait", "503") }).takes("WHAT").inScript().
		help("at the limit, let new clients wait in the listen queue (wait) or reject them with 503 (503)")
	t.add("max-body-size", "10M", func(c *Config) *value { return size(&c.Server.Sites.MaxBodySize, 1, 1<<50) }).also("max-request-body-size").inScript().
		brief("maximum request body, otherwise 413").
		help("maximum size of a request body; larger bodies get 413")
	t.add("max-unsent", "0", func(c *Config) *value { return size(&c.Server.MaxUnsent, 0, 1<<50) }).inScript().
		help("maximum memory of responses that wait for slow clients, per worker; the largest does not count, and beyond it responses end whose clients read least for their size; 0: a quarter of the available memory, divided by the workers")
	t.add("max-cgi", "16", func(c *Config) *value { return count(&c.MaxCGI, 1, 10000) }).inScript().
		help("maximum number of CGI programs running at once per worker; 256 requests may wait for one, further requests get 503")
	t.add("limit-request-line", "8K", func(c *Config) *value { return size(&c.Server.Sites.Limits.RequestLine, 64, 1<<20) }).inScript().
		help("maximum length of the request line, otherwise 414")
	t.add("limit-request-field-size", "8K", func(c *Config) *value { return size(&c.Server.Sites.Limits.FieldLine, 64, 1<<20) }).inScript().
		help("maximum length of a header field, otherwise 431")
	t.add("limit-request-head", "32K", func(c *Config) *value { return size(&c.Server.Sites.Limits.Head, 256, 4<<20) }).also("max-request-header-size").inScript().
		help("maximum length of the request line and all header fields, otherwise 431")
	t.add("limit-request-fields", "100", func(c *Config) *value { return count(&c.Server.Sites.Limits.Fields, 1, 10000) }).inScript().
		help("maximum number of header fields, otherwise 431")
	t.group = "Timeouts"
	t.add("head-timeout", "10s", func(c *Config) *value { return duration(&c.Server.Sites.HeadTimeout, time.Millisecond) }).inScript().
		help("maximum time to receive the request line and header fields, otherwise 408")
	t.add("body-timeout", "20s", func(c *Config) *value { return duration(&c.Server.Sites.BodyTimeout, time.Millisecond) }).inScript().
		help("maximum time without receiving request body data, otherwise 408")
	t.add("body-min-rate", "500", func(c *Config) *value { return size(&c.Server.Sites.BodyRate, 0, 1<<40) }).inScript().
		help("minimum average rate of a request body in bytes per second, otherwise 408; 0 disables")
	t.add("keep-alive", "75s", func(c *Config) *value { return duration(&c.Server.Sites.KeepAlive, time.Millisecond) }).also("timeout-keep-alive").inScript().
		brief("close a connection after this much idle time")
	t.add("write-timeout", "60s", func(c *Config) *value { return duration(&c.Server.WriteTimeout, time.Millisecond) }).inScript().
		help("close a connection whose client reads no response data for this long")
	t.add("timeout", "0s", func(c *Config) *value { return duration(&c.Server.Timeout, 0) }).also("-t").inScript().
		brief("maximum time of a handler, then 504; 0: any").
		help("maximum time until a handler starts its response (otherwise 504) and between two chunks; on timeout the Python stack is logged and fapws.Timeout raised in the handler; 0 disables")
	t.add("graceful-timeout", "30s", func(c *Config) *value { return duration(&c.GracefulTimeout, 0) }).also("timeout-graceful-shutdown").inScript().
		brief("time to finish active requests when stopping").
		help("after SIGTERM or SIGINT, maximum time to finish active requests; a second signal exits immediately")
	t.add("shutdown-delay", "0s", func(c *Config) *value { return duration(&c.ShutdownDelay, 0) }).
		help("after SIGTERM or SIGINT, keep serving for this long before stopping: the readiness of --health is 503, and responses close their connections, so load balancers and clients change to other servers in time")
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

func (t *table) http2() {
	t.group = "Address"
	t.add("http2", "yes", func(c *Config) *value { return toggle(&c.HTTP2) }).
		help("offer HTTP/2 to clients with TLS; --no-http2 leaves them HTTP/1.1")
	t.add("h2c", "", func(c *Config) *value { return toggle(&c.Server.Sites.H2C) }).also("http2-cleartext").inScript().
		help("serve HTTP/2 without TLS to clients that start with it (prior knowledge), such as proxies and load balancers; other clients get HTTP/1")
	t.group = "Limits"
	t.add("http2-max-streams", "128", func(c *Config) *value { return count(&c.Server.HTTP2.MaxStreams, 1, 10000) }).also("http2-max-concurrent-streams").inScript().
		help("maximum number of active requests of an HTTP/2 connection; further requests are refused, and clients may retry them")
	t.add("http2-max-resets", "1000", func(c *Config) *value { return count(&c.Server.HTTP2.MaxResets, 10, 1000000) }).inScript().
		help("requests that an HTTP/2 client may cancel in a row, and 3 % of this number more each second; pings, settings and other frames that carry no request count as up to one reset each; a client that exceeds it is disconnected")
	t.add("http2-max-window", "256K", func(c *Config) *value { return size(&c.Server.HTTP2.MaxWindow, 64<<10, 1<<30) }).inScript().
		help("maximum amount of request data that an HTTP/2 client may send ahead of an application that takes it as it arrives (ASGI, WebSockets, proxies), for each active request; the first 64 KiB are always allowed")
	t.add("http2-connection-window", "8M", func(c *Config) *value { return size(&c.Server.HTTP2.ConnectionWindow, 64<<10, 1<<30) }).also("http2-initial-connection-window-size").inScript().
		help("maximum amount of request data that an HTTP/2 client may send ahead of the application on all requests of a connection together; with less than 64K for each of http2-max-streams, requests that wait for the application can hold up others of their connection; request bodies that are not streamed stay in memory up to an eighth of it, further ones are stored in files; all connections of a client address together get up to four times this, and all clients twelve times, above 64K for each connection")
}

// websocket has the settings of WebSockets, with the names of uvicorn.
func (t *table) websocket() {
	t.group = "Limits"
	t.add("ws-max-size", "1M", func(c *Config) *value { return size(&c.Server.WebSockets.MaxSize, 1, 1<<30) }).inScript().
		help("maximum size of a WebSocket message after decompression; a larger one closes the connection with 1009")
	t.group = "Timeouts"
	t.add("ws-ping-interval", "20s", func(c *Config) *value { return duration(&c.Server.WebSockets.Ping, 0) }).also("websocket-ping-interval").inScript().
		help("send a ping on a WebSocket whose client has been silent for this long; 0 disables")
	t.add("ws-ping-timeout", "20s", func(c *Config) *value { return duration(&c.Server.WebSockets.PingTimeout, 0) }).inScript().
		help("close a WebSocket whose client does not respond for this long after a ping; 0 disables")
	t.group = "Limits"
	t.add("ws-per-message-deflate", "yes", func(c *Config) *value { return negated(&c.Server.Sites.NoDeflate) }).inScript().
		help("compress WebSocket messages for clients that ask for it (permessage-deflate)")
}
