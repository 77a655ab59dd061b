package route

import (
	"bytes"
	"cmp"
	"iter"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

var forwardFields = [...]string{
	"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix",
	"x-ingress-path",
}

const (
	forwarded = iota // RFC 7239
	client
	proto
	host
	port
	prefix
	ingress // X-Ingress-Path, the path prefix from Home Assistant
)

// AppendForwarded appends the host and the forwarding fields of a request to dst, in the form that Believe reads.
// Callers call Believe only if the result differs from the result for the previous request of the connection.
func AppendForwarded(dst []byte, r *http1.Request, head []byte) []byte {
	host := r.Authority // Authority overrides Host (RFC 9112 §3.2.2)
	if host.Len == 0 {
		host = r.Host
	}
	dst = append(append(append(dst, 'h'), host.In(head)...), '\n')
	if !r.Forwarded {
		return dst
	}
	for _, f := range r.Fields {
		name := f.Name.In(head)
		if i := slices.IndexFunc(forwardFields[:],
			func(known string) bool { return http1.EqualFold(name, known) }); i >= 0 {
			dst = append(append(append(dst, '0'+byte(i)), f.Value.In(head)...), '\n')
		}
	}
	return dst
}

// Believe evaluates the output of AppendForwarded for a request from a trusted proxy. Believe returns the client that
// the trustworthy fields describe, and the host from the request itself: from its target or its Host field.
func Believe(forwarded []byte, trusted func(netip.Addr) bool) (o ForwardedClient, host string) {
	var f forwarding
	for line := range bytes.Lines(forwarded) {
		value := string(line[1 : len(line)-1])
		if line[0] == 'h' {
			host = value
		} else {
			lines := &f[line[0]-'0']
			*lines = append(*lines, value)
		}
	}
	return f.origin(trusted), host
}

type forwarding [len(forwardFields)][]string

// ForwardedClient is the client as trusted proxies describe it. A string is empty if no trusted proxy sent the value.
type ForwardedClient struct {
	addr, port     string
	proto          string
	host, hostPort string

	// decoded path prefix below which clients reach the server, such as "/a/b"
	Prefix             string
	BadField, BadValue string
}

const maxPrefix = 256 // maximum length of a path prefix, in bytes

// origin walks the chain of forwarding fields from the nearest proxy, which is trusted, to the first untrusted address.
// Everything beyond this address can be forged. X-Forwarded-For takes precedence over Forwarded, because nearly every
// proxy sets X-Forwarded-For, and most of them forward the client's Forwarded field unchanged.
func (f *forwarding) origin(trusted func(netip.Addr) bool) (o ForwardedClient) {
	hops, found := 0, false
	if len(f[client]) == 0 {
		hops, found = o.followForwarded(f[forwarded], trusted)
	}
	if !found {
		hops = o.followFor(f[client], trusted)
		o.setProto("X-Forwarded-Proto", fromRight(f[proto], hops))
		o.setHost("X-Forwarded-Host", fromRight(f[host], hops))
		hostPort := fromRight(f[port], hops)
		n, ok := http1.ParsePort(hostPort)
		o.set(&o.hostPort, "X-Forwarded-Port", hostPort, ok && n > 0)
	}
	field, raw := "X-Forwarded-Prefix", fromRight(f[prefix], hops)
	if raw == "" {
		field, raw = "X-Ingress-Path", fromRight(f[ingress], hops)
	}
	if raw != "" {
		clean, ok := cleanPrefix(raw)
		if o.Prefix = clean; !ok {
			o.bad(field, raw)
		}
	}
	return o
}

// followFor evaluates X-Forwarded-For, and returns the number of proxies that have appended an address to the field, at
// least 1.
func (o *ForwardedClient) followFor(lines []string, trusted func(netip.Addr) bool) (hops int) {
	for member := range backwards(lines) {
		hops++
		if !o.step("X-Forwarded-For", member, trusted) {
			break
		}
	}
	return max(1, hops)
}

func (o *ForwardedClient) step(field, node string, trusted func(netip.Addr) bool) bool {
	addr, port, ok := parseNode(node)
	if !ok {
		// If the address of a node is unknown or hidden, nothing beyond this node can be trusted.
		if node != "unknown" && !strings.HasPrefix(node, "_") {
			o.bad(field, node)
		}
		return false
	}
	o.addr, o.port = addr.String(), port
	return trusted(addr)
}

// followForwarded evaluates Forwarded, and returns false if it could not parse any element of the field. If several
// trusted proxies sent a scheme or host, the values from the proxy that is nearest to the client apply.
func (o *ForwardedClient) followForwarded(lines []string, trusted func(netip.Addr) bool) (hops int, found bool) {
	for _, line := range slices.Backward(lines) {
		for rest, more := line, true; more; {
			var e element
			var ok bool
			if e, rest, more, ok = lastElement(rest); !ok {
				o.bad("Forwarded", line)
				return hops, found
			}
			if e == (element{}) {
				continue
			}
			hops, found = hops+1, true
			o.setProto("Forwarded", e.proto)
			o.setHost("Forwarded", e.host)
			if e.node == "" || !o.step("Forwarded", e.node, trusted) {
				return hops, found
			}
		}
	}
	return hops, found
}

func (o *ForwardedClient) bad(field, value string) {
	if o.BadField == "" {
		o.BadField, o.BadValue = field, value
	}
}

func (o *ForwardedClient) set(to *string, field, value string, valid bool) {
	switch {
	case value == "":
	case valid:
		*to = value
	default:
		o.bad(field, value)
	}
}

// setProto sets the scheme. It also accepts wss and ws, which Traefik sends for WebSocket handshakes.
func (o *ForwardedClient) setProto(field, s string) {
	switch strings.ToLower(s) {
	case "https", "wss":
		o.proto = "https"
	case "http", "ws":
		o.proto = "http"
	default:
		o.set(&o.proto, field, s, false)
	}
}

func (o *ForwardedClient) setHost(field, s string) {
	o.set(&o.host, field, s, http1.ValidHost([]byte(s)))
}

// cleanPrefix validates a path prefix and removes its trailing slash. The prefix must consist of whole segments without
// percent-encoding or control characters.
func cleanPrefix(s string) (prefix string, ok bool) {
	path := string(http1.DecodePath(nil, []byte(s)))
	unsafe := func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }
	if len(s) > maxPrefix || strings.ContainsAny(s, "?#") || !http1.IsCanonicalPath(path) ||
		strings.ContainsFunc(path, unsafe) {
		return "", false
	}
	return strings.TrimSuffix(path, "/"), true
}

