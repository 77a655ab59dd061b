package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// clientCertificate is of a client, and vouches for itself.
func clientCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	template := x509.Certificate{
		SerialNumber: big.NewInt(0xabcdef), Subject: pkix.Name{CommonName: "Ann\x00, NUL", Organization: []string{"Acme=1"}}, EmailAddresses: []string{"ann@example.org"},
		NotBefore: at, NotAfter: at.AddDate(100, 0, 0), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Handlers are told what was agreed on, and what the client has shown of itself. Clients without a certificate share a description.
func TestDescribe(t *testing.T) {
	own := clientCertificate(t)
	cert, _ := certificate()
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
			d := s.Describe(p.transport)
			if d.Version != tls.VersionTLS13 || d.CipherSuite != client.ConnectionState().CipherSuite || d.Verified != c.verified || (len(d.Certificates) == 1) != c.shows {
				t.Errorf("%v: %+v", c.auth, d)
			}
			if same := s.Describe(p.transport) == d; same == c.shows {
				t.Errorf("%v: the same: %v", c.auth, same)
			}
			values := map[string]string{}
			for line := range strings.SplitSeq(strings.TrimSuffix(d.Variables, "\x00"), "\x00") {
				name, value, _ := strings.Cut(line, "=")
				values[name] = value
			}
			want := map[string]string{"SSL_PROTOCOL": "TLSv1.3", "SSL_CIPHER": tls.CipherSuiteName(d.CipherSuite), "SSL_CLIENT_VERIFY": c.verify}
			if c.shows {
				for name, value := range map[string]string{
					"SSL_CLIENT_M_VERSION": "3", "SSL_CLIENT_M_SERIAL": "ABCDEF",
					"SSL_CLIENT_V_START": "Feb  3 04:05:06 2020 GMT", "SSL_CLIENT_V_END": "Feb  3 04:05:06 2120 GMT",
					"SSL_CLIENT_S_DN": `CN=Ann\, NUL,O=Acme=1`, "SSL_CLIENT_S_DN_CN": "Ann, NUL", "SSL_CLIENT_S_DN_O": "Acme=1",
					"SSL_CLIENT_I_DN": `CN=Ann\, NUL,O=Acme=1`, "SSL_CLIENT_I_DN_CN": "Ann, NUL", "SSL_CLIENT_I_DN_O": "Acme=1",
					"SSL_CLIENT_SAN_Email_0": "ann@example.org",
					"SSL_CLIENT_CERT":        string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Leaf.Raw})),
				} {
					want[name] = value
				}
			}
			for name, value := range want {
				if values[name] != value {
					t.Errorf("%v: %s=%q, not %q", c.auth, name, values[name], value)
				}
			}
			if len(values) != len(want) {
				t.Errorf("%v: %q", c.auth, values)
			}
		})
	}
}
