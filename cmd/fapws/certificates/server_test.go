package certificates

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
)

func shake(t *testing.T, s *Server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ln := checktest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	defer ln.Close()
	served := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			served <- err
			return
		}
		defer nc.Close()
		c := tls.Server(nc, s.Config())
		if err = c.Handshake(); err == nil {
			_, err = c.Write([]byte("hello"))
		}
		served <- err
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), client)
	if err != nil {
		<-served
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	// In TLS 1.3, the client's handshake ends before the server checks the client's certificate. Reading returns the
	// error.
	if _, err := c.Read(make([]byte, 5)); err != nil {
		<-served
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), <-served
}

func serverWith(t *testing.T, w *Want) *Server {
	t.Helper()
	s := new(Server)
	use(t, s, w, nil)
	return s
}

func use(t *testing.T, s *Server, w *Want, secrets tickets) {
	t.Helper()
	b := checktest.Try(new(Reader).KeySet(w)).Must(t)
	if secrets != nil {
		b.Tickets = secrets
	}
	checktest.Must(t, s.Use(w, b))
}

func pair(t *testing.T, c *certtest.Certificate, names ...string) Pair {
	cert, key := c.Write(t.TempDir())
	return Pair{Cert: cert, Key: key, Names: names}
}

func TestClientGetsTheCertificateOfItsHost(t *testing.T) {
	ca := certtest.NewAuthority(t)
	subject := func(name string, names ...string) *certtest.Certificate {
		return ca.Sign(certtest.Options{Common: name, Names: names})
	}
	w := &Want{Pairs: []Pair{
		pair(t, subject("first", "example.org", "www.example.org", "10.9.8.7")),
		pair(t, subject("wild", "*.example.org")),
		pair(t, subject("own", "shop.example.org", "example.org"), "shop.example.org"),
		pair(t, subject("deep", "*.example.net"), "*.example.net"),
		pair(t, subject("end", "blog.example.com", "blog.example.de"), "blog.*"),
		pair(t, subject("address", "127.0.0.1", "::1")),
		pair(t, subject("late", "www.example.org")),
	}}
	for _, strict := range []bool{false, true} {
		w.Strict = strict
		s := serverWith(t, w)
		for name, want := range map[string]string{
			"example.org": "first", "EXAMPLE.org": "first", "www.example.org": "first", "example.org.": "first",
			"any.example.org": "wild", "shop.example.org": "own", "a.example.net": "deep", "a.b.example.net": "",
			"a.any.example.org": "", "a.b.c.example.org": "", "blog.example.com": "end", "blog.example.co.uk": "end",
			"": "address", "unknown.test": "", "example.net": "",
		} {
			got, err := shake(t, s, &tls.Config{ServerName: name, InsecureSkipVerify: true})
			switch {
			case want == "" && strict:
				checktest.Truef(t, err != nil && strings.Contains(err.Error(), "unrecognized name"), "strict, %s: %v", name, err)
				continue
			case want == "":
				want = "first"
			}
			if err != nil {
				t.Errorf("%q: %v", name, err)
			} else if cn := got.PeerCertificates[0].Subject.CommonName; cn != want {
				t.Errorf("%q gets the certificate %s, want %s", name, cn, want)
			}
		}
	}
}

// The name has 60 KB, which is longer than any valid name.
func TestLongNameOfAClientNeedsOneLookup(t *testing.T) {
	n := names[int]{hosts: map[string]int{"*.b": 1, "a.*": 2}, first: 3}
	long := strings.Repeat("a.", 30_000) + "b"
	checktest.Equalf(t, n.find(long[len(long)-maxName:]), 1, "the longest name")
	looks := testing.AllocsPerRun(1, func() { checktest.Equalf(t, n.find(long), 3, "a longer name") })
	checktest.Truef(t, looks <= 10, "%v names were made", looks)
}

