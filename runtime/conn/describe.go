package conn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"

	"fapws/runtime/exchange"
	"fapws/runtime/metrics"
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

// reason says why a handshake has failed, for the counter of that.
type reason uint8

const (
	other          reason = iota
	timedOut              // the client took longer than the timeout
	disconnected          // the client left
	refused               // the client does not take the certificate of the server, or something else
	plainHTTP             // a request without TLS
	notTLS                // anything else without TLS
	incompatible          // no version, cipher suite or group in common
	unknownHost           // no certificate for the host that the client names
	badCertificate        // a certificate of the client that is missing or not valid
	displaced             // other handshakes needed its place
	reasons
)

var reasonNames = [reasons]string{"other", "timeout", "disconnected", "refused", "plain_http", "not_tls", "incompatible", "unknown_host", "client_certificate", "displaced"}

// counts are the handshakes there have been.
type counts struct {
	full, resumed int64
	failed        [reasons]int64
}

// reasonOf returns why crypto/tls has ended a handshake.
func reasonOf(err error) reason {
	var remote *net.OpError
	var verification *tls.CertificateVerificationError
	switch text := err.Error(); {
	case hasLeft(err):
		return disconnected
	case errors.As(err, &remote) && remote.Op == "remote error":
		return refused
	case errors.As(err, &verification), strings.Contains(text, "didn't provide a certificate"):
		return badCertificate
	case strings.Contains(text, "no certificates configured"):
		return unknownHost
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "no cipher suite"), strings.Contains(text, "supported by both"):
		return incompatible
	}
	return other
}

// Metrics returns the counts, and open, the number of connections with TLS; nil if there is no TLS. It must be called on the loop.
func (s *TLSServer) Metrics(open int) []metrics.Family {
	if s.config.Load() == nil {
		return nil
	}
	failed := metrics.Family{Name: "fapws_tls_handshake_failures", Kind: metrics.Counter, Help: "TLS handshakes that have failed, by reason."}
	for r, n := range s.counts.failed {
		failed.Series = append(failed.Series, metrics.Series{Labels: metrics.Labels("reason", reasonNames[r]), Value: float64(n)})
	}
	return []metrics.Family{
		metrics.One("fapws_tls_connections", metrics.Gauge, "", "Open connections with TLS, whatever their kind.", float64(open)),
		metrics.One("fapws_tls_handshakes_in_progress", metrics.Gauge, "", "TLS handshakes under way, and connections whose ClientHello has not come.", float64(s.handshakes.n)),
		{Name: "fapws_tls_handshakes", Kind: metrics.Counter, Help: "TLS handshakes that have succeeded: full, or resumed from an earlier session.", Series: []metrics.Series{
			{Labels: metrics.Labels("kind", "full"), Value: float64(s.counts.full)},
			{Labels: metrics.Labels("kind", "resumed"), Value: float64(s.counts.resumed)},
		}},
		failed,
	}
}
