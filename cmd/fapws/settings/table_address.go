package settings

import (
	"crypto/tls"
	"time"
)

func addressSettings(c *Config) []*Setting {
	return []*Setting{
		{Name: "bind", also: "-b listen uds=unix:* unix-socket=unix:* fd=fd://*", Arg: "ADDR",
			Default: "0.0.0.0:8888", Global: "SERVER", script: true, kept: true,
			Brief: "host:port, :port, https://:443 or /path of a unix socket; repeatable", value: addresses(&c.Bind)},
		{Name: "host", Arg: "HOST", kept: true, sugar: true, value: bindHost(&c.Host)},
		{Name: "port", also: "-p", Arg: "PORT", Env: "PORT", kept: true, sugar: true, Brief: "port of the address",
			value: count(&c.Port, 0, 65535)},
		{Name: "backlog", Default: "0", Note: "0: system limit", script: true, kept: true,
			value: count(&c.Backlog, 0, 1<<20)},
		{Name: "uds-permissions", also: "unix-socket-perms", Default: "none", Note: "set by umask", kept: true,
			value: octal(&c.SocketMode, "none")},
		{Name: "uds-owner", Arg: "USER:GROUP", kept: true, value: text(&c.SocketOwner)},
		{Name: "forwarded-allow-ips", also: "trusted-proxy", Arg: "NETWORKS", Env: "FORWARDED_ALLOW_IPS",
			value: networks(&c.Proxies)},
		{Name: "proxy-protocol", value: toggle(&c.Server.Sites.ProxyProtocol, true)},
		{Name: "certfile", also: "ssl-certfile ssl-certificate tls-cert cert", Arg: "FILE", path: true,
			Brief: "certificate for HTTPS; its key is --keyfile FILE", value: texts(&c.CertFiles)},
		{Name: "keyfile", also: "ssl-keyfile tls-key key", Arg: "FILE", path: true, value: texts(&c.KeyFiles)},
		{Name: "tls", Arg: "WORD", Default: "off", value: choice(&c.TLS, []string{"off", "auto", "acme"}, nil)},
		{Name: "acme-hosts", Arg: "NAMES", value: hostNames(&c.ACMEHosts)},
		{Name: "acme-email", Arg: "ADDRESS", value: text(&c.ACMEEmail)},
		{Name: "acme-directory", Arg: "URL", Default: "https://acme-v02.api.letsencrypt.org/directory",
			value: httpsURL(&c.ACMEURL)},
		{Name: "acme-dns-hook", Arg: "FILE", path: true, value: text(&c.ACMEDNSHook)},
		{Name: "acme-dns-cleanup-hook", Arg: "FILE", path: true, value: text(&c.ACMEDNSCleanup)},
		{Name: "state-dir", Arg: "DIR", path: true, value: text(&c.StateDir)},
		{Name: "ca-certs", also: "ssl-ca-certs ssl-ca", Arg: "FILE", path: true, value: text(&c.CACerts)},
		{Name: "cert-reqs", also: "ssl-cert-reqs", Arg: "WORD", Default: "none",
			value: choice(&c.CertReqs, []string{"none", "optional", "required"},
				[]string{"0=none", "1=optional", "2=required", "cert_none=none",
					"cert_optional=optional", "cert_required=required"})},
		{Name: "tls-min", also: "ssl-protocol-min", Arg: "VERSION", Default: "1.2",
			value: oneOf(&c.TLSMin, []string{"1.2", "1.3"}, tls.VersionTLS12, tls.VersionTLS13)},
		{Name: "tls-timeout", Default: "10s", value: duration(&c.Server.TLSTimeout, time.Millisecond)},
		{Name: "tls-max-handshakes", Default: "1024", value: count(&c.Server.TLSHandshakes, 1, 1<<20)},
		{Name: "tls-strict-sni", value: toggle(&c.TLSStrictSNI, true)},
		{Name: "https-redirect", Arg: "PORT", Default: "no", alone: "yes", value: httpsRedirect(&c.HTTPSRedirect)},
		{Name: "login", Arg: "FILE", path: true, value: text(&c.LoginUsers)},
		{Name: "login-idle", Default: "30m", value: duration(&c.LoginIdle, time.Second)},
		{Name: "login-age", Default: "12h", value: duration(&c.LoginAge, time.Second)},
		{Name: "http2", Default: "yes", value: toggle(&c.HTTP2, true)},
		{Name: "h2c", also: "http2-cleartext", script: true, value: toggle(&c.Server.Sites.H2C, true)},
	}
}
