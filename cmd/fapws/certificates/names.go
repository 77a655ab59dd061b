package certificates

import (
	"crypto/tls"
	"net"
	"strings"
)

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
