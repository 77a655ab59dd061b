package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

type Options struct {
	Names  []string      // host names and IP addresses
	Key    crypto.Signer // nil means a new ECDSA key of P-256
	Start  time.Time     // zero means an hour ago
	End    time.Time     // zero means in 90 days
	Usages []x509.ExtKeyUsage
	CA     bool
	// common name of the subject; "" means the first element of Names
	Common string
	Extra  []pkix.Extension
}

// Localhost returns a self-signed certificate for localhost and a pool that contains only this certificate.
var Localhost = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := templateOf(Options{Names: []string{"localhost"}, CA: true})
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

type Authority struct {
	T           testing.TB
	Certificate *x509.Certificate
	PEM         []byte
	key         crypto.Signer
}

type Certificate struct {
	T           testing.TB
	Certificate []byte // in PEM, without the certificate of the authority
	// in PEM: Certificate, followed by the certificate of the authority
	Chain, Key []byte
	Leaf       *x509.Certificate
}

func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	key := ECDSA(t)
	template := templateOf(Options{CA: true, Common: "Test Authority"})
	der := checktest.Try(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)).Must(t)
	c := checktest.Try(x509.ParseCertificate(der)).Must(t)
	return &Authority{t, c, block("CERTIFICATE", der), key}
}

func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

func (a *Authority) Sign(o Options) *Certificate {
	a.T.Helper()
	if o.Key == nil {
		o.Key = ECDSA(a.T)
	}
	der, err := x509.CreateCertificate(rand.Reader, templateOf(o), a.Certificate, o.Key.Public(), a.key)
	checktest.Must(a.T, err)
	leaf := checktest.Try(x509.ParseCertificate(der)).Must(a.T)
	key := checktest.Try(x509.MarshalPKCS8PrivateKey(o.Key)).Must(a.T)
	c := &Certificate{T: a.T, Certificate: block("CERTIFICATE", der), Key: block("PRIVATE KEY", key), Leaf: leaf}
	c.Chain = append(append([]byte{}, c.Certificate...), a.PEM...)
	return c
}

// Revoke returns a list of revoked certificates in PEM, which expires at the time of the first argument.
func (a *Authority) Revoke(deadline time.Time, revoked ...*x509.Certificate) []byte {
	a.T.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: deadline}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	return block("X509 CRL", checktest.Try(x509.CreateRevocationList(rand.Reader, list, a.Certificate, a.key)).Must(a.T))
}

func (a *Authority) For(names ...string) *Certificate {
	a.T.Helper()
	return a.Sign(Options{Names: names})
}

// Write writes the chain to cert.pem and the key to key.pem in the directory dir, and returns the two paths. Write
// creates the directory if it is missing.
func (c *Certificate) Write(dir string) (cert, key string) {
	c.T.Helper()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	checktest.Must(c.T, os.MkdirAll(dir, 0o755))
	Write(c.T, cert, c.Chain)
	Write(c.T, key, c.Key)
	return cert, key
}

// Write replaces a file atomically, as certbot does. Only the owner may read the file.
func Write(t testing.TB, name string, data []byte) string {
	t.Helper()
	checktest.Must(t, os.WriteFile(name+".new", data, 0o600))
	checktest.Must(t, os.Rename(name+".new", name))
	return name
}

func ECDSA(t testing.TB) crypto.Signer {
	t.Helper()
	return checktest.Try(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Must(t)
}

func RSA(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	return checktest.Try(rsa.GenerateKey(rand.Reader, bits)).Must(t)
}

func Ed25519(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	checktest.Must(t, err)
	return key
}

func templateOf(o Options) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: o.Common},
		NotBefore:             o.Start,
		NotAfter:              o.End,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           o.Usages,
		BasicConstraintsValid: true,
		IsCA:                  o.CA,
		ExtraExtensions:       o.Extra,
	}
	if o.CA {
		c.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else if o.Usages == nil {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	if o.Common == "" && len(o.Names) > 0 {
		c.Subject.CommonName = o.Names[0]
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	for _, name := range o.Names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
