package http1

import (
	"net/netip"
	"strings"
)

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
