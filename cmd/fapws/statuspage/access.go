package statuspage

import (
	"net/netip"
	"net/url"
	"strings"

	"fapws/runtime/backend"
	"fapws/runtime/http1"
)

// refused returns why the client of r may not see the page; "": it may.
func refused(r *backend.Request) string {
	if r.Peer.User != "" {
		return ""
	}
	addr, err := netip.ParseAddr(r.Peer.Addr)
	if err != nil || !addr.Unmap().IsLoopback() {
		return "only clients on this machine, or with a password, may see this page"
	}
	if r.Parsed.Forwarded || r.Field("Via") != "" { // from anywhere, although the proxy is on this machine
		return "this page is not for requests through a proxy, unless the host asks for a password"
	}
	if !http1.LocalHost(r.Host()) { // a page elsewhere may have its own name lead to this machine (DNS rebinding)
		return "ask for this page at localhost or 127.0.0.1"
	}
	return ""
}

// fromElsewhere reports whether a browser has sent r because a page of another site told it to.
func fromElsewhere(r *backend.Request) bool {
	if site := r.Field("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	origin := r.Field("Origin")
	if origin == "" {
		return false // not a browser, or an old one that sends a form of the same site
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host())
}
