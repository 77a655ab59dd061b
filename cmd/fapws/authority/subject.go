package authority

import (
	"crypto/x509"
	"net"
	"os"
	"slices"
	"strings"
)

// subject is what a certificate is for.
type subject struct {
	names []string // at least one
	ips   []net.IP
}

// machine returns the names and addresses of this machine, and hosts.
func machine(hosts []string) *subject {
	s := &subject{}
	host, _ := os.Hostname()
	s.add(host)
	if short, _, dotted := strings.Cut(host, "."); dotted {
		s.add(short)
		s.add(short + ".local")
	} else if host != "" {
		s.add(host + ".local") // multicast DNS (RFC 6762)
	}
	s.add("localhost")
	for _, name := range hosts {
		s.add(strings.Trim(name, "[]"))
	}
	s.ips = append(s.ips, net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback)
	addrs, _ := net.InterfaceAddrs() // without them, the names remain
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && (n.IP.IsGlobalUnicast() || n.IP.To4() != nil) && !n.IP.IsLoopback() {
			s.ips = append(s.ips, n.IP)
		}
	}
	return s
}

// add adds a name or address unless it is there, or no certificate can have it.
func (s *subject) add(name string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if ip := net.ParseIP(name); ip != nil {
		s.ips = append(s.ips, ip)
		return
	}
	if name == "" || strings.HasSuffix(name, "*") || strings.ContainsAny(name, "_ ") && !strings.HasPrefix(name, "*.") || slices.Contains(s.names, name) {
		return
	}
	s.names = append(s.names, name)
}

// only removes names that a may not vouch for: one of them would make the whole certificate invalid.
func (s *subject) only(a *Authority) {
	s.names = slices.DeleteFunc(s.names, func(name string) bool { return !a.vouches(name) })
}

// missing returns the first name or address that a certificate lacks, or "".
func (s *subject) missing(leaf *x509.Certificate) string {
	for _, name := range s.names {
		if !slices.Contains(leaf.DNSNames, name) {
			return name
		}
	}
	for _, ip := range s.ips {
		if !slices.ContainsFunc(leaf.IPAddresses, ip.Equal) {
			return ip.String()
		}
	}
	return ""
}

// String lists the names and addresses.
func (s *subject) String() string {
	all := slices.Clone(s.names)
	for _, ip := range s.ips {
		all = append(all, ip.String())
	}
	return strings.Join(all, ", ")
}
