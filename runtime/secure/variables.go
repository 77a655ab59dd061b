package secure

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"fapws/runtime/exchange"
)

// protocols are the values of SSL_PROTOCOL.
var protocols = map[uint16]string{tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}

// agreed is a version with a cipher suite.
type agreed struct{ version, suite uint16 }

// Describe returns what handlers are told of t.
func (s *Server) Describe(t *Transport) *exchange.TLS {
	state := t.tls.ConnectionState()
	if len(state.PeerCertificates) > 0 {
		return describe(&state)
	}
	key := agreed{state.Version, state.CipherSuite}
	d := s.described[key]
	if d == nil {
		if s.described == nil {
			s.described = map[agreed]*exchange.TLS{}
		}
		d = describe(&state)
		s.described[key] = d
	}
	return d
}

// describe makes the variables of mod_ssl: https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#envvars. Names of cipher suites are those of IANA.
func describe(state *tls.ConnectionState) *exchange.TLS {
	d := &exchange.TLS{
		Version: state.Version, CipherSuite: state.CipherSuite,
		Certificates: state.PeerCertificates, Verified: len(state.VerifiedChains) > 0,
	}
	var v variables
	v.set("SSL_PROTOCOL", protocols[state.Version])
	v.set("SSL_CIPHER", tls.CipherSuiteName(state.CipherSuite))
	switch {
	case len(d.Certificates) == 0:
		v.set("SSL_CLIENT_VERIFY", "NONE")
	case d.Verified:
		v.set("SSL_CLIENT_VERIFY", "SUCCESS")
	default:
		v.set("SSL_CLIENT_VERIFY", "GENEROUS")
	}
	for i, c := range d.Certificates {
		text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
		if i == 0 {
			v.certificate(c)
			v.set("SSL_CLIENT_CERT", text)
		} else {
			v.set(fmt.Sprint("SSL_CLIENT_CERT_CHAIN_", i-1), text)
		}
	}
	d.Variables = v.text.String()
	return d
}

// variables collects exchange.TLS.Variables.
type variables struct{ text strings.Builder }

func (v *variables) set(name, value string) {
	v.text.WriteString(name)
	v.text.WriteByte('=')
	v.text.WriteString(strings.ReplaceAll(value, "\x00", ""))
	v.text.WriteByte(0)
}

// certificate sets what is in the certificate of a client.
func (v *variables) certificate(c *x509.Certificate) {
	v.set("SSL_CLIENT_M_VERSION", fmt.Sprint(c.Version))
	v.set("SSL_CLIENT_M_SERIAL", fmt.Sprintf("%X", c.SerialNumber))
	v.set("SSL_CLIENT_V_START", certificateTime(c.NotBefore))
	v.set("SSL_CLIENT_V_END", certificateTime(c.NotAfter))
	v.name("SSL_CLIENT_S_DN", c.Subject)
	v.name("SSL_CLIENT_I_DN", c.Issuer)
	for i, name := range c.DNSNames {
		v.set(fmt.Sprint("SSL_CLIENT_SAN_DNS_", i), name)
	}
	for i, address := range c.EmailAddresses {
		v.set(fmt.Sprint("SSL_CLIENT_SAN_Email_", i), address)
	}
}

// name sets a name (RFC 4514) and its usual parts.
func (v *variables) name(prefix string, n pkix.Name) {
	v.set(prefix, n.String())
	for _, part := range []struct {
		suffix string
		values []string
	}{{"_CN", []string{n.CommonName}}, {"_O", n.Organization}, {"_OU", n.OrganizationalUnit}, {"_C", n.Country}, {"_ST", n.Province}, {"_L", n.Locality}} {
		if len(part.values) > 0 && part.values[0] != "" {
			v.set(prefix+part.suffix, part.values[0])
		}
	}
}

// certificateTime writes a time as OpenSSL does.
func certificateTime(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }
