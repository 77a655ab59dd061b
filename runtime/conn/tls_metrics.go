package conn

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"

	"fapws/runtime/metrics"
)

type reason uint8

const (
	other reason = iota
	timedOut
	disconnected
	// the client sent an alert, for example because it rejects the server's certificate
	refused
	plainHTTP
	notTLS
	incompatible   // no common version, cipher suite or group
	unknownHost    // no certificate for the requested host
	badCertificate // the client's certificate is missing or invalid
	displaced      // closed to make room for other handshakes
	reasons
)

var reasonNames = [reasons]string{"other", "timeout", "disconnected", "refused", "plain_http", "not_tls",
	"incompatible", "unknown_host", "client_certificate", "displaced"}

type counts struct {
	full, resumed int64
	failed        [reasons]int64
}

func reasonOf(err error) reason {
	var remote *net.OpError
	var verification *tls.CertificateVerificationError
	switch text := err.Error(); {
	case hasLeft(err):
		return disconnected
	case errors.As(err, &remote) && remote.Op == "remote error":
		return refused
	case errors.As(err, &verification), err == errLargeChain, strings.Contains(text, "didn't provide a certificate"):
		return badCertificate
	case strings.Contains(text, "no certificates configured"):
		return unknownHost
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "no cipher suite"),
		strings.Contains(text, "supported by both"):
		return incompatible
	}
	return other
}

// Metrics returns the metrics of TLS, or nil if TLS is not configured. open is the number of connections with TLS.
// Metrics must be called on the loop.
func (s *TLSServer) Metrics(open int) []metrics.Family {
	if s.config.Load() == nil {
		return nil
	}
	failed := metrics.Family{Name: "fapws_tls_handshake_failures", Kind: metrics.Counter,
		Help: "TLS handshakes that have failed, by reason."}
	for r, n := range s.counts.failed {
		failed.Series = append(failed.Series, metrics.Series{Labels: metrics.Labels("reason", reasonNames[r]),
			Value: float64(n)})
	}
	return []metrics.Family{
		metrics.One("fapws_tls_connections", metrics.Gauge, "", "Open connections with TLS, whatever their kind.",
			float64(open)),
		metrics.One("fapws_tls_handshakes_in_progress", metrics.Gauge, "",
			"TLS handshakes under way, and connections whose ClientHello has not come.", float64(s.handshakes.Len())),
		{Name: "fapws_tls_handshakes", Kind: metrics.Counter,
			Help: "TLS handshakes that have succeeded: full, or resumed from an earlier session.",
			Series: []metrics.Series{
				{Labels: metrics.Labels("kind", "full"), Value: float64(s.counts.full)},
				{Labels: metrics.Labels("kind", "resumed"), Value: float64(s.counts.resumed)},
			}},
		failed,
	}
}
