package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/conn/certtest"
)

// The handshake and the rules of routes reject a revoked certificate, even if its session is resumed.
func TestRevokedCertificateIsRejected(t *testing.T) {
	ca, clients := certtest.NewAuthority(t), certtest.NewAuthority(t)
	p := pair(t, ca.For("example.org"))
	made := func() *certtest.Certificate {
		return clients.Sign(certtest.Options{Common: "client", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	lost, kept := made(), made()
	later := time.Now().Add(24 * time.Hour)
	cas := certtest.Write(t, t.TempDir()+"/ca.pem", clients.PEM)
	lists := slices.Concat(clients.PEM, clients.Revoke(later, made().Leaf), clients.Revoke(later, lost.Leaf))
	w := &Want{Pairs: []Pair{p}, Asking: asking(tls.VerifyClientCertIfGiven, cas)}
	s := serverWith(t, w)
	for _, c := range []*certtest.Certificate{lost, kept} {
		own, err := tls.X509KeyPair(c.Certificate, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{ServerName: "example.org", RootCAs: ca.Pool(), Certificates: []tls.Certificate{own},
			ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		certtest.Write(t, cas, clients.PEM)
		use(t, s, w, nil)
		if _, err := shake(t, s, client); err != nil {
			t.Fatal(err)
		}
		certtest.Write(t, cas, lists)
		use(t, s, w, nil)
		if _, err := shake(t, s, client); (err != nil) != (c == lost) {
			t.Errorf("revoked %v: %v", c == lost, err)
		}
		of, err := parseClients(lists)
		if err != nil {
			t.Fatal(err)
		}
		if err := of.verify([]*x509.Certificate{c.Leaf}); (err == errRevoked) != (c == lost) {
			t.Errorf("by a rule, revoked %v: %v", c == lost, err)
		}
	}
	if _, err := parseClients(slices.Concat(clients.PEM, ca.Revoke(later))); err == nil ||
		!strings.Contains(err.Error(), "revocation list 1 of the file is of CN=Test Authority, which is no CA "+
			"of this file") {
		t.Errorf("a list of another CA: %v", err)
	}
	var log logged
	certtest.Write(t, cas, slices.Concat(clients.PEM, clients.Revoke(time.Now().Add(-time.Hour))))
	if _, err := (&Reader{Log: log.log}).Bundle(w); err != nil {
		t.Fatal(err)
	}
	log.want(t, "ca.pem: a revocation list should have been replaced on")
}
