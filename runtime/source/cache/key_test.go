package cache

import (
	"crypto/x509"
	"testing"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// A client with a certificate is known, like one with a password: its answers are for others only where they say so.
func TestCertificateIsLogin(t *testing.T) {
	for _, known := range []bool{false, true} {
		r := exchange.Request{Parsed: new(http1.Request), Peer: &exchange.Peer{TLS: new(conn.TLSState)}}
		if known {
			r.Peer.TLS.Certificates = []*x509.Certificate{new(x509.Certificate)}
		}
		if got := compile(t, Rule{}).personal(&r); got != known {
			t.Errorf("known %v: %v", known, got)
		}
	}
}
