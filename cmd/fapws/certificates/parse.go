package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

const minRSA = 2048

// The error begins with a file name.
func (p *Pair) parse(cert, key []byte) (*tls.Certificate, error) {
	chain, err := parseChain(cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Cert, err)
	}
	private, err := parseKey(key)
	if err != nil {
		if p.Key == "" && errors.Is(err, errNoKey) {
			err = errors.New("has a certificate but no private key; name the file of the key with keyfile")
		}
		return nil, fmt.Errorf("%s: %w", p.keyFile(), err)
	}
	if !matches(private, chain[0]) {
		for i, other := range chain[1:] {
			if matches(private, other) {
				return nil, fmt.Errorf("%s: certificate %d of the file belongs to the key, but must come first", p.Cert, i+2)
			}
		}
		return nil, fmt.Errorf("%s: this key does not belong to the certificate %s; keep the two files that were "+
			"made together", p.keyFile(), p.Cert)
	}
	c := &tls.Certificate{PrivateKey: private, Leaf: chain[0]}
	for _, one := range chain {
		c.Certificate = append(c.Certificate, one.Raw)
	}
	return c, nil
}

func matches(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

func blocks(data []byte) iter.Seq[*pem.Block] {
	return func(yield func(*pem.Block) bool) {
		for block, rest := pem.Decode(data); block != nil && yield(block); block, rest = pem.Decode(rest) {
		}
	}
}

func parseChain(data []byte) (chain []*x509.Certificate, err error) {
	keys := false
	for block := range blocks(data) {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			keys = keys || strings.HasSuffix(block.Type, "PRIVATE KEY")
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the file cannot be read: %s", len(chain)+1,
				strings.TrimPrefix(err.Error(), "x509: "))
		}
		chain = append(chain, c)
	}
	switch {
	case len(chain) > 0:
		return chain, nil
	case keys:
		return nil, errors.New("has a private key but no certificate; are certfile and keyfile swapped?")
	case isDER(data):
		return nil, errors.New("is not in PEM format; convert it: openssl x509 -inform der -in FILE -out FILE.pem")
	case bytes.Contains(data, []byte("-----BEGIN")):
		return nil, errors.New("no complete certificate in this file; copy it again, from -----BEGIN " +
			"CERTIFICATE----- to -----END CERTIFICATE-----")
	}
	return nil, errors.New("no certificate in this file; it must be in PEM format, with -----BEGIN CERTIFICATE-----")
}

func isDER(data []byte) bool { return len(data) > 4 && data[0] == 0x30 && data[1]&0x80 != 0 }

var errNoKey = errors.New("no private key in this file; it must be in PEM format, with -----BEGIN PRIVATE KEY-----")

func parseKey(data []byte) (crypto.Signer, error) {
	for block := range blocks(data) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") { // other blocks are certificates or parameters of a curve
			return decodeKey(block)
		}
	}
	if isDER(data) {
		return nil, errors.New("is not in PEM format; convert it: openssl pkey -inform der -in FILE -out FILE.pem")
	}
	return nil, errNoKey
}

func decodeKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, errors.New("the private key is encrypted, and fapws cannot ask for its password; decrypt the " +
			"key: openssl pkey -in FILE -out FILE.plain && chmod 600 FILE.plain")
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, errors.New("is a key of OpenSSH, not of TLS")
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("the private key cannot be read: %s", strings.TrimPrefix(err.Error(), "x509: "))
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if n := key.N.BitLen(); n < minRSA {
			return nil, fmt.Errorf("an RSA key of %d bits is too short: clients refuse less than %d", n, minRSA)
		}
		return key, nil
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P224() {
			return nil, errors.New("an ECDSA key must be of the curve P-256, P-384 or P-521")
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("a key must be RSA, ECDSA or Ed25519")
}

const maxFile = 1 << 20 // in bytes

// ReadFile returns the contents and the permissions of a file of certificates or keys. If the file is not a regular
// file, such as a FIFO, ReadFile returns an error at once. The text of the error does not contain the name of the file.
func ReadFile(name string) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, system.Cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, system.Cause(err)
	case info.IsDir():
		return nil, 0, errors.New("is a directory; name the file in it")
	case !info.Mode().IsRegular():
		return nil, 0, errors.New("is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, system.Cause(err)
	}
	if len(data) > maxFile {
		return nil, 0, fmt.Errorf("larger than %d MiB, so not a file of certificates or keys", maxFile>>20)
	}
	return data, info.Mode().Perm(), nil
}

// madeAfter is a time before the release of this program. A clock that shows an earlier time is wrong, for example on a
// device without a battery after a power failure.
var madeAfter = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func isWrongClock(now time.Time) bool { return now.Before(madeAfter) }

// judge returns an error if every client would refuse the certificate of p.
func (p *Pair) judge(leaf *x509.Certificate, now time.Time) error {
	if err := checkTimes(leaf, now); err != nil {
		return fmt.Errorf("%s: %w", p.Cert, err)
	}
	if len(namesOf(leaf)) == 0 {
		return fmt.Errorf("%s: the certificate is for no host: it has neither a subjectAltName nor a common name; "+
			"get another one", p.Cert)
	}
	if usages := leaf.ExtKeyUsage; len(usages)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(usages, x509.ExtKeyUsageServerAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		return fmt.Errorf("%s: the certificate is not for a server (extendedKeyUsage without serverAuth)", p.Cert)
	}
	for _, name := range p.Names {
		if !covers(leaf, name) && !p.Later {
			return fmt.Errorf("%s: the certificate does not cover the host %s, only %s; get one that does, or "+
				"another for this host", p.Cert, name, strings.Join(namesOf(leaf), ", "))
		}
	}
	return nil
}

