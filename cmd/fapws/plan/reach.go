package plan

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Reach is what the routes of a configuration file need outside of the process that serves them.
type Reach struct {
	Ports    []uint16 // TCP ports of other servers: proxies and FastCGI
	Unix     bool     // a server has a unix socket: also PHP, which this process starts
	Abstract bool     // a server has a unix socket with a name that begins with "@"
	Programs bool     // programs are run: CGI, PHP, or commands in pages
	Uploads  []string // directories, files and devices that uploads are stored in
	Files    []string // files that are read again when they change: those of users
}

// Reach collects what all hosts and routes need.
func (c *SiteConfig) Reach() (r Reach) {
	r.rules(&Rules{TopRules: c.TopRules})
	for i := range c.Hosts {
		h := &c.Hosts[i]
		r.rules(&h.Rules)
		r.Programs = r.Programs || h.SSI.Exec
		for k := range h.Routes {
			route := &h.Routes[k]
			r.rules(&route.Rules)
			if to := string(route.Upload.To); to != "" {
				r.Uploads = append(r.Uploads, to)
			}
			r.Programs = r.Programs || route.CGI.Given || route.PHP.Given || route.SSI.Exec
			r.Unix = r.Unix || route.PHP.Given
			r.server(route.Proxy)
			r.server(route.FastCGI.Address)
		}
	}
	return r
}

func (r *Reach) rules(rules *Rules) {
	if rules.Auth != nil && rules.Auth.Users != "" {
		r.Files = append(r.Files, string(rules.Auth.Users))
	}
}

// server notes another server: a URL, "host:port" or "unix:/path".
func (r *Reach) server(address string) {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
		if u.Port() == "" {
			address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		}
	}
	if _, port, err := net.SplitHostPort(address); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			r.Ports = append(r.Ports, uint16(n))
		}
	}
	r.Unix = r.Unix || strings.Contains(address, "unix:")
	r.Abstract = r.Abstract || strings.Contains(address, "unix:@")
}

// Targets returns requests for the routes of all hosts that have no pattern: "/prefix", or "http://name/prefix" for a host
// with a name.
func (c *SiteConfig) Targets() (targets []string) {
	if c.Root != "" {
		targets = append(targets, "/")
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		base := ""
		if len(h.Names) > 0 && !strings.Contains(h.Names[0], "*") {
			base = "http://" + h.Names[0]
		}
		if h.Root != "" || h.App.Name != "" {
			targets = append(targets, base+"/")
		}
		for k := range h.Routes {
			if r := &h.Routes[k]; r.Prefix != "" && r.Match == "" {
				targets = append(targets, base+string(r.Prefix))
			}
		}
	}
	return targets
}
