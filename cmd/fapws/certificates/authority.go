package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"fapws/runtime/system"
)

const (
	CAFile   = "ca.pem" // certificate of the authority, for clients
	caKey    = "ca-key.pem"
	CertFile = "cert.pem" // certificate of the server, followed by that of the authority
	KeyFile  = "key.pem"
)

const (
	caLife   = 20 * 365 * 24 * time.Hour
	leafLife = 397 * 24 * time.Hour // maximum lifetime that browsers accept

	// before is how far in the past certificates begin, because the clocks of clients differ.
	before = 24 * time.Hour
)

type Authority struct {
	Certificate *x509.Certificate
	PEM         []byte
	key         crypto.Signer
}

// Fingerprint returns the SHA-256 hash of the certificate in a PEM file, as browsers show it: "AB:CD:...".
func Fingerprint(text []byte) (string, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return "", errors.New("no certificate in this file")
	}
	return strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(block.Bytes)), " ", ":"), nil
}

func load(d *directory, names []string, now time.Time) (*Authority, error) {
	text, err := d.read(CAFile)
	keyText, keyErr := d.read(caKey)
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist):
		return create(d, names, now)
	case err != nil:
		return nil, fmt.Errorf("cannot read the CA %s: %w%s", d.path(CAFile), system.Cause(err), lost)
	case keyErr != nil:
		return nil, fmt.Errorf("cannot read the key of the CA %s: %w%s", d.path(caKey), system.Cause(keyErr), lost)
	}
	files := Pair{Cert: d.path(CAFile), Key: d.path(caKey)}
	pair, err := files.parse(text, keyText)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, lost)
	}
	return &Authority{pair.Leaf, text, pair.PrivateKey.(crypto.Signer)}, nil
}

const lost = "; restore it, or remove both files to make another CA, which all clients must be told to trust again"

// create creates an authority and writes its key first, because a certificate without its key is useless.
func create(d *directory, names []string, now time.Time) (*Authority, error) {
	key, keyText := newKey()
	host, _ := os.Hostname()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "fapws on " + host + ", " + now.UTC().Format("2006-01-02"),
			Organization: []string{"fapws local CA"}},
		NotBefore:             now.Add(-before),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // the authority cannot sign other authorities

		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         permitted(names),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if err := d.write(caKey, keyText, 0o600); err != nil {
		return nil, err
	}
	if err := d.write(CAFile, block("CERTIFICATE", der), 0o644); err != nil {
		return nil, err
	}
	return load(d, names, now)
}

// local lists the domains of local networks: RFC 6761, 6762, 8375, and domains that routers use.
var local = []string{"localhost", "local", "home.arpa", "internal", "lan", "home"}

// permitted returns the domains for which a new authority may sign: the domains of local networks, and names.
func permitted(names []string) []string {
	domains := slices.Clone(local)
	for _, name := range names {
		if name = strings.TrimPrefix(name, "*."); net.ParseIP(name) == nil && !slices.Contains(domains, name) {
			domains = append(domains, name)
		}
	}
	return domains
}

// vouches reports whether the authority may sign for name. It may sign for every IP address, because its own
// certificate does not restrict addresses.
func (a *Authority) vouches(name string) bool {
	name = strings.TrimPrefix(name, "*.")
	for _, domain := range a.Certificate.PermittedDNSDomains {
		if name == domain || strings.HasSuffix(name, "."+domain) {
			return true
		}
	}
	return len(a.Certificate.PermittedDNSDomains) == 0 || net.ParseIP(name) != nil
}

func (a *Authority) sign(names []string, now time.Time) (cert, key []byte, err error) {
	private, key := newKey()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: names[0]},
		NotBefore:             now.Add(-before),
		NotAfter:              now.Add(leafLife - before),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if template.NotAfter.After(a.Certificate.NotAfter) {
		template.NotAfter = a.Certificate.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	return append(block("CERTIFICATE", der), a.PEM...), key, nil
}

