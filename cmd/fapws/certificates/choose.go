package certificates

import (
	"crypto/tls"
	"net"
	"strings"
)

// chooser finds the certificate for a client by the host that it names (SNI, RFC 6066 §3).
type chooser struct {
	byName map[string][]*tls.Certificate // "example.org", "*.example.org", "example.*" or an IP address
	first  []*tls.Certificate            // for clients that name no host, or an unknown one; nil: these are refused
}

// add makes c the certificate of names. Several of a name differ in the kind of their key; a name of the configuration
// (own) goes before one that is only in another certificate.
func (ch *chooser) add(c *tls.Certificate, names []string) {
	if ch.byName == nil {
		ch.byName = map[string][]*tls.Certificate{}
	}
	for _, name := range names {
		name = strings.Trim(strings.ToLower(strings.TrimSuffix(name, ".")), "[]")
		ch.byName[name] = append(ch.byName[name], c)
	}
}

// choose returns the certificate for a client, or nil if it is to be refused. It is safe for concurrent use.
func (ch *chooser) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" {
		name = localIP(hello.Conn) // clients name no IP address (RFC 6066 §3)
	}
	list := ch.find(name)
	if list == nil {
		list = ch.first
	}
	unnamed := *hello
	unnamed.ServerName = "" // whether the name fits does not matter any more
	for _, c := range list {
		if unnamed.SupportsCertificate(c) == nil {
			return c
		}
	}
	if len(list) > 0 {
		return list[0] // the handshake tells why not
	}
	return nil
}

// find returns the certificates of a name, nil if it has none: its own before those of "*.rest", the longest first, and these
// before those of "beginning.*".
func (ch *chooser) find(name string) []*tls.Certificate {
	if name == "" {
		return nil
	}
	if list := ch.byName[name]; list != nil {
		return list
	}
	if net.ParseIP(name) != nil {
		return nil
	}
	for rest := name; ; {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			break
		}
		if list := ch.byName["*"+rest[dot:]]; list != nil {
			return list
		}
		rest = rest[dot+1:]
	}
	for begin := name; ; {
		dot := strings.LastIndexByte(begin, '.')
		if dot < 0 {
			return nil
		}
		begin = begin[:dot]
		if list := ch.byName[begin+".*"]; list != nil {
			return list
		}
	}
}

// localIP returns the address at which a client has connected, or "".
func localIP(c net.Conn) string {
	if c == nil || c.LocalAddr() == nil {
		return ""
	}
	tcp, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return tcp.IP.String()
}
