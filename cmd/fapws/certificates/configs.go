package certificates

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// configs are those of new connections, which differ in the certificates that clients are asked for.
type configs struct {
	chooser *chooser
	byName  names[*config]
	first   *config // for clients that name no host, or another one
	all     []*config
	texts   map[*tls.Certificate]string // in PEM, without the chain
	expiry  []Expiry
}

// Expiry says when a certificate ends.
type Expiry struct {
	Name string // the first host that it is for
	At   time.Time
}

// mostExpiries bounds the certificates whose ends are told: those that come first.
const mostExpiries = 250

// expiries returns the ends of certificates, the first one first. Of those for the same name, as with keys of different kinds, it has the first.
func expiries(all []*tls.Certificate) (list []Expiry) {
	for _, c := range all {
		if names := namesOf(c.Leaf); len(names) > 0 {
			list = append(list, Expiry{names[0], c.Leaf.NotAfter})
		}
	}
	slices.SortStableFunc(list, func(a, b Expiry) int { return a.At.Compare(b.At) })
	seen := map[string]bool{}
	list = slices.DeleteFunc(list, func(e Expiry) bool {
		defer func() { seen[e.Name] = true }()
		return seen[e.Name]
	})
	return list[:min(len(list), mostExpiries)]
}

// config is that of hosts which ask the same.
type config struct {
	tls         *tls.Config
	authorities string // Asking.CAs
	hash        [sha256.Size]byte
	verify      func(chain []*x509.Certificate) error // nil: crypto/tls does that, or nothing is asked
}

// newConfigs makes the configs of a Want with the contents of its files.
func newConfigs(w *Want, b *Bundle) (*configs, error) {
	ch, all, err := newChooser(w, b)
	if err != nil {
		return nil, err
	}
	c := &configs{chooser: ch, texts: map[*tls.Certificate]string{}, expiry: expiries(all)}
	for _, one := range all {
		c.texts[one] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Certificate[0]}))
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
			if one, err = c.newConfig(w, a, b.ClientCAs[a.CAs]); err != nil {
				return nil, err
			}
			same[kind{a.CAs, a.Auth}] = one
		}
		for _, name := range a.Names {
			if c.byName == nil {
				c.byName = names[*config]{}
			}
			c.byName[hostKey(name)] = one
		}
		if a.Default {
			c.first = one
		}
	}
	if c.first == nil {
		c.first, err = c.newConfig(w, &Asking{}, nil)
	}
	return c, err
}

// newConfig makes the config of an Asking, whose authorities are cas.
func (c *configs) newConfig(w *Want, a *Asking, cas []byte) (*config, error) {
	made := &config{
		authorities: a.CAs,
		hash:        a.hash(cas),
		tls: &tls.Config{
			MinVersion:       max(w.MinVersion, tls.VersionTLS12),
			CipherSuites:     suites,
			CurvePreferences: curves,
			NextProtos:       w.protocols(),
			// Without a certificate crypto/tls sends unrecognized_name (RFC 6066 §3).
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return c.chooser.choose(hello), nil },
		},
	}
	c.all = append(c.all, made)
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
		made.tls.VerifyConnection = func(state tls.ConnectionState) error { // of resumed sessions, too
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

// Chooser is ClientHelloInfo.Conn, where it wants to know the choice for its client: the server's certificate in PEM, the file of the
// authorities whose certificates the client is asked for ("": none), and the function that finds out whether the chain of the client is good;
// nil: the handshake has to.
type Chooser interface {
	Chosen(certificate, authorities string, verify func(chain []*x509.Certificate) error)
}

// choose returns the configuration for a client. It is safe for concurrent use.
func (c *configs) choose(hello *tls.ClientHelloInfo) *tls.Config {
	chosen, ok := c.byName.find(asked(hello))
	if !ok {
		chosen = c.first
	}
	if conn, ok := hello.Conn.(Chooser); ok {
		conn.Chosen(c.texts[c.chooser.choose(hello)], chosen.authorities, chosen.verify)
	}
	return chosen.tls
}

// useTickets has sessions resumed with the keys of t.
func (c *configs) useTickets(t *Tickets) {
	for _, one := range c.all {
		one.tls.SetSessionTicketKeys(t.keys(one.hash))
	}
}