func newKey() (key crypto.Signer, text []byte) {
	// GenerateKey never fails, and a key of P-256 can always be encoded
	made, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, _ := x509.MarshalPKCS8PrivateKey(made)
	return made, block("PRIVATE KEY", der)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// maintain ensures that dir contains an authority and a valid certificate for the names of this machine and for hosts,
// the other names of the server. It creates dir if necessary. done tells the operator what has changed, and doubts has
// a line for each host for which the authority cannot sign. If now is before madeAfter, the clock is wrong. An error is
// one line.
func maintain(dir string, names, hosts []string, now, madeAfter time.Time) (done, doubts []string, err error) {
	d, err := openDirectory(dir)
	if err != nil {
		return nil, nil, err
	}
	defer d.close()
	if now.Before(madeAfter) {
		now = madeAfter
		text, _ := d.read(CertFile)
		if chain, err := parseChain(text); err == nil && now.Before(chain[0].NotBefore) {
			// the new certificate must not be older than the current one
			now = chain[0].NotBefore
		}
	}
	_, missing := d.read(CAFile)
	a, err := load(d, names, now)
	if err != nil {
		return nil, nil, err
	}
	if missing != nil {
		print, _ := Fingerprint(a.PEM)
		done = append(done, fmt.Sprintf("made a CA for this machine, %s; browsers warn until they "+
			"trust it: fapws ctl ca; its SHA-256 fingerprint is %s", d.path(CAFile), print))
	}
	for _, name := range hosts {
		if !a.vouches(name) {
			doubts = append(doubts, fmt.Sprintf("the CA %s may not vouch for the host %s, which is not local "+
				"and was not known when it was made; give the host a certfile, or remove the files in %s to make "+
				"another CA, which all clients must be told to trust again", d.path(CAFile), name, dir))
		}
	}
	// a single forbidden name would make the whole certificate invalid
	names = slices.DeleteFunc(names, func(name string) bool { return !a.vouches(name) })
	why := a.stale(d, names, now)
	if why == "" {
		return done, doubts, nil
	}
	cert, key, err := a.sign(names, now)
	if err != nil {
		return nil, nil, err
	}
	// A server that reads the files between the two writes keeps using the old pair.
	if err := d.write(KeyFile, key, 0o600); err != nil {
		return nil, nil, err
	}
	if err := d.write(CertFile, cert, 0o644); err != nil {
		return nil, nil, err
	}
	return append(done, fmt.Sprintf("made the certificate %s (%s) for %s", d.path(CertFile), why,
		strings.Join(names, ", "))), doubts, nil
}

// stale returns why the certificate in d must be replaced, or "".
func (a *Authority) stale(d *directory, names []string, now time.Time) string {
	text, err := d.read(CertFile)
	if err != nil {
		return "there was none"
	}
	keyText, keyErr := d.read(KeyFile)
	chain, err := parseChain(text)
	if err != nil || keyErr != nil {
		return "it could not be read"
	}
	leaf := chain[0]
	key, err := parseKey(keyText)
	switch {
	case err != nil || !matches(key, leaf):
		return "its key was another one"
	case leaf.CheckSignatureFrom(a.Certificate) != nil || !bytes.HasSuffix(text, a.PEM):
		return "it was of another CA"
	case now.Before(leaf.NotBefore):
		return "it was not valid yet"
	case isOld(leaf, now):
		return "two thirds of its time were over"
	}
	has := namesOf(leaf)
	if i := slices.IndexFunc(names, func(name string) bool { return !slices.Contains(has, name) }); i >= 0 {
		return names[i] + " was missing"
	}
	return ""
}

// machine returns the names and addresses of this machine, and the names in hosts that a certificate can contain,
// without duplicates. After an error, only the addresses of network interfaces are missing.
func machine(hosts []string) (names []string, err error) {
	host, _ := os.Hostname()
	short, _, _ := strings.Cut(host, ".")
	all := []string{host, short, short + ".local", "localhost"} // .local: multicast DNS (RFC 6762)
	all = append(append(all, hosts...), "127.0.0.1", "::1")
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && (n.IP.IsGlobalUnicast() || n.IP.To4() != nil) && !n.IP.IsLoopback() {
			all = append(all, n.IP.String())
		}
	}
	for _, name := range all {
		name = hostKey(name)
		odd := name == "" || name[0] == '.' || strings.HasSuffix(name, "*") || strings.ContainsAny(name, "_ ") &&
			!strings.HasPrefix(name, "*.")
		if ip := net.ParseIP(name); ip != nil {
			name = ip.String()
		}
		if !odd && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}