func TestClientGetsTheCertificateThatItSupports(t *testing.T) {
	ca := certtest.NewAuthority(t)
	ec, rsa := ca.For("example.org"), ca.Sign(certtest.Options{Names: []string{"example.org"}, Key: certtest.RSA(t, 2048)})
	s := serverWith(t, &Want{Pairs: []Pair{pair(t, ec), pair(t, rsa)}})
	for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: x509.ECDSA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: x509.RSA,
	} {
		for _, name := range []string{"example.org", "unknown.test"} {
			got, err := shake(t, s, &tls.Config{ServerName: name, InsecureSkipVerify: true,
				MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
			if err != nil {
				t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
			} else if kind := got.PeerCertificates[0].PublicKeyAlgorithm; kind != want {
				t.Errorf("%s: a certificate of %s", tls.CipherSuiteName(suite), kind)
			}
		}
	}
}

// The server supports TLS 1.2 with modern cipher suites only. TLS 1.2 can be disabled.
func TestOnlyTLS12And13AreSupported(t *testing.T) {
	ca := certtest.NewAuthority(t)
	p := pair(t, ca.For("example.org"))
	for _, c := range []struct {
		min, version, suite uint16
		refused             bool
	}{
		{0, tls.VersionTLS13, 0, false},
		{0, tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, false},
		{0, tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, true},
		{0, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, true},
		{0, tls.VersionTLS11, 0, true},
		{tls.VersionTLS13, tls.VersionTLS13, 0, false},
		{tls.VersionTLS13, tls.VersionTLS12, 0, true},
	} {
		s := serverWith(t, &Want{Pairs: []Pair{p}, MinVersion: c.min})
		client := &tls.Config{ServerName: "example.org", RootCAs: ca.Pool(), MinVersion: c.version,
			MaxVersion: c.version, NextProtos: []string{"h9", "http/1.1"}}
		if c.suite != 0 {
			client.CipherSuites = []uint16{c.suite}
		}
		got, err := shake(t, s, client)
		checktest.Equalf(t, err != nil, c.refused, "%+v: %v", c, err)
		checktest.Truef(t, err != nil || got.Version == c.version && got.NegotiatedProtocol == "http/1.1",
			"%+v: version %x, protocol %q", c, got.Version, got.NegotiatedProtocol)
	}
}

func asking(auth tls.ClientAuthType, cas string) []Asking {
	if auth == tls.NoClientCert {
		return nil
	}
	return []Asking{{Default: true, CAs: cas, Auth: auth}}
}

// A client may resume its session at a second process that knows the ticket secret of the session. The session does not
// resume if the second process has only newer or different secrets, for example after the lifetime of the session, or
// asks for client certificates.
func TestSessionResumesAtAnotherProcess(t *testing.T) {
	ca := certtest.NewAuthority(t)
	w := &Want{Pairs: []Pair{pair(t, ca.For("example.org"))}}
	cas := certtest.Write(t, t.TempDir()+"/ca.pem", ca.PEM)
	asking := &Want{Pairs: w.Pairs, Asking: asking(tls.VerifyClientCertIfGiven, cas)}
	later := func(t tickets, periods int) tickets {
		for range periods {
			t = t.next()
		}
		return t
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		secret := tickets{}.next()
		first := new(Server)
		use(t, first, w, secret)
		for name, c := range map[string]struct {
			want    *Want
			tickets tickets
			resumes bool
		}{
			"the same secret":                    {w, secret, true},
			"a period later":                     {w, later(secret, 1), true},
			"the last period":                    {w, later(secret, ticketSecrets-1), true},
			"too late":                           {w, later(secret, ticketSecrets), false},
			"another secret":                     {w, tickets{}.next(), false},
			"asking for certificates of clients": {asking, secret, false},
		} {
			client := &tls.Config{ServerName: "example.org", RootCAs: ca.Pool(), MinVersion: version,
				MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			got, err := shake(t, first, client)
			checktest.Needf(t, err == nil && !got.DidResume, "first connection: resumed %v, %v", got.DidResume, err)
			second := new(Server)
			use(t, second, c.want, c.tickets)
			got, err = shake(t, second, client)
			checktest.Truef(t, err == nil && got.DidResume == c.resumes,
				"TLS %x, %s: resumed %v, %v", version, name, got.DidResume, err)
		}
	}
}

// A Reader makes a new secret after each period, and drops secrets of the day before. Another Reader may take over the
// secrets.
func TestTicketSecretsRotate(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	r := Reader{Now: clock}
	bundle := func(r *Reader) *KeySet { return checktest.Try(r.KeySet(&Want{})).Must(t) }
	first := bundle(&r)
	for i := range ticketSecrets {
		before := bundle(&r)
		now = now.Add(ticketPeriod - 1)
		checktest.Equalf(t, *bundle(&r), *before, "another secret before the period is over")
		now = now.Add(1)
		b := bundle(&r)
		kept := slices.ContainsFunc(b.Tickets, func(one []byte) bool { return bytes.Equal(one, first.Tickets[0]) })
		checktest.Truef(t, !reflect.DeepEqual(b, before) && kept == (i < ticketSecrets-1),
			"period %d: %d secrets, with the first one %v", i+1, len(b.Tickets), kept)
	}
	next := Reader{Now: clock, Kept: r.Kept}
	checktest.Equalf(t, bundle(&next).Tickets[1], r.Kept.Tickets[0], "the next reader does not have the secrets")
}

func TestBundleWithoutACertificateChangesNothing(t *testing.T) {
	ca := certtest.NewAuthority(t)
	w := &Want{Pairs: []Pair{pair(t, ca.For("example.org"))}}
	s := serverWith(t, w)
	err := s.Use(w, &KeySet{})
	checktest.Truef(t, err != nil, "no error")
	err = s.Use(&Want{}, &KeySet{})
	checktest.Truef(t, err != nil, "no error without a certificate")
	_, err = shake(t, s, &tls.Config{ServerName: "example.org", RootCAs: ca.Pool()})
	checktest.Equal(t, err, nil)
	_, err = shake(t, new(Server), &tls.Config{ServerName: "example.org", RootCAs: ca.Pool()})
	checktest.Truef(t, err != nil, "before the first certificate: %v", err)
}

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
		err = checktest.Try(parseClients(lists)).Must(t).verify([]*x509.Certificate{c.Leaf})
		checktest.Equalf(t, err == errRevoked, c == lost, "by a rule, revoked: %v", err)
	}
	_, err := parseClients(slices.Concat(clients.PEM, ca.Revoke(later)))
	checktest.Truef(t, err != nil &&
		strings.Contains(err.Error(), "revocation list 1 of the file is of CN=Test Authority, which is no CA "+
			"of this file"), "a list of another CA: %v", err)
	var log logged
	certtest.Write(t, cas, slices.Concat(clients.PEM, clients.Revoke(time.Now().Add(-time.Hour))))
	checktest.Try((&Reader{Log: log.log}).KeySet(w)).Must(t)
	log.want(t, "ca.pem: a revocation list should have been replaced on")
}
