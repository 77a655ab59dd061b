package certificates

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Want lists the certificates that the settings of a server require. Processes exchange a Want as JSON.
type Want struct {
	// the first pair is for clients that request no host or an unknown one
	Pairs []Pair

	// Auto is the directory of the machine's own authority, which the Reader maintains; empty if none. Its certificate
	// is also listed in Pairs, and is valid for AutoHosts and the names of the machine.
	Auto      string
	AutoHosts []string

	// ACME is the authority for orders; unused if ACME.Dir is "". The certificates of ACME.Hosts are also listed in
	// Pairs.
	ACME ACME

	Hosts []string

	Asking []Asking // nil if no host requests client certificates

	MinVersion uint16
	NoHTTP2    bool
	Strict     bool // refuse clients that request no host or an unknown host
}

type Pair struct {
	// file with the certificate, followed by the intermediate certificates
	Cert string
	Key  string // empty if the key is in Cert
	// host names that use the certificate; nil means the names in the certificate. The certificate must cover Names.
	Names []string
	Later bool // the certificate is ordered, so the file need not be valid or cover all Names yet
	// origin in the configuration for messages: "--certfile" or "fapws.toml:3: certfile"
	From string
}

// Asking describes the client certificates that some hosts request.
type Asking struct {
	Names []string
	// applies also to clients that request no host or an unknown host
	Default bool

	// file of the accepted authorities; empty if none are requested
	CAs  string
	From string

	// With tls.RequestClientCert, a handshake with an invalid certificate succeeds, and requests are refused with the
	// reason from conn.TLSState.
	Auth tls.ClientAuthType
}

// ACME names the hosts and the authority for orders (orders.go).
type ACME struct {
	Dir, Email, Directory string
	Hosts                 []string

	// Absolute paths of programs that add and remove records in the DNS (dns.go). If DNSHook is empty, the authority
	// connects to this machine.
	DNSHook, DNSCleanup string
}

// Certificates returns the names of each certificate. A name with "*" shares the certificate of its domain.
func (a *ACME) Certificates() iter.Seq[[]string] {
	return func(yield func(names []string) bool) {
		for _, name := range a.Hosts {
			domain, star := strings.CutPrefix(name, "*.")
			names := []string{name}
			if !star && slices.Contains(a.Hosts, "*."+name) {
				names = append(names, "*."+name)
			}
			if !(star && slices.Contains(a.Hosts, domain)) && !yield(names) {
				return
			}
		}
	}
}

func (p *Pair) keyFile() string { return cmp.Or(p.Key, p.Cert) }

func (p *Pair) id() string { return p.Cert + "\x00" + p.keyFile() }

// A KeySet contains the certificates and keys that a Want names, and the secrets of session tickets.
type KeySet struct {
	// the keys are Pair ids, files of authorities, and Want.Auto
	Files   map[string]PairPEM
	Tickets tickets
}

// PairPEM is the PEM of a pair, or of a file of authorities.
type PairPEM struct {
	Certificate []byte // certificate with its chain, or authorities
	PrivateKey  []byte
}

// Authority returns the certificate of the authority of w.Auto in PEM, or nil.
func (b *KeySet) Authority(w *Want) []byte { return b.Files[w.Auto].Certificate }

// hash identifies the requirements for client certificates. A session ticket is valid only for connections
// with the same hash.
func (a *Asking) hash(cas []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte{byte(a.Auth), 0}, cas...))
}

// configs contains the server certificates for new connections, and a configuration for each set of requirements for
// client certificates.
type configs struct {
	// Several certificates for one name have different types of keys. If certs.first is empty, a client whose name
	// matches no certificate is rejected.
	certs  names[[]*tls.Certificate]
	asking names[*config]
	texts  map[*tls.Certificate]string // certificates in PEM, without their chains
	expiry []Expiry

	// for an authority that requests a token; nil if no certificates are ordered
	challenge *tls.Config
}

type Expiry struct {
	Name string
	At   time.Time
}

// mostExpiries limits the report to the certificates that expire first.
const mostExpiries = 250

