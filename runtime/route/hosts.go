package route

import (
	"fmt"
	"net/netip"
	"strings"

	"fapws/runtime/http1"
)

// hosts finds the site for a host name, as its index: exact names win over "*.example.org",
// of which the longest wins, over "example.*", as in nginx.
type hosts struct {
	exact    map[string]int
	suffixes map[string]int // ".example.org"
	prefixes map[string]int // "example."
	strict   bool           // other hosts are refused
	scratch  [256]byte
}

// maxHost is the length of the longest host that is looked up; names in DNS have up to 253 bytes.
const maxHost = 255

// newHosts returns the hosts of sites, or nil if there is nothing to choose.
// The error is one line.
func newHosts(sites []Site, strict bool) (*hosts, error) {
	h := &hosts{exact: map[string]int{}, suffixes: map[string]int{}, prefixes: map[string]int{}}
	for i := range sites {
		if len(sites[i].Names) == 0 {
			if i > 0 {
				return nil, fmt.Errorf("site %d of %d has no name; only the first site can serve all hosts", i+1, len(sites))
			}
			strict = false // it is for all hosts
		}
		for _, name := range sites[i].Names {
			if err := h.add(name, i); err != nil {
				return nil, err
			}
		}
	}
	if h.strict = strict; len(sites) < 2 && !strict {
		return nil, nil
	}
	return h, nil
}

func (h *hosts) add(name string, site int) error {
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
	if other, taken := table[key]; taken && other != site {
		return fmt.Errorf("the host %q belongs to two sites", name)
	}
	table[key] = site
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
	normal := string(NormalHost(nil, []byte(bare)))
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

// find returns the site for the value of a Host field, or -1.
func (h *hosts) find(host []byte) int {
	name := NormalHost(h.scratch[:0], host)
	if site, ok := h.exact[string(name)]; ok {
		return site
	}
	if len(h.suffixes) > 0 {
		for i := range name {
			if name[i] == '.' && i > 0 {
				if site, ok := h.suffixes[string(name[i:])]; ok {
					return site
				}
			}
		}
	}
	if len(h.prefixes) > 0 {
		for i := len(name) - 2; i >= 0; i-- {
			if name[i] == '.' {
				if site, ok := h.prefixes[string(name[:i+1])]; ok {
					return site
				}
			}
		}
	}
	return -1
}

// NormalHost appends a host, the value of a Host field, without port and trailing dot, in lower case; an IPv6 literal
// in its shortest form. Of a text that is too long to be one it is "".
func NormalHost(dst, host []byte) []byte {
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
