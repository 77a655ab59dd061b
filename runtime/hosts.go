package runtime

import (
	"fmt"
	"net/netip"
	"strings"

	"fapws/runtime/http1"
)

// hosts finds the site for a host name: exact names win over "*.example.org",
// of which the longest wins, over "example.*", as nginx has it.
type hosts struct {
	exact    map[string]*Site
	suffixes map[string]*Site // ".example.org"
	prefixes map[string]*Site // "example."
	strict   bool             // others are refused
	scratch  [256]byte
}

// maxHost is the longest name that DNS knows is 253; a longer one is nobody's.
const maxHost = 255

// newHosts returns the table for sites, or nil if there is nothing to choose.
// The error, of one line, names what is wrong.
func newHosts(sites []Site, strict bool) (*hosts, error) {
	h := &hosts{exact: map[string]*Site{}, suffixes: map[string]*Site{}, prefixes: map[string]*Site{}}
	for i := range sites {
		if len(sites[i].Names) == 0 {
			if i > 0 {
				return nil, fmt.Errorf("site %d of %d has no name, and only the first one can be for all hosts", i+1, len(sites))
			}
			strict = false // it is for all hosts
		}
		for _, name := range sites[i].Names {
			if err := h.add(name, &sites[i]); err != nil {
				return nil, err
			}
		}
	}
	if h.strict = strict; len(sites) < 2 && !strict {
		return nil, nil
	}
	return h, nil
}

func (h *hosts) add(name string, s *Site) error {
	key, err := HostName(name)
	if err != nil {
		return err
	}
	table := h.exact
	switch {
	case strings.HasPrefix(key, "*."):
		table, key = h.suffixes, key[1:]
	case strings.HasSuffix(key, ".*"):
		table, key = h.prefixes, key[:len(key)-1]
	}
	if other := table[key]; other != nil && other != s {
		return fmt.Errorf("the host %q belongs to two sites", name)
	}
	table[key] = s
	return nil
}

// HostName returns a name for Site.Names in the form in which two that mean the
// same are equal. The error is one line.
func HostName(name string) (string, error) {
	key := strings.TrimSuffix(strings.ToLower(name), ".")
	bare := strings.TrimPrefix(key, "*.")
	if bare == key {
		bare = strings.TrimSuffix(key, ".*")
	}
	normal := string(normalHost(nil, []byte(bare)))
	switch {
	case strings.HasPrefix(bare, "[") && http1.ValidHost([]byte(bare)) && strings.HasSuffix(bare, "]") && bare == key && normal != "":
		return normal, nil
	case normal == bare && isDomain(bare):
		return key, nil
	}
	return "", fmt.Errorf("%q is not the name of a host (example.org, *.example.org, example.*, [2001:db8::1])", name)
}

// isDomain checks for labels of letters, in lower case, digits, "-" and "_".
func isDomain(name string) bool {
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// find returns the site for the value of a Host field, or nil.
func (h *hosts) find(host []byte) *Site {
	name := normalHost(h.scratch[:0], host)
	if s := h.exact[string(name)]; s != nil {
		return s
	}
	if len(h.suffixes) > 0 {
		for i := range name {
			if name[i] == '.' && i > 0 {
				if s := h.suffixes[string(name[i:])]; s != nil {
					return s
				}
			}
		}
	}
	if len(h.prefixes) > 0 {
		for i := len(name) - 2; i >= 0; i-- {
			if name[i] == '.' {
				if s := h.prefixes[string(name[:i+1])]; s != nil {
					return s
				}
			}
		}
	}
	return nil
}

// normalHost appends a host without port and trailing dot, in lower case; an
// IPv6 literal in its shortest form. What is too long to be one is "".
func normalHost(dst, host []byte) []byte {
	if len(host) > maxHost {
		return dst
	}
	if len(host) > 0 && host[0] == '[' {
		for i, c := range host {
			if c == ']' {
				if a, err := netip.ParseAddr(string(host[1:i])); err == nil {
					return append(a.AppendTo(append(dst, '[')), ']')
				}
			}
		}
		return dst
	}
	for _, c := range host {
		if c == ':' {
			break
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	if n := len(dst); n > 0 && dst[n-1] == '.' {
		dst = dst[:n-1]
	}
	return dst
}

// site returns what answers for the host of the request in l.req; nil: nobody.
func (l *loop) site(c *conn, head []byte) *Site {
	if l.hosts == nil {
		return &l.sites[0]
	}
	var site *Site
	host := l.host(head)
	if c.front != nil && c.front.trusted && c.front.peer.Host != "" {
		host = append(l.said[:0], c.front.peer.Host...)
		l.said = host
	}
	if len(host) == 0 {
		return &l.sites[0] // HTTP/1.0
	}
	if site = l.hosts.find(host); site == nil && !l.hosts.strict {
		site = &l.sites[0]
	}
	return site
}

// host returns the host and port that the request in l.req names, or nothing.
func (l *loop) host(head []byte) []byte {
	if l.req.Authority.Len > 0 { // RFC 9112 §3.2.2: it wins
		return l.req.Authority.In(head)
	}
	return l.req.Host.In(head)
}
