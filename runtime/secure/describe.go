package secure

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync"

	"fapws/runtime/exchange"
)

// choice is what the configuration has chosen for a client.
type choice struct {
	certificate string // the server's, in PEM
	authorities string
	verify      func(chain []*x509.Certificate) error // nil: crypto/tls has done that
}

// Chosen notes what a callback of the configuration has chosen for the client: the server's certificate in PEM, the name of the authorities whose
// certificates the client is asked for, and the function that finds out whether its chain is good; nil: the handshake does. It must be called
// during the handshake, on its goroutine; the wire is tls.ClientHelloInfo.Conn.
func (w *wire) Chosen(certificate, authorities string, verify func(chain []*x509.Certificate) error) {
	if h := w.handshake; h != nil {
		h.choice = choice{certificate, authorities, verify}
	}
}

// descriptions are those of clients without a certificate, which share them. They are safe for concurrent use.
type descriptions struct {
	mu   sync.Mutex
	made map[agreed]*exchange.TLS
}

// agreed is what they differ in.
type agreed struct {
	version, suite           uint16
	certificate, authorities string
}

// mostDescriptions bounds them. There are more only if certificates were renewed very often.
const mostDescriptions = 64

// of returns the description of a connection with state, for which the configuration has made a choice.
func (d *descriptions) of(state *tls.ConnectionState, c *choice) *exchange.TLS {
	if len(state.PeerCertificates) > 0 {
		return describe(state, c)
	}
	key := agreed{state.Version, state.CipherSuite, c.certificate, c.authorities}
	d.mu.Lock()
	defer d.mu.Unlock()
	made := d.made[key]
	if made == nil {
		if d.made == nil || len(d.made) >= mostDescriptions {
			d.made = map[agreed]*exchange.TLS{}
		}
		made = describe(state, c)
		d.made[key] = made
	}
	return made
}

// describe holds the certificate of a client to the authorities, and makes its variables.
func describe(state *tls.ConnectionState, c *choice) *exchange.TLS {
	d := &exchange.TLS{
		Version: state.Version, CipherSuite: state.CipherSuite, Server: c.certificate, Authorities: c.authorities,
		Certificates: state.PeerCertificates, Verified: len(state.VerifiedChains) > 0,
	}
	if c.verify != nil && len(d.Certificates) > 0 {
		err := c.verify(d.Certificates)
		if d.Verified = err == nil; err != nil {
			d.Refused, _, _ = strings.Cut(strings.TrimPrefix(err.Error(), "x509: "), " (possibly") // guesses of crypto/x509
		}
	}
	d.Variables = variablesOf(d)
	return d
}