const day = "2006-01-02"

type timeError struct{ text string }

func (e *timeError) Error() string { return e.text }

// checkTimes checks the validity period of a certificate, unless the clock is obviously wrong. The error is a
// *timeError.
func checkTimes(leaf *x509.Certificate, now time.Time) error {
	switch {
	case isWrongClock(now):
		return nil
	case now.After(leaf.NotAfter):
		return &timeError{fmt.Sprintf("the certificate expired on %s; renew it", leaf.NotAfter.UTC().Format(day))}
	case now.Before(leaf.NotBefore):
		return &timeError{fmt.Sprintf("the certificate is not valid before %s, and the clock of this machine says "+
			"%s; correct the clock, or wait", leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))}
	}
	return nil
}

// isOld reports whether two thirds of the lifetime have passed, after which a certificate should be replaced.
func isOld(leaf *x509.Certificate, now time.Time) bool {
	return now.After(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2))
}

// covers reports whether a certificate is valid for a host name of the configuration. A pattern such as "example.*"
// counts as covered.
func covers(leaf *x509.Certificate, name string) bool {
	if strings.HasSuffix(name, ".*") {
		return true
	}
	if slices.ContainsFunc(namesOf(leaf), func(n string) bool { return strings.EqualFold(n, name) }) {
		return true
	}
	if hasOldName(leaf) {
		// VerifyHostname ignores the common name, so convert it to an alternative name.
		leaf = &x509.Certificate{DNSNames: namesOf(leaf)}
	}
	return !strings.HasPrefix(name, "*.") && leaf.VerifyHostname(name) == nil
}

func hasOldName(leaf *x509.Certificate) bool { return len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 }

// mustStaple reports whether clients may refuse a certificate that comes without an OCSP response (RFC 7633).
func mustStaple(leaf *x509.Certificate) bool {
	tlsFeature := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
	const statusRequest, statusRequestV2 = 5, 17
	for i := range leaf.Extensions {
		var features []int
		if e := &leaf.Extensions[i]; e.Id.Equal(tlsFeature) {
			_, err := asn1.Unmarshal(e.Value, &features)
			return err == nil && (slices.Contains(features, statusRequest) || slices.Contains(features, statusRequestV2))
		}
	}
	return false
}

func namesOf(leaf *x509.Certificate) []string {
	if name := leaf.Subject.CommonName; hasOldName(leaf) && name != "" {
		return []string{name}
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

type clients struct {
	authorities *x509.CertPool
	lists       []*x509.RevocationList
	revoked     map[string]bool
}

// keyOf returns a unique map key for a certificate. The issuer is in DER, which contains its own length, so different
// certificates have different keys.
func keyOf(issuer []byte, serial *big.Int) string { return string(issuer) + string(serial.Bytes()) }

// parseClients parses a file of authorities, which may also contain revocation lists (RFC 5280 §5).
func parseClients(data []byte) (*clients, error) {
	chain, err := parseChain(data)
	if err != nil {
		return nil, err
	}
	c := &clients{authorities: x509.NewCertPool(), revoked: map[string]bool{}}
	some := false
	for _, one := range chain {
		some = some || one.IsCA || len(one.AuthorityKeyId) == 0 // an authority, or an old self-signed certificate
		c.authorities.AddCert(one)
	}
	if !some {
		return nil, errors.New("has no certificate of a CA")
	}
	for block := range blocks(data) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("revocation list %d of the file cannot be read: %s", len(c.lists)+1,
				strings.TrimPrefix(err.Error(), "x509: "))
		}
		if !signed(list, chain) {
			return nil, fmt.Errorf("revocation list %d of the file is of %s, which is no CA of this file",
				len(c.lists)+1, list.Issuer)
		}
		for i := range list.RevokedCertificateEntries {
			c.revoked[keyOf(list.RawIssuer, list.RevokedCertificateEntries[i].SerialNumber)] = true
		}
		list.RevokedCertificateEntries = nil
		c.lists = append(c.lists, list)
	}
	return c, nil
}

func signed(list *x509.RevocationList, issuers []*x509.Certificate) bool {
	return slices.ContainsFunc(issuers, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(c) == nil
	})
}

// outdated returns the earliest time at which a revocation list should have been replaced, or the zero time if all
// lists are current.
func (c *clients) outdated(now time.Time) (start time.Time) {
	for _, list := range c.lists {
		if end := list.NextUpdate; !end.IsZero() && end.Before(now) && (start.IsZero() || end.Before(start)) {
			start = end
		}
	}
	return start
}

var errRevoked = errors.New("the certificate is revoked")

// verify verifies a client's certificate, the first certificate of chain. The error is the reason why the authorities
// do not confirm this certificate.
func (c *clients) verify(chain []*x509.Certificate) error {
	between := x509.NewCertPool()
	for _, one := range chain[1:] {
		between.AddCert(one)
	}
	verified, err := chain[0].Verify(x509.VerifyOptions{Roots: c.authorities, Intermediates: between,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return err
	}
	return c.current(verified)
}

// current returns an error if each of the chains has a certificate that its issuer has revoked.
func (c *clients) current(chains [][]*x509.Certificate) error {
	for _, chain := range chains {
		if !slices.ContainsFunc(chain, func(one *x509.Certificate) bool {
			return c.revoked[keyOf(one.RawIssuer, one.SerialNumber)]
		}) {
			return nil
		}
	}
	return errRevoked
}
