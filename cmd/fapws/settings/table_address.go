package settings

import (
	"crypto/tls"
	"time"
)

var addressSettings = []*Setting{
	{Name: "bind", also: "-b listen uds=unix:* unix-socket=unix:* fd=fd://*", Arg: "ADDR",
		Default: "0.0.0.0:8888", Global: "SERVER", kept: true,
		Brief: "host:port, :port, https://:443 or /path of a unix socket; repeatable",
		Help: "listen on host:port, :port, [ipv6]:port, https://host:port, an address, a port, a unix socket " +
			"(/path, unix:path or unix:@name), fd://N (a listening socket inherited from the parent process) " +
			"or systemd (every socket in LISTEN_FDS, which is also the default when systemd passes any); " +
			"https+fd://N and https+systemd are these for HTTPS, as are sockets with FileDescriptorName=https; " +
			"repeatable, or separated by commas",
		value: func(c *Config) *value { return addresses(&c.Bind) }},
	{Name: "host", Arg: "HOST", kept: true, sugar: true,
		Help:  "replace the host of the address",
		value: func(c *Config) *value { return bindHost(&c.Host) }},
	{Name: "port", also: "-p", Arg: "PORT", Env: "PORT", kept: true, sugar: true,
		Brief: "port of the address",
		Help:  "replace the port of the address; 0 picks a free port",
		value: func(c *Config) *value { return count(&c.Port, 0, 65535) }},
	{Name: "backlog", Default: "0", Note: "0: system limit", Global: "BACKLOG", kept: true,
		Help:  "maximum number of connections that the kernel queues before they are accepted",
		value: func(c *Config) *value { return count(&c.Backlog, 0, 1<<20) }},
	{Name: "uds-permissions", also: "unix-socket-perms", Default: "none", Note: "set by umask", kept: true,
		Help:  "permissions of unix sockets, in octal: 660; set before clients can connect",
		value: func(c *Config) *value { return octal(&c.SocketMode, "none") }},
	{Name: "uds-owner", Arg: "USER:GROUP", kept: true,
		Help:  "owner of unix sockets: user, user:group or :group, by name or number",
		value: func(c *Config) *value { return text(&c.SocketOwner) }},
	{Name: "forwarded-allow-ips", also: "trusted-proxy", Arg: "NETWORKS", Env: "FORWARDED_ALLOW_IPS",
		Help: "trust Forwarded and X-Forwarded-For, -Proto, -Host, -Port and -Prefix from proxies in these " +
			"networks (they must set or remove every one of these fields): 10.0.0.1, 192.168.0.0/16, unix for " +
			"unix sockets, * for any; ignored from all other clients",
		value: func(c *Config) *value { return networks(&c.Proxies) }},
	{Name: "proxy-protocol",
		Help: "require a PROXY protocol header (v1 or v2) from forwarded-allow-ips; other clients connect " +
			"without one",
		value: func(c *Config) *value { return toggle(&c.Server.Sites.ProxyProtocol, true) }},
	{Name: "certfile", also: "ssl-certfile ssl-certificate tls-cert cert", Arg: "FILE", path: true,
		Brief: "certificate for HTTPS; its key is --keyfile FILE",
		Help: "certificate for HTTPS in PEM format, followed by intermediate certificates; the file may also " +
			"contain the key; repeatable: clients get the certificate that covers the requested host, " +
			"otherwise the first; without https:// in any --bind, every TCP address serves HTTPS; read again " +
			"on HUP and when the file changes",
		value: func(c *Config) *value { return texts(&c.CertFiles) }},
	{Name: "keyfile", also: "ssl-keyfile tls-key key", Arg: "FILE", path: true,
		Help: "private key of the certificate, in PEM format and not encrypted; one for each certfile, in the " +
			"same order, or none if each certfile has its key",
		value: func(c *Config) *value { return texts(&c.KeyFiles) }},
	{Name: "tls", Arg: "WORD", Default: "off",
		Help: "source of certificates in addition to certfile: off (none); auto: fapws creates a CA in " +
			"the state directory, and certificates for all names and addresses of this machine; clients " +
			"download its certificate from /.well-known/fapws-ca.crt and must trust it; acme: a public CA " +
			"such as Let's Encrypt, which must reach port 80 or 443 of this machine, unless there is an " +
			"acme-dns-hook",
		value: func(c *Config) *value { return choice(&c.TLS, []string{"off", "auto", "acme"}, nil) }},
	{Name: "acme-hosts", Arg: "NAMES",
		Help: "hosts that tls=acme orders certificates for; default: the names of all hosts in the configuration " +
			"file that have no certfile; names with * need acme-dns-hook; repeatable, or separated by commas",
		value: func(c *Config) *value { return hostNames(&c.ACMEHosts) }},
	{Name: "acme-email", Arg: "ADDRESS",
		Help:  "address that the CA of tls=acme may write to",
		value: func(c *Config) *value { return text(&c.ACMEEmail) }},
	{Name: "acme-directory", Arg: "URL", Default: "https://acme-v02.api.letsencrypt.org/directory",
		Help:  "directory URL of the CA of tls=acme, whose terms of service you agree to",
		value: func(c *Config) *value { return httpsURL(&c.ACMEURL) }},
	{Name: "acme-dns-hook", Arg: "FILE", path: true,
		Help: "program that proves to the CA that the hosts are yours: it adds the record _acme-challenge.DOMAIN, of " +
			"type TXT, for the domain in CERTBOT_DOMAIN, with the value in CERTBOT_VALIDATION, and ends when all " +
			"name servers have it; a hook of certbot --manual-auth-hook works",
		value: func(c *Config) *value { return text(&c.ACMEDNSHook) }},
	{Name: "acme-dns-cleanup-hook", Arg: "FILE", path: true,
		Help: "program that removes the record of acme-dns-hook, also after a failure; CERTBOT_AUTH_OUTPUT is the " +
			"output of acme-dns-hook",
		value: func(c *Config) *value { return text(&c.ACMEDNSCleanup) }},
	{Name: "state-dir", Arg: "DIR", path: true,
		Help: "directory for what fapws keeps: keys and certificates that it creates, and ended sessions of " +
			"login; default: STATE_DIRECTORY of systemd, /var/lib/fapws for root, otherwise " +
			"~/.local/state/fapws",
		value: func(c *Config) *value { return text(&c.StateDir) }},
	{Name: "ca-certs", also: "ssl-ca-certs ssl-ca", Arg: "FILE", path: true,
		Help: "CAs whose client certificates are accepted, in PEM format; requires cert-reqs, or a rule " +
			"client-cert in the configuration file",
		value: func(c *Config) *value { return text(&c.CACerts) }},
	{Name: "cert-reqs", also: "ssl-cert-reqs", Arg: "WORD", Default: "none",
		Help: "client certificates: none (not requested), optional (verified if the client has one) or required " +
			"(other clients are refused); also 0, 1 and 2, the numbers of Python's ssl module",
		value: func(c *Config) *value {
			return choice(&c.CertReqs, []string{"none", "optional", "required"},
				[]string{"0=none", "1=optional", "2=required", "cert_none=none",
					"cert_optional=optional", "cert_required=required"})
		}},
	{Name: "tls-min", also: "ssl-protocol-min", Arg: "VERSION", Default: "1.2",
		Help: "oldest version of TLS: 1.2 or 1.3",
		value: func(c *Config) *value {
			return oneOf(&c.TLSMin, []string{"1.2", "1.3"}, tls.VersionTLS12, tls.VersionTLS13)
		}},
	{Name: "tls-timeout", Default: "10s",
		Help:  "maximum time for the TLS handshake of a connection",
		value: func(c *Config) *value { return duration(&c.Server.TLSTimeout, time.Millisecond) }},
	{Name: "tls-max-handshakes", Default: "1024",
		Help: "maximum number of TLS handshakes under way in each process; further clients wait in the listen " +
			"queue, and a handshake that has waited for its client for longer than a second may end for them",
		value: func(c *Config) *value { return count(&c.Server.TLSHandshakes, 1, 1<<20) }},
	{Name: "tls-strict-sni",
		Help: "refuse clients that request no host, or a host that no certificate covers, instead of using the " +
			"first certificate",
		value: func(c *Config) *value { return toggle(&c.TLSStrictSNI, true) }},
	{Name: "https-redirect", Arg: "PORT", Default: "no", alone: "yes",
		Help: "redirect plain HTTP to the same page over HTTPS, at the port of the first HTTPS address (yes) or " +
			"at this port; paths under /.well-known/acme-challenge/ are not redirected",
		value: func(c *Config) *value { return httpsRedirect(&c.HTTPSRedirect) }},
	{Name: "login", Arg: "FILE", path: true,
		Help: "require users of this file to log in by a form, for everything but hosts and routes that say " +
			"otherwise; fapws user add makes users, or the browser the first one, with a code that the log " +
			"shows",
		value: func(c *Config) *value { return text(&c.LoginUsers) }},
	{Name: "login-idle", Default: "30m",
		Help:  "a session of login ends when it was not used for this time",
		value: func(c *Config) *value { return duration(&c.LoginIdle, time.Second) }},
	{Name: "login-age", Default: "12h",
		Help:  "a session of login ends after this time, even if it is used",
		value: func(c *Config) *value { return duration(&c.LoginAge, time.Second) }},
	{Name: "http2", Default: "yes",
		Help:  "offer HTTP/2 to clients with TLS; --no-http2 leaves them HTTP/1.1",
		value: func(c *Config) *value { return toggle(&c.HTTP2, true) }},
	{Name: "h2c", also: "http2-cleartext", Global: "H2C",
		Help: "serve HTTP/2 without TLS to clients that start with it (prior knowledge), such as proxies and " +
			"load balancers; other clients get HTTP/1",
		value: func(c *Config) *value { return toggle(&c.Server.Sites.H2C, true) }},
}
