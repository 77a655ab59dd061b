package settings

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPort = "8888"

	// unsetHost means the host of an address that is only a port. Settings.Config replaces it, because the host
	// depends on other settings and on what is served. No address that parseAddress accepts contains unsetHost.
	unsetHost  = "?"
	localHost  = "127.0.0.1"
	publicHost = "0.0.0.0"

	maxDescriptor = 1 << 20
)

var errNoAddress = errors.New(`an address such as "127.0.0.1:8888", ":8888", "[::1]:8888", "/run/x.sock", ` +
	`"fd://3" or "systemd"`)

// parseAddress converts an address to the form of conn.Listen: "host:port", ":port", "[ipv6]:port", "unix:path" or
// "fd://number". A path that begins with "/", "./" or "../" stands for a unix socket. The word "systemd" stands for all
// sockets that a service manager passes. The prefix "https://" or "https+" selects HTTPS (SplitSecure). A missing port
// is 8888, and a missing host is unsetHost. As in Fapws4, the global variable SERVER can omit the port, or the port and
// the colon.
func parseAddress(text string) (string, error) {
	text = strings.TrimSpace(text)
	plain, secure := SplitSecure(text)
	if !secure {
		return parsePlain(text, defaultPort)
	}
	addr, err := parsePlain(strings.TrimRight(plain, "/"), HTTPSPort)
	addr = Secure(addr)
	if err == errNoAddress || err == nil && !strings.HasPrefix(addr, strings.TrimSuffix(text, plain)) {
		return "", fmt.Errorf("https://HOST:PORT, https://:PORT, https+fd://N or https+systemd, not %s", shorten(text))
	}
	return addr, err
}

// parsePlain parses an address without the prefix for HTTPS. If the address contains no port, parsePlain adds the port
// usual.
func parsePlain(s, usual string) (string, error) {
	if path, ok := socketPath(s); ok {
		if path == "" || strings.ContainsRune(path, 0) {
			return "", errNoAddress
		}
		return "unix:" + path, nil
	}
	if rest, ok := strings.CutPrefix(s, "http://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		return "", fmt.Errorf("an address without http://, such as %s", host)
	}
	if number, ok := strings.CutPrefix(s, "fd://"); ok {
		n, err := strconv.Atoi(number)
		if err != nil || !digitsOnly(number) || n > maxDescriptor {
			return "", errors.New("a descriptor such as fd://3")
		}
		return "fd://" + strconv.Itoa(n), nil
	}
	if s == "systemd" {
		return s, nil
	}
	if s == "" || strings.Contains(s, "/") {
		return "", errNoAddress
	}
	if digitsOnly(s) {
		return joinAddress(unsetHost, s)
	}
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil:
		host, port = s, usual
	case host == "" && port == "", s[0] == '[' && !strings.Contains(host, ":"):
		return "", errNoAddress
	}
	if host, err = parseHost(host); err != nil {
		return "", err
	}
	return joinAddress(host, cmp.Or(port, usual))
}

func splitTCP(addr string) (host, port string, secure, ok bool) {
	plain, secure := SplitSecure(addr)
	host, port, err := net.SplitHostPort(plain)
	// For fd://3, which is not a TCP address, the port is not a number, so ok is false.
	return host, port, secure, err == nil && digitsOnly(port) && !strings.HasPrefix(plain, "unix:")
}

func socketPath(s string) (path string, ok bool) {
	if path, ok = strings.CutPrefix(s, "unix:"); ok {
		return path, true
	}
	for _, start := range []string{"/", "./", "../"} {
		if strings.HasPrefix(s, start) {
			return s, true
		}
	}
	return "", false
}

