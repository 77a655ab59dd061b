package cache

import (
	"crypto/x509"
	"testing"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// A response to a client that has logged in or has a certificate is sent to other clients only if the response's fields
// permit this.
func TestClientWithALoginOrCertificateIsKnown(t *testing.T) {
	c := compile(t, Rule{IgnoreCookies: true})
	for want, peers := range map[bool][]exchange.Peer{
		false: {{}, {TLS: new(conn.TLSState)}},
		true: {{TLS: &conn.TLSState{Certificates: []*x509.Certificate{new(x509.Certificate)}}},
			{User: "ada", Login: exchange.Form}},
	} {
		for _, peer := range peers {
			if got := c.personal(&exchange.Request{Parsed: new(http1.Request), Peer: &peer}); got != want {
				t.Errorf("%+v: %v", peer, got)
			}
		}
	}
}
