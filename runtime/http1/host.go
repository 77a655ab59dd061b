package http1

import (
	"net/netip"
	"strconv"
	"strings"
)

// ValidHost reports whether b is uri-host [":" port] (RFC 9110 §7.2) with a
// host that is not empty. An IP literal is an IPv6 address; it is judged by
// its characters, IPvFuture and zones are refused.
func ValidHost(b []byte) bool {
	i := 0
	if len(b) > 0 && b[0] == '[' {
		for i = 1; i < len(b) && (class[b[i]]&isHex != 0 || b[i] == ':' || b[i] == '.'); i++ {
		}
		if i < 3 || i == len(b) || b[i] != ']' {
			return false
		}
		i++
	} else {
		for ; i < len(b) && b[i] != ':'; i++ {
			if class[b[i]]&isHost != 0 {
				continue
			}
			if b[i] != '%' || i+2 >= len(b) || class[b[i+1]]&class[b[i+2]]&isHex == 0 {
				return false
			}
		}
		if i == 0 {
			return false
		}
	}
	return i == len(b) || b[i] == ':' && validPort(b[i+1:])
}

// validPort reports whether b is a port number or empty (RFC 3986 §3.2.3).
func validPort(b []byte) bool {
	port := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		if port = port*10 + int(c-'0'); port > 65535 {
			return false
		}
	}
	return true
}

// LocalHost reports whether a host, perhaps with a port, is a name of this machine that no name server can give to it: localhost, a name
// below that, or a loopback address; also "", of a request that names none, which no browser sends.
func LocalHost(host string) bool {
	host = strings.ToLower(host)
	if six, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(six, "]")
	} else {
		host, _, _ = strings.Cut(host, ":")
	}
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// ParsePort reads a port as URIs and PROXY lines have it.
func ParsePort(s string) (uint16, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}
