package route

import (
	"bytes"
	"net/netip"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// AppendForwarded appends the fields of a request that Believe reads: its way through proxies, and its host. Most
// requests of a connection say the same, which is cheap to compare.
func AppendForwarded(dst []byte, r *http1.Request, head []byte) []byte {
	host := r.Authority // RFC 9112 §3.2.2: it wins
	if host.Len == 0 {
		host = r.Host
	}
	dst = append(append(append(dst, 'h'), host.In(head)...), '\n')
	if !r.Forwarded {
		return dst
	}
	for _, f := range r.Fields {
		if letter := forwardLetter(f.Name.In(head)); letter != 0 {
			dst = append(append(append(dst, letter), f.Value.In(head)...), '\n')
		}
	}
	return dst
}

// Believe returns what can be believed of forwarded fields, as AppendForwarded has them, of a request that a
// trusted proxy has sent, and the host that the request itself names.
func Believe(forwarded []byte, trusted func(netip.Addr) bool) (o Origin, host string) {
	var f forwarding
	for line := range bytes.Lines(forwarded) {
		value := string(line[1 : len(line)-1])
		switch line[0] {
		case 'h':
			host = value
		case 'f':
			f.forwarded = append(f.forwarded, value)
		case 'c':
			f.client = append(f.client, value)
		case 's':
			f.proto = append(f.proto, value)
		case 'a':
			f.host = append(f.host, value)
		case 'p':
			f.port = append(f.port, value)
		case 'r':
			f.path = append(f.path, value)
		}
	}
	return f.origin(trusted), host
}

// forwardLetter returns the letter that stands for a field, 0: it says nothing of proxies.
func forwardLetter(name []byte) byte {
	const x = "x-forwarded-"
	switch len(name) {
	case len("forwarded"):
		if bytes.EqualFold(name, []byte("forwarded")) {
			return 'f'
		}
	case len(x + "for"), len(x + "host"), len(x + "proto"), len(x + "prefix"):
		if !bytes.EqualFold(name[:len(x)], []byte(x)) {
			return 0
		}
		for _, one := range [...]struct {
			name   string
			letter byte
		}{{"for", 'c'}, {"proto", 's'}, {"host", 'a'}, {"port", 'p'}, {"prefix", 'r'}} {
			if len(one.name) == len(name)-len(x) && bytes.EqualFold(name[len(x):], []byte(one.name)) {
				return one.letter
			}
		}
	}
	return 0
}

// ClientCert says which certificate a client has to show for a request (TLS client authentication, RFC 8446 §4.3.2).
type ClientCert struct {
	// Authorities are those that have to vouch for it, as exchange.TLS names them; "": no certificate is asked for.
	Authorities string
	Need        CertNeed
}

// CertNeed says which clients pass.
type CertNeed uint8

// The needs.
const (
	AnyClient    CertNeed = iota // also those with a certificate that is refused
	NoBadCert                    // those without a certificate, too
	VerifiedCert                 // those with a certificate that the authorities vouch for
)

// check returns the status and the text with which client is refused; 0: it passes. A connection that was made for another host, whose clients
// are asked for other certificates, is not one to believe: with 421 a browser opens another connection (RFC 9110 §15.5.20).
func (n *ClientCert) check(client *exchange.Peer) (status int, text string) {
	t := client.TLS
	switch {
	case n.Authorities == "":
		return 0, ""
	case t == nil && n.Need == VerifiedCert:
		return 403, "a client certificate is required, so only HTTPS connections to this server are accepted"
	case t == nil:
		return 0, ""
	case t.Authorities != n.Authorities:
		return 421, "this connection was opened for another host, with other client certificates"
	case t.Refused != "" && n.Need != AnyClient:
		return 403, "the client certificate is refused: " + t.Refused
	case !t.Verified && n.Need == VerifiedCert:
		return 403, "a client certificate is required"
	}
	return 0, ""
}
