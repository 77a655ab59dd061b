package conn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
)

// alternativeNames returns a subjectAltName extension with an email address and a user principal name of Active
// Directory (RFC 5280 §4.2.1.6).
func alternativeNames(t *testing.T) pkix.Extension {
	t.Helper()
	type other struct {
		Kind asn1.ObjectIdentifier
		Name string `asn1:"tag:0,explicit,utf8"`
	}
	user := checktest.Try(asn1.MarshalWithParams(other{userPrincipalName, "ann@corp.example"}, "tag:0")).Must(t)
	all := checktest.Try(asn1.Marshal([]asn1.RawValue{{FullBytes: user},
		{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("ann@example.org")}})).Must(t)
	return pkix.Extension{Id: subjectAltName, Value: all}
}

func clientCertificate(t *testing.T, hosts ...string) tls.Certificate {
	t.Helper()
	key := checktest.Try(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Must(t)
	at := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	template := x509.Certificate{
		SerialNumber: big.NewInt(0xabcdef), Subject: pkix.Name{CommonName: "Ann\x00, NUL",
			Organization: []string{"Acme=1"}, OrganizationalUnit: []string{"one", "two"},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1},
				Value: "ann"}}},
		DNSNames:  hosts,
		NotBefore: at, NotAfter: at.AddDate(100, 0, 0), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(hosts) == 0 {
		template.ExtraExtensions = []pkix.Extension{alternativeNames(t)}
	}
	der := checktest.Try(x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)).Must(t)
	leaf := checktest.Try(x509.ParseCertificate(der)).Must(t)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestHandlersGetTLSParametersAndClientCertificates(t *testing.T) {
	own := clientCertificate(t)
	name := strings.ReplaceAll(own.Leaf.Subject.String(), "\x00", "")
	cert, _ := certtest.Localhost()
	for _, c := range []struct {
		auth     tls.ClientAuthType
		shows    bool
		verify   string
		verified bool
	}{
		{tls.NoClientCert, false, "NONE", false}, {tls.VerifyClientCertIfGiven, false, "NONE", false},
		{tls.RequireAnyClientCert, true, "GENEROUS", false}, {tls.RequireAndVerifyClientCert, true, "SUCCESS", true},
	} {
		s := newServer(t, nil)
		pool := x509.NewCertPool()
		pool.AddCert(own.Leaf)
		s.SetConfig(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: c.auth, ClientCAs: pool})
		config := clientConfig()
		if c.shows {
			config.Certificates = []tls.Certificate{own}
		}
		client := s.dial(config, nil)
		echoes(t, client, []byte("hello"))
		p := s.only()
		s.do(func() {
			d := p.transport.TLS()
			checktest.Truef(t, d.Version == tls.VersionTLS13 && d.CipherSuite == client.ConnectionState().CipherSuite &&
				d.Verified == c.verified && (len(d.Certificates) == 1) == c.shows, "%v: %+v", c.auth, d)
			values := map[string]string{}
			for line := range strings.SplitSeq(strings.TrimSuffix(d.Variables, "\x00"), "\x00") {
				name, value, _ := strings.Cut(line, "=")
				values[name] = value
			}
			want := map[string]string{"SSL_PROTOCOL": "TLSv1.3", "SSL_CIPHER": tls.CipherSuiteName(d.CipherSuite),
				"SSL_CLIENT_VERIFY": c.verify}
			if c.shows {
				for name, value := range map[string]string{
					"SSL_CLIENT_M_VERSION": "3", "SSL_CLIENT_M_SERIAL": "ABCDEF",
					"SSL_CLIENT_V_START": "Feb  3 04:05:06 2020 GMT", "SSL_CLIENT_V_END": "Feb  3 04:05:06 2120 GMT",
					"SSL_CLIENT_V_REMAIN": fmt.Sprint(int(time.Until(own.Leaf.NotAfter).Hours() / 24)),
					"SSL_CLIENT_S_DN":     name, "SSL_CLIENT_S_DN_CN": "Ann, NUL", "SSL_CLIENT_S_DN_O": "Acme=1",
					"SSL_CLIENT_S_DN_OU": "one", "SSL_CLIENT_S_DN_OU_1": "two", "SSL_CLIENT_S_DN_UID": "ann",
					"SSL_CLIENT_I_DN": name, "SSL_CLIENT_I_DN_CN": "Ann, NUL", "SSL_CLIENT_I_DN_O": "Acme=1",
					"SSL_CLIENT_I_DN_OU": "one", "SSL_CLIENT_I_DN_OU_1": "two", "SSL_CLIENT_I_DN_UID": "ann",
					"SSL_CLIENT_A_SIG": "ecdsa-with-SHA256", "SSL_CLIENT_A_KEY": "id-ecPublicKey",
					"SSL_CLIENT_CERT_RFC4523_CEA":  `{ serialNumber 11259375, issuer rdnSequence:"` + name + `" }`,
					"SSL_CLIENT_SAN_Email_0":       "ann@example.org",
					"SSL_CLIENT_SAN_OTHER_msUPN_0": "ann@corp.example",
					"SSL_CLIENT_CERT":              string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Leaf.Raw})),
				} {
					want[name] = value
				}
			}
			for name, value := range want {
				checktest.Equalf(t, values[name], value, "%v: %s", c.auth, name)
			}
			checktest.Equalf(t, len(values), len(want), "%v: %q", c.auth, values)
		})
	}
}

func TestClientCertificateThatIsTooLargeEndsTheHandshake(t *testing.T) {
	cert, _ := certtest.Localhost()
	for _, hosts := range []int{5000, 20_000} {
		s := newServer(t, nil)
		s.SetConfig(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert})
		config := clientConfig()
		config.Certificates = []tls.Certificate{clientCertificate(t, slices.Repeat([]string{"h"}, hosts)...)}
		client := s.dial(config, nil)
		if size := len(config.Certificates[0].Certificate[0]); size > maxChain {
			n, err := client.Read(make([]byte, 1))
			checktest.Truef(t, err != nil, "a certificate of %d bytes: %d bytes were answered", size, n)
			if log := s.logged(); !strings.Contains(log,
				"TLS handshake failed: the client's certificates have more than 32768 bytes") {
				t.Errorf("a certificate of %d bytes: %s", size, log)
			}
			continue
		}
		echoes(t, client, []byte("hello"))
		p := s.only()
		s.do(func() {
			checktest.Equalf(t, strings.Count(p.transport.TLS().Variables, "SSL_CLIENT_SAN_DNS_"), maxNames, "variables")
		})
	}
}