// Peer returns the client that applications see. connected is the peer of the connection, a trusted proxy.
func (o *ForwardedClient) Peer(connected *conn.Peer, host string) *conn.Peer {
	p := *connected
	p.Balances = o.addr == ""
	if p.Balances && o.proto == "" && o.host == "" && o.hostPort == "" {
		return &p
	}
	p.TLS = nil // the TLS state describes the proxy
	if !p.Balances {
		p.Addr, p.Port = o.addr, o.port
	}
	p.HTTPS = cmp.Or(o.proto, p.Scheme()) == "https"
	if o.proto == "" && o.host == "" && o.hostPort == "" {
		return &p
	}
	usual := "80"
	if p.HTTPS {
		usual = "443"
	}
	name, port := splitHost(cmp.Or(o.host, host))
	if o.host != "" {
		p.ServerName, p.Host = name, o.host
		if port == "" && o.hostPort != "" && o.hostPort != usual {
			p.Host = name + ":" + o.hostPort
		}
	}
	p.ServerPort = cmp.Or(port, o.hostPort, usual)
	return &p
}

// splitHost splits a host from its port. splitHost keeps the brackets of an IPv6 address.
func splitHost(host string) (name, port string) {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i], host[i+1:]
	}
	return host, ""
}

// parseNode parses an address such as 192.0.2.1, 192.0.2.1:4711 or [2001:db8::1]:4711. The result port is "" if the
// port is missing or obfuscated (RFC 7239 §6.3).
func parseNode(s string) (addr netip.Addr, port string, ok bool) {
	host, hasPort := s, false
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return addr, "", false
		}
		host, port = s[1:end], s[end+1:]
		if port, hasPort = strings.CutPrefix(port, ":"); port != "" && !hasPort || !strings.Contains(host, ":") {
			return addr, "", false
		}
	} else if strings.Count(s, ":") == 1 {
		host, port, hasPort = strings.Cut(s, ":")
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return addr, "", false
	}
	addr = addr.WithZone("") // the zone names an interface of the proxy (RFC 4007 §6)
	if hasPort && strings.HasPrefix(port, "_") {
		return addr.Unmap(), "", true
	}
	if _, ok := http1.ParsePort(port); hasPort && !ok {
		return addr, "", false
	}
	return addr.Unmap(), port, true
}

// backwards yields the members of a list from its end (RFC 9110 §5.6.1).
func backwards(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			for _, member := range slices.Backward(strings.Split(line, ",")) {
				if member = strings.Trim(member, " \t"); member != "" && !yield(member) {
					return
				}
			}
		}
	}
}

// fromRight returns the n-th member of a list, counted from the end, or the first member if the list is shorter. Some
// proxies append a member to the list; most proxies replace the field.
func fromRight(lines []string, n int) (member string) {
	for one := range backwards(lines) {
		if n == 0 {
			break
		}
		member = one
		n--
	}
	return member
}

// An element is an element of a Forwarded field: the parameters that one proxy has added (RFC 7239 §4).
type element struct{ node, proto, host string }

const maxReach = 16

// lastElement splits the last element from a list and returns the element and the rest. It tries the shortest suffix
// first, so that an unclosed quote or other text from the client cannot hide the element that a proxy has appended.
// more is true if a comma precedes the element, so that the rest contains more elements.
func lastElement(list string) (e element, rest string, further, ok bool) {
	comma := len(list)
	for range maxReach {
		comma = strings.LastIndexByte(list[:comma], ',')
		if e, ok = parseElement(list[comma+1:]); ok {
			return e, list[:max(comma, 0)], comma >= 0, true
		}
		if comma < 0 {
			break
		}
	}
	return element{}, "", false, false
}

// forwardedPair matches a parameter of a Forwarded field, even with a value that should be quoted but is not, such as
// an address with a port.
var forwardedPair = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([^=;, \t"]+)=(?:"((?:[^"\\]|\\.)*)"|([^";, \t\\]+))[ \t]*(?:;|$)`)
})

func parseElement(s string) (e element, ok bool) {
	for s = strings.TrimLeft(s, "; \t"); s != ""; s = strings.TrimLeft(s, "; \t") {
		pair := forwardedPair().FindStringSubmatch(s)
		if pair == nil {
			return e, false
		}
		s = s[len(pair[0]):]
		var to *string
		switch strings.ToLower(pair[1]) {
		case "for":
			to = &e.node
		case "proto":
			to = &e.proto
		case "host":
			to = &e.host
		default:
			continue
		}
		if *to != "" { // each parameter may occur only once (RFC 7239 §4)
			return e, false
		}
		*to = pair[3] + unescape.Replace(pair[2])
	}
	return e, true
}

var unescape = strings.NewReplacer(`\\`, `\`, `\`, "")
