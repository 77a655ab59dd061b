package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
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
		own := checktest.Try(tls.X509KeyPair(c.Certificate, c.Key)).Must(t)
		client := &tls.Config{ServerName: "example.org", RootCAs: ca.Pool(), Certificates: []tls.Certificate{own},
			ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		certtest.Write(t, cas, clients.PEM)
		use(t, s, w, nil)
		checktest.Try(shake(t, s, client)).Must(t)
		certtest.Write(t, cas, lists)
		use(t, s, w, nil)
		_, err := shake(t, s, client)
		checktest.Equalf(t, err != nil, c == lost, "revoked: %v", err)
		of := checktest.Try(parseClients(lists)).Must(t)
		err = of.verify([]*x509.Certificate{c.Leaf})
		checktest.Equalf(t, err == errRevoked, c == lost, "by a rule, revoked: %v", err)
	}
	_, err := parseClients(slices.Concat(clients.PEM, ca.Revoke(later)))
	checktest.Truef(t, err != nil &&
		strings.Contains(err.Error(), "revocation list 1 of the file is of CN=Test Authority, which is no CA "+
			"of this file"), "a list of another CA: %v", err)
	var log logged
	certtest.Write(t, cas, slices.Concat(clients.PEM, clients.Revoke(time.Now().Add(-time.Hour))))
	checktest.Try((&Reader{Log: log.log}).Bundle(w)).Must(t)
	log.want(t, "ca.pem: a revocation list should have been replaced on")
}