// expiries returns one entry for each name: the certificate that expires first, if several with different kinds of keys
// have the same name.
func expiries(certs []*tls.Certificate) (list []Expiry) {
	certs = slices.SortedStableFunc(slices.Values(certs), func(a, b *tls.Certificate) int {
		return a.Leaf.NotAfter.Compare(b.Leaf.NotAfter)
	})
	seen := map[string]bool{}
	for _, c := range certs {
		if names := namesOf(c.Leaf); len(names) > 0 && !seen[names[0]] {
			seen[names[0]] = true
			list = append(list, Expiry{names[0], c.Leaf.NotAfter})
		}
	}
	return list[:min(len(list), mostExpiries)]
}

type config struct {
	tls         *tls.Config
	authorities string
	// nil if crypto/tls verifies the chain or no certificate is requested
	verify func(chain []*x509.Certificate) error
}

func newConfigs(w *Want, b *KeySet) (*configs, error) {
	c := &configs{texts: map[*tls.Certificate]string{}}
	c.certs.hosts, c.asking.hosts = map[string][]*tls.Certificate{}, map[string]*config{}
	all, err := c.parse(w, b)
	if err != nil {
		return nil, err
	}
	c.expiry = expiries(all)
	for _, one := range all {
		c.texts[one] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Certificate[0]}))
	}
	if w.ACME.Dir != "" {
		c.challenge = challengeACME(w.ACME.Dir)
	}
	type kind struct {
		cas  string
		auth tls.ClientAuthType
	}
	same := map[kind]*config{}
	for i := range w.Asking {
		a := &w.Asking[i]
		one := same[kind{a.CAs, a.Auth}]
		if one == nil {
			if one, err = c.newConfig(w, a, b); err != nil {
				return nil, err
			}
			same[kind{a.CAs, a.Auth}] = one
		}
		for _, name := range a.Names {
			c.asking.hosts[hostKey(name)] = one
		}
		if a.Default {
			c.asking.first = one
		}
	}
	if c.asking.first == nil {
		c.asking.first, err = c.newConfig(w, &Asking{}, b)
	}
	return c, err
}

func (c *configs) newConfig(w *Want, a *Asking, b *KeySet) (*config, error) {
	cas := b.Files[a.CAs].Certificate
	made := &config{
		authorities: a.CAs,
		tls: &tls.Config{
			MinVersion:       max(w.MinVersion, tls.VersionTLS12),
			CipherSuites:     suites,
			CurvePreferences: curves,
			NextProtos:       w.protocols(),
			// If the result is nil, crypto/tls sends unrecognized_name (RFC 6066 §3).
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return c.certificate(hello), nil
			},
		},
	}
	made.tls.SetSessionTicketKeys(b.Tickets.keys(a.hash(cas)))
	if a.CAs == "" {
		return made, nil
	}
	of, err := parseClients(cas)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.CAs, err)
	}
	made.tls.ClientAuth, made.tls.ClientCAs = a.Auth, of.authorities
	if a.Auth == tls.RequestClientCert {
		made.verify = of.verify
	} else if len(of.lists) > 0 {
		made.tls.VerifyConnection = func(state tls.ConnectionState) error { // also called for resumed sessions
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			if err := of.current(state.VerifiedChains); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
			}
			return nil
		}
	}
	return made, nil
}

// Chooser may be implemented by ClientHelloInfo.Conn. Chooser receives the choice for its client: the certificate in
// PEM, the file of authorities for client certificates ("" if none are requested), and the function that verifies the
// client's chain (nil if the handshake does).
type Chooser interface {
	Chosen(certificate, authorities string, verify func(chain []*x509.Certificate) error)
}

// choose returns the configuration for a client. choose is safe for concurrent use.
func (c *configs) choose(hello *tls.ClientHelloInfo) *tls.Config {
	if c.challenge != nil && asksACME(hello) {
		return c.challenge
	}
	chosen := c.asking.find(asked(hello))
	if conn, ok := hello.Conn.(Chooser); ok {
		conn.Chosen(c.texts[c.certificate(hello)], chosen.authorities, chosen.verify)
	}
	return chosen.tls
}
