package settings

import "time"

func tlsRows() []*Setting {
	return []*Setting{
		{
			Name: "certfile", Aliases: []string{"ssl-certfile", "ssl-certificate", "tls-cert", "cert"}, Group: GroupAddress, Arg: "FILE", path: true,
			Brief: "certificate for HTTPS; its key is --keyfile FILE",
			Help:  "certificate for HTTPS in PEM format, followed by intermediate certificates; the file may also contain the key; repeatable: clients get the certificate that covers the requested host, otherwise the first; without https:// in any --bind, every TCP address serves HTTPS; read again on HUP and when the file changes",
			value: func(c *Config) value { return &texts{&c.CertFiles} },
		},
		{
			Name: "keyfile", Aliases: []string{"ssl-keyfile", "tls-key", "key"}, Group: GroupAddress, Arg: "FILE", path: true,
			Help:  "private key of the certificate, in PEM format and not encrypted; one for each certfile, in the same order, or none if each certfile has its key",
			value: func(c *Config) value { return &texts{&c.KeyFiles} },
		},
		{
			Name: "tls", Group: GroupAddress, Arg: "WORD", Default: "off",
			Help:  "source of certificates in addition to certfile: off (none); auto: fapws creates an authority in the state directory, and certificates for all names and addresses of this machine; clients download the authority from /.well-known/fapws-ca.crt and must trust it; acme: a public authority such as Let's Encrypt, which must reach port 80 or 443 of this machine",
			value: func(c *Config) value { return &choice{&c.TLS, TLSModes} },
		},
		{
			Name: "acme-hosts", Group: GroupAddress, Arg: "NAMES",
			Help:  "hosts that tls=acme orders certificates for; default: the names of all hosts in the configuration file that have no certfile; repeatable, or separated by commas",
			value: func(c *Config) value { return &hostNames{texts{&c.ACMEHosts}} },
		},
		{
			Name: "acme-email", Group: GroupAddress, Arg: "ADDRESS",
			Help:  "address that the authority of tls=acme may write to",
			value: func(c *Config) value { return &text{&c.ACMEEmail} },
		},
		{
			Name: "acme-directory", Group: GroupAddress, Arg: "URL", Default: "https://acme-v02.api.letsencrypt.org/directory",
			Help:  "directory URL of the authority of tls=acme, whose terms of service you agree to",
			value: func(c *Config) value { return &httpsURL{text{&c.ACMEURL}} },
		},
		{
			Name: "state-dir", Group: GroupAddress, Arg: "DIR", path: true,
			Help:  "directory for what fapws keeps: keys and certificates that it creates, and ended sessions of login; default: STATE_DIRECTORY of systemd, /var/lib/fapws for root, otherwise ~/.local/state/fapws",
			value: func(c *Config) value { return &text{&c.StateDir} },
		},
		{
			Name: "ca-certs", Aliases: []string{"ssl-ca-certs", "ssl-ca"}, Group: GroupAddress, Arg: "FILE", path: true,
			Help:  "authorities whose client certificates are accepted, in PEM format; requires cert-reqs, or a rule client-cert in the configuration file",
			value: func(c *Config) value { return &text{&c.CACerts} },
		},
		{
			Name: "cert-reqs", Aliases: []string{"ssl-cert-reqs"}, Group: GroupAddress, Arg: "WORD", Default: "none",
			Help:  "client certificates: none (not requested), optional (verified if the client has one) or required (other clients are refused); also 0, 1 and 2, the numbers of Python's ssl module",
			value: func(c *Config) value { return &certReqs{&c.CertReqs} },
		},
		{
			Name: "tls-min", Aliases: []string{"ssl-protocol-min"}, Group: GroupAddress, Arg: "VERSION", Default: "1.2",
			Help:  "oldest version of TLS: 1.2 or 1.3",
			value: func(c *Config) value { return &choice{&c.TLSMin, TLSVersions} },
		},
		{
			Name: "tls-timeout", Group: GroupAddress, Arg: "TIME", Default: "10s",
			Help:  "maximum time for the TLS handshake of a connection",
			value: func(c *Config) value { return &duration{&c.TLSTimeout, time.Millisecond} },
		},
		{
			Name: "tls-max-handshakes", Group: GroupAddress, Arg: "N", Default: "1024",
			Help:  "maximum number of TLS handshakes under way in each process; further clients wait in the listen queue, and a handshake that has waited for its client for longer than a second may end for them",
			value: func(c *Config) value { return &count{&c.TLSMost, 1, 1 << 20} },
		},
		{
			Name: "tls-strict-sni", Group: GroupAddress,
			Help:  "refuse clients that request no host, or a host that no certificate covers, instead of using the first certificate",
			value: func(c *Config) value { return &toggle{&c.TLSStrictSNI} },
		},
		{
			Name: "https-redirect", Group: GroupAddress, Arg: "PORT", Default: "no", alone: "yes",
			Help:  "redirect plain HTTP to the same page over HTTPS, at the port of the first HTTPS address (yes) or at this port; paths under /.well-known/acme-challenge/ are not redirected",
			value: func(c *Config) value { return &httpsRedirect{&c.HTTPSRedirect} },
		},
	}
}
