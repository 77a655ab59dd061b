package exchange

import "crypto/x509"

// TLS is what was agreed on with a client that uses TLS, and what it has shown of itself. One value does not change; clients without a certificate
// share theirs.
type TLS struct {
	Version, CipherSuite uint16 // as on the wire (RFC 8446 §4.2.1, §B.4): tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256

	// Server is the certificate of the server, in PEM without its chain; "": not known.
	Server string

	// Authorities is the name of those whose certificates the client was asked for: a file. "": it was not asked.
	Authorities string

	// Certificates are those of the client, its own first. nil: it has sent none. Verified says that the authorities vouch for them, Refused
	// says why they do not.
	Certificates []*x509.Certificate
	Verified     bool
	Refused      string

	// Variables are those of Apache's mod_ssl, for applications and programs: "SSL_PROTOCOL=TLSv1.3", "SSL_CLIENT_S_DN=CN=..." and
	// so on, each with a NUL behind it.
	Variables string
}
