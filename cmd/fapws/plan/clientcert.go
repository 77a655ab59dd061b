package plan

import (
	"slices"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/route"
)

// The values of client-cert, in addition to "optional" and "unverified".
const (
	CertRequired = "required"
	CertNone     = "none"
)

// certNeed is the meaning of a value of client-cert. Without one cert-reqs counts, which refuses clients of HTTPS in their handshake, and
// those of plain HTTP and of unix sockets here.
func (b *builder) certNeed(rule Choice) route.CertNeed {
	if rule == "" {
		rule = Choice(b.parts.Conf.CertReqs)
	}
	switch rule {
	case CertRequired:
		return route.VerifiedCert
	case "optional":
		return route.NoBadCert
	}
	return route.AnyClient
}

// Asked says which certificates the clients of a host are asked for.
type Asked struct {
	Host    *Host  // nil: the application or root at the top
	CAs     string // file of the authorities; "": they are not asked
	Default bool   // it is for all names that no other host has, too
}

// Asks returns what the clients of each host are asked for: of the top first, if it is one, then of the hosts in their order.
// Rules of a route, too, have the whole host ask, because the client comes to the path only behind its handshake.
func (c *SiteConfig) Asks(conf *settings.Config) (all []Asked) {
	asks := func(own, inherited Choice, routes []Route) bool {
		wants := func(rule Choice) bool { return rule != "" && rule != CertNone }
		if own == "" {
			own = inherited
		}
		return certReqs(conf) || wants(own) || slices.ContainsFunc(routes, func(r Route) bool { return wants(r.ClientCert) })
	}
	if c.ownHost(conf) {
		a := Asked{}
		if asks(c.ClientCert, "", nil) {
			a.CAs = conf.CACerts
		}
		all = append(all, a)
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		a := Asked{Host: h}
		if asks(h.ClientCert, c.ClientCert, h.Routes) {
			if a.CAs = string(h.ClientCAs); a.CAs == "" {
				a.CAs = conf.CACerts
			}
		}
		all = append(all, a)
	}
	first := slices.IndexFunc(all, func(a Asked) bool { return a.Host == nil || a.Host.Default || len(a.Host.Names) == 0 })
	if len(all) > 0 {
		all[max(first, 0)].Default = true
	}
	return all
}

// AsksClients reports whether a rule is about the certificates of clients.
func (c *SiteConfig) AsksClients() bool {
	if c.ClientCert != "" {
		return true
	}
	return slices.ContainsFunc(c.Hosts, func(h Host) bool {
		return h.ClientCert != "" || h.ClientCAs != "" || slices.ContainsFunc(h.Routes, func(r Route) bool { return r.ClientCert != "" })
	})
}

// CheckClients finds rules about the certificates of clients that cannot hold, and authorities without a rule.
func (c *SiteConfig) CheckClients(conf *settings.Config) error {
	var wrong []error
	check := func(at settings.Position, rule Choice, cas string) {
		switch {
		case rule == "" || rule == CertNone || !at.Set("client-cert"):
		case !conf.HTTPS():
			wrong = append(wrong, at.Errorf("client-cert", "clients show certificates only over HTTPS; add certfile, or tls = \"auto\" at the top of the file"))
		case cas == "":
			wrong = append(wrong, at.Errorf("client-cert", "it needs ca-certs, the authorities of the client certificates"))
		case rule == "unverified" && certReqs(conf):
			wrong = append(wrong, at.Errorf("client-cert", "with cert-reqs, clients with a bad certificate are not connected; remove cert-reqs"))
		}
	}
	check(c.At, c.ClientCert, conf.CACerts)
	for i, a := range c.Asks(conf)[c.ownHosts(conf):] {
		h := &c.Hosts[i]
		cas := string(h.ClientCAs)
		if cas == "" {
			cas = conf.CACerts
		}
		check(h.At, h.ClientCert, cas)
		for k := range h.Routes {
			check(h.Routes[k].At, h.Routes[k].ClientCert, cas)
		}
		if h.ClientCAs != "" && a.CAs == "" {
			wrong = append(wrong, h.At.Errorf("ca-certs", "no rule uses these authorities; add client-cert = \"required\""))
		}
	}
	return settings.JoinPath(wrong...)
}

// certReqs reports whether handshakes ask for certificates, and refuse bad ones.
func certReqs(conf *settings.Config) bool {
	return conf.CertReqs != "" && conf.CertReqs != settings.CertReqs[0]
}

// ownHosts is 1 if the top of the file or the command line makes a host, else 0.
func (c *SiteConfig) ownHosts(conf *settings.Config) int {
	if c.ownHost(conf) {
		return 1
	}
	return 0
}
