package route

import "fapws/runtime/exchange"

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
