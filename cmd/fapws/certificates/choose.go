package certificates

import (
	"crypto/tls"
	"net"
	"strings"
)

// chooser finds the certificate for a client by the host that it names.
type chooser struct {
	byName names[[]*tls.Certificate]
	first  []*tls.Certificate // for clients that name no host, or an unknown one; nil: these are refused
}

// add makes c the certificate of names. Several of a name differ in the kind of their key; a name of the configuration
// (own) goes before one that is only in another certificate.
func (ch *chooser) add(c *tls.Certificate, names []string) {
	if ch.byName == nil {
		ch.byName = map[string][]*tls.Certificate{}
	}
	for _, name := range names {
		key := hostKey(name)
		ch.byName[key] = append(ch.byName[key], c)
	}
}

// choose returns the certificate for a client, or nil if it is to be refused. It is safe for concurrent use.
func (ch *chooser) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	list, ok := ch.byName.find(asked(hello))
	if !ok {
		list = ch.first
	}
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		unnamed := *hello
		unnamed.ServerName = "" // whether the name fits does not matter any more
		for _, c := range list {
			if unnamed.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return list[0] // if the client does not support it, the handshake tells why
}

// names has a value for each host: "example.org", "*.example.org", "example.*" or an IP address.
type names[T any] map[string]T

// hostKey is how a name of the configuration or of a certificate is compared.
func hostKey(name string) string {
	return strings.Trim(strings.ToLower(strings.TrimSuffix(name, ".")), "[]")
}

// find returns the value of a name: its own goes before that of "*.rest", the longest first, and these before
// that of "beginning.*".
func (n names[T]) find(name string) (value T, ok bool) {
	if name == "" {
		return value, false
	}
	if value, ok = n[name]; ok || net.ParseIP(name) != nil {
		return value, ok
	}
	for rest := name; ; {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			break
		}
		if value, ok = n["*"+rest[dot:]]; ok {
			return value, true
		}
		rest = rest[dot+1:]
	}
	for begin := name; ; {
		dot := strings.LastIndexByte(begin, '.')
		if dot < 0 {
			return value, false
		}
		begin = begin[:dot]
		if value, ok = n[begin+".*"]; ok {
			return value, true
		}
	}
}

// asked returns the host that a client wants: the name that it sends (SNI, RFC 6066 §3), or else the address at which it has connected, because
// clients name no IP address.
func asked(hello *tls.ClientHelloInfo) string {
	if name := strings.ToLower(strings.TrimSuffix(hello.ServerName, ".")); name != "" {
		return name
	}
	c := hello.Conn
	if c == nil || c.LocalAddr() == nil {
		return ""
	}
	tcp, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return tcp.IP.String()
}