func joinAddress(host, port string) (string, error) {
	if !digitsOnly(port) {
		return "", errNoAddress
	}
	n, err := strconv.Atoi(port)
	if err != nil || n > 65535 {
		return "", fmt.Errorf("an address whose port is from 0 to 65535, not %s", shorten(port))
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

// parseHost returns an IP address or a host name, without brackets. The texts "" and "*" mean all addresses of the
// machine.
func parseHost(s string) (string, error) {
	if s == "" || s == "*" {
		return "", nil
	}
	bare := s
	if s[0] == '[' && s[len(s)-1] == ']' {
		bare = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil && (bare == s || a.Is6()) {
		return bare, nil
	}
	if bare != s || !hostName(s) {
		return "", fmt.Errorf("an address whose host is an IP address or a name, not %q", shorten(s))
	}
	return s, nil
}

const label = `[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?`

var domain = Pattern(`^(?:` + label + `\.)*(` + label + `)\.?$`)

// hostName reports whether s is a host name (RFC 1123 §2.1). If the last label is a number, the result is false,
// because s was meant to be an IPv4 address.
func hostName(s string) bool {
	parts := domain().FindStringSubmatch(s)
	return parts != nil && len(s) <= 253 && !digitsOnly(parts[1])
}

// changeAddress replaces the host or the port of the first TCP address, as --host and --port demand. All further
// addresses are dropped, because --host and --port describe only one address.
func (s *Settings) changeAddress(c *Config) {
	if s.addressPart() == "" {
		return
	}
	host, port, https := unsetHost, defaultPort, false
	for _, a := range c.Bind {
		if h, p, secure, ok := splitTCP(a); ok {
			host, port, https = h, p, secure
			break
		}
	}
	if s.from["host"].Level > s.from["bind"].Level {
		host = c.Host
	}
	if s.from["port"].Level > s.from["bind"].Level {
		port = strconv.Itoa(c.Port)
	}
	c.Bind = []string{net.JoinHostPort(host, port)}
	if https {
		c.Bind[0] = Secure(c.Bind[0])
	}
}

// NotePATHS tells s whether the server runs only a script with PATHS.
func (s *Settings) NotePATHS(alone bool) { s.onlyPATHS = alone }

// usualHost returns the host of an address that is only a port. Only this machine can reach the server, as with other
// servers, unless a platform has chosen the port by the variable PORT, or a script with PATHS is served, which Fapws4
// serves to all machines.
func (s *Settings) usualHost() string {
	byPlatform := s.addressPart() == "port" && s.from["port"].Name == "PORT"
	if !s.conf.Dev && (byPlatform || s.onlyPATHS) {
		return publicHost
	}
	return localHost
}

// WithHost returns an address of Config.Bind with another host than unsetHost.
func (s *Settings) WithHost(addr string) string {
	return strings.Replace(addr, unsetHost, s.usualHost(), 1)
}

func digitsOnly(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// An address for HTTPS has a prefix: secureTCP before "host:port", and securePrefix before "fd://N" or "systemd".
const (
	secureTCP    = "https://"
	securePrefix = "https+"

	// the port that an https URL without a port refers to
	HTTPSPort = "443"
)

// SplitSecure returns an address of Config.Bind in the form of conn.Listen, and whether it uses HTTPS.
func SplitSecure(addr string) (plain string, secure bool) {
	for _, prefix := range []string{secureTCP, securePrefix} {
		if plain, secure = strings.CutPrefix(addr, prefix); secure {
			return plain, true
		}
	}
	return addr, false
}

// Secure returns an address with the prefix for HTTPS, and returns the address of a unix socket unchanged.
func Secure(addr string) string {
	_, secure := SplitSecure(addr)
	switch {
	case secure || strings.HasPrefix(addr, "unix:"):
		return addr
	case strings.HasPrefix(addr, "fd://") || addr == "systemd":
		return securePrefix + addr
	}
	return secureTCP + addr
}

func (c *Config) HTTPS() bool {
	return len(c.CertFiles) > 0 || c.HostCerts || c.TLS != "" && c.TLS != "off"
}

// SecureAddresses returns addresses in the form of Config.Bind. If there are certificates and no address specifies
// HTTPS, all TCP addresses use HTTPS.
func (c *Config) SecureAddresses(addrs []string) []string {
	if !c.HTTPS() {
		return addrs
	}
	secured := make([]string, len(addrs))
	for i, addr := range addrs {
		if _, secure := SplitSecure(addr); secure {
			return addrs
		}
		secured[i] = Secure(addr)
	}
	return secured
}

func (s *Settings) NoteHosts(certs, clientRules bool) {
	s.conf.HostCerts, s.conf.ClientRules = certs, clientRules
}

func (s *Settings) settleTLS(c *Config, wrong *contradictions) {
	c.Bind = c.SecureAddresses(c.Bind)
	wrong.when(c.TLS == "acme" && c.Chroot != "", "tls acme (%s) cannot be combined with chroot (%s): workers would not "+
		"find the tokens of the CA; use certbot with certfile", s.from["tls"], s.from["chroot"])
	switchedOff := c.TLS == "off" && s.from["tls"].Level > FromDefault // as by --tls off for a file with tls = "acme"
	for _, name := range []string{"acme-hosts", "acme-email", "acme-directory", "acme-dns-hook", "acme-dns-cleanup-hook"} {
		wrong.when(s.from[name].Level > FromDefault && c.TLS != "acme" && !switchedOff,
			"%s (%s) has no effect without tls acme", name, s.from[name])
	}
	wrong.when(s.from["acme-dns-cleanup-hook"].Level > FromDefault && c.TLS == "acme" && c.ACMEDNSHook == "",
		"acme-dns-cleanup-hook (%s) has no effect without acme-dns-hook", s.from["acme-dns-cleanup-hook"])
	certs, keys := len(c.CertFiles), len(c.KeyFiles)
	wrong.when(keys > 0 && certs == 0, "keyfile (%s) requires certfile, the certificate of this key", s.from["keyfile"])
	secured := c.HTTPS() || keys > 0 // with a key alone, the certificate is missing
	if c.HTTPSRedirect == "yes" {
		c.HTTPSRedirect = c.HTTPSPort()
		wrong.when(c.HTTPSRedirect == "" && (certs > 0 || keys == 0), "https-redirect (%s) requires HTTPS: add "+
			"--tls auto or --certfile FILE --keyfile FILE, and --bind :80 --bind https://:443", s.from["https-redirect"])
		ports := c.HTTPSPorts()
		wrong.when(len(ports) > 1, "https-redirect (%s) needs a port, because there are several for HTTPS (%s): "+
			"--https-redirect=PORT", s.from["https-redirect"], strings.Join(ports, ", "))
		wrong.when(c.HTTPSRedirect == "0", "https-redirect (%s) needs a port, because that of %s is chosen later: "+
			"--https-redirect=PORT", s.from["https-redirect"], s.Source("bind"))
	}
	wrong.when(keys > 0 && certs > 0 && keys != certs, "certfile (%s) names %d files and keyfile (%s) %d: give one key "+
		"for each certificate, in the same order, or no keyfile if each certfile has its key", s.from["certfile"], certs,
		s.from["keyfile"], keys)
	wrong.when(c.CertReqs != "none" && c.CACerts == "",
		"cert-reqs (%s) requires ca-certs, the CAs of the client certificates", s.from["cert-reqs"])
	wrong.when(c.CertReqs == "none" && c.CACerts != "" && !c.ClientRules, "ca-certs (%s) requires cert-reqs, "+
		"optional or required, or a rule client-cert; a chain belongs in certfile, behind the certificate",
		s.from["ca-certs"])
	for _, addr := range c.Bind {
		if _, secure := SplitSecure(addr); secure && !secured {
			wrong.when(true, "%s (%s) requires a certificate: add --certfile FILE --keyfile FILE, or --tls auto", addr,
				s.Source("bind"))
			secured = true // the same certificate solves the following problems
		}
	}
	wrong.when(c.CertReqs != "none" && !secured, "cert-reqs (%s) requires HTTPS, because clients show certificates "+
		"only there: add --certfile FILE --keyfile FILE, or --tls auto", s.from["cert-reqs"])
}

// HTTPSPort returns the port of the first address for HTTPS. If there is none, HTTPSPort returns the port at which a
// trusted proxy serves HTTPS, or "" without a trusted proxy.
func (c *Config) HTTPSPort() string {
	if ports := c.HTTPSPorts(); len(ports) > 0 {
		return ports[0]
	}
	if len(c.Proxies) > 0 {
		return HTTPSPort
	}
	return ""
}

// HTTPSPorts returns the different ports of the addresses for HTTPS. Sockets that were passed to the server count as
// the usual port.
func (c *Config) HTTPSPorts() (ports []string) {
	for _, addr := range c.Bind {
		_, port, secure, ok := splitTCP(addr)
		if !ok {
			port = HTTPSPort
		}
		if secure && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports
}

// Reachable reports whether a CA could connect to port 80 or 443 of an address, or to a proxy in front. other is true
// if clients from other machines can reach another port, to which a router may forward one of these.
func (c *Config) Reachable() (usual, other bool) {
	for _, addr := range c.Bind {
		_, port, secure, tcp := splitTCP(addr)
		plain, _ := SplitSecure(addr)
		switch {
		case plain == "systemd" || strings.HasPrefix(plain, "fd://"):
			return true, true
		case !tcp || isLocal(plain):
		case secure && port == HTTPSPort || !secure && port == "80":
			usual = true
		default:
			other = true
		}
	}
	return usual || len(c.Proxies) > 0, other
}
