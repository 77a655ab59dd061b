package conn

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

type choice struct {
	certificate string // the server's certificate, in PEM
	authorities string
	// verifies the client's certificates; nil if crypto/tls verifies them
	verify func(chain []*x509.Certificate) error
}

// Chosen records what a callback of the tls.Config has selected for the client. certificate is the server's certificate
// in PEM. authorities is the path of the file with the authorities for client certificates. verify verifies the
// client's chain; nil means that crypto/tls verifies the chain. Chosen must be called during the
// handshake, on its goroutine, with the wire from tls.ClientHelloInfo.Conn.
func (w *wire) Chosen(certificate, authorities string, verify func(chain []*x509.Certificate) error) {
	if h, ok := w.over.(*TLSHandshake); ok {
		h.choice = choice{certificate, authorities, verify}
	}
}

// maxChain limits the certificates of a client, in bytes. crypto/tls accepts 256 KiB, and each connection would keep
// several copies of them.
const maxChain = 32 << 10

var errLargeChain = fmt.Errorf("the client's certificates have more than %d bytes", maxChain)

func checkChain(chain []*x509.Certificate) error {
	size := 0
	for _, c := range chain {
		size += len(c.Raw)
	}
	if size > maxChain {
		return errLargeChain
	}
	return nil
}

func describe(state *tls.ConnectionState, c *choice) *TLSState {
	d := &TLSState{
		Version: state.Version, CipherSuite: state.CipherSuite, Server: c.certificate, Authorities: c.authorities,
		Certificates: state.PeerCertificates, Verified: len(state.VerifiedChains) > 0,
	}
	if c.verify != nil && len(d.Certificates) > 0 {
		err := c.verify(d.Certificates)
		if d.Verified = err == nil; err != nil {
			// remove the possible causes that crypto/x509 appends to the error
			d.Refused, _, _ = strings.Cut(strings.TrimPrefix(err.Error(), "x509: "), " (possibly")
		}
	}
	d.Variables = variablesOf(d)
	return d
}

var protocols = map[uint16]string{tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2",
	tls.VersionTLS13: "TLSv1.3"}

var (
	signatures = map[x509.SignatureAlgorithm]string{
		x509.SHA1WithRSA: "sha1WithRSAEncryption", x509.SHA256WithRSA: "sha256WithRSAEncryption",
		x509.SHA384WithRSA: "sha384WithRSAEncryption",
		x509.SHA512WithRSA: "sha512WithRSAEncryption", x509.SHA256WithRSAPSS: "rsassaPss",
		x509.SHA384WithRSAPSS: "rsassaPss", x509.SHA512WithRSAPSS: "rsassaPss",
		x509.ECDSAWithSHA1: "ecdsa-with-SHA1", x509.ECDSAWithSHA256: "ecdsa-with-SHA256",
		x509.ECDSAWithSHA384: "ecdsa-with-SHA384",
		x509.ECDSAWithSHA512: "ecdsa-with-SHA512", x509.PureEd25519: "ED25519",
	}
	keys = map[x509.PublicKeyAlgorithm]string{x509.RSA: "rsaEncryption", x509.ECDSA: "id-ecPublicKey",
		x509.Ed25519: "ED25519"}
)

// variablesOf returns the environment variables with which Apache's mod_ssl describes a client
// (https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#envvars). Cipher suites have their IANA names.
func variablesOf(d *TLSState) string {
	var v variables
	v.set("SSL_PROTOCOL", protocols[d.Version])
	v.set("SSL_CIPHER", tls.CipherSuiteName(d.CipherSuite))
	switch {
	case len(d.Certificates) == 0:
		v.set("SSL_CLIENT_VERIFY", "NONE")
	case d.Verified:
		v.set("SSL_CLIENT_VERIFY", "SUCCESS")
	case d.Refused != "":
		v.set("SSL_CLIENT_VERIFY", "FAILED:"+d.Refused)
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
	return v.text.String()
}

// maxNames limits how many names of one kind become variables, because every variable makes each request of the client
// slower.
const maxNames = 100

type variables struct{ text strings.Builder }

func (v *variables) set(name, value string) {
	v.text.WriteString(name)
	v.text.WriteByte('=')
	v.text.WriteString(strings.ReplaceAll(value, "\x00", ""))
	v.text.WriteByte(0)
}

func (v *variables) certificate(c *x509.Certificate) {
	v.set("SSL_CLIENT_M_VERSION", fmt.Sprint(c.Version))
	v.set("SSL_CLIENT_M_SERIAL", fmt.Sprintf("%X", c.SerialNumber))
	v.set("SSL_CLIENT_V_START", certificateTime(c.NotBefore))
	v.set("SSL_CLIENT_V_END", certificateTime(c.NotAfter))
	v.set("SSL_CLIENT_V_REMAIN", fmt.Sprint(max(0, int(time.Until(c.NotAfter).Hours()/24)))) // in days
	v.name("SSL_CLIENT_S_DN", c.Subject)
	v.name("SSL_CLIENT_I_DN", c.Issuer)
	v.set("SSL_CLIENT_A_SIG", signatures[c.SignatureAlgorithm])
	v.set("SSL_CLIENT_A_KEY", keys[c.PublicKeyAlgorithm])
	v.set("SSL_CLIENT_CERT_RFC4523_CEA", fmt.Sprintf(`{ serialNumber %d, issuer rdnSequence:"%s" }`, c.SerialNumber,
		strings.ReplaceAll(c.Issuer.String(), `"`, `""`)))
	for i, name := range c.DNSNames[:min(len(c.DNSNames), maxNames)] {
		v.set(fmt.Sprint("SSL_CLIENT_SAN_DNS_", i), name)
	}
	for i, address := range c.EmailAddresses[:min(len(c.EmailAddresses), maxNames)] {
		v.set(fmt.Sprint("SSL_CLIENT_SAN_Email_", i), address)
	}
	users := principals(c)
	for i, name := range users[:min(len(users), maxNames)] {
		v.set(fmt.Sprint("SSL_CLIENT_SAN_OTHER_msUPN_", i), name)
	}
}

// nameParts lists the parts of a distinguished name that become variables, with the suffixes of the variables.
var nameParts = []struct{ suffix, id string }{
	{"_CN", "2.5.4.3"}, {"_O", "2.5.4.10"}, {"_OU", "2.5.4.11"}, {"_C", "2.5.4.6"}, {"_ST", "2.5.4.8"},
	{"_L", "2.5.4.7"}, {"_T", "2.5.4.12"}, {"_I", "2.5.4.43"}, {"_G", "2.5.4.42"}, {"_S", "2.5.4.4"},
	{"_D", "2.5.4.13"}, {"_UID", "0.9.2342.19200300.100.1.1"}, {"_Email", "1.2.840.113549.1.9.1"},
}

// name sets the variables for a distinguished name (RFC 4514) and for its usual parts. If a part occurs several times,
// the second variable has the suffix _1, the third _2, and so on.
func (v *variables) name(prefix string, n pkix.Name) {
	v.set(prefix, n.String())
	for _, part := range nameParts {
		number, i := "", 0
		for _, one := range n.Names {
			if one.Type.String() != part.id || i == maxNames {
				continue
			}
			if text := fmt.Sprint(one.Value); text != "" {
				v.set(prefix+part.suffix+number, text)
				i++
				number = fmt.Sprint("_", i)
			}
		}
	}
}

var (
	subjectAltName    = asn1.ObjectIdentifier{2, 5, 29, 17}
	userPrincipalName = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// principals returns the Active Directory user principal names in a certificate, which are alternative names of the
// type otherName (RFC 5280 §4.2.1.6). crypto/x509 ignores this type.
func principals(c *x509.Certificate) (names []string) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(subjectAltName) {
			continue
		}
		var all []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &all); err != nil || len(rest) > 0 {
			return names
		}
		for _, one := range all {
			var other struct {
				Kind asn1.ObjectIdentifier
				Name asn1.RawValue
			}
			if one.Class != asn1.ClassContextSpecific || one.Tag != 0 {
				continue
			}
			if _, err := asn1.UnmarshalWithParams(one.FullBytes, &other, "tag:0"); err == nil &&
				other.Kind.Equal(userPrincipalName) {
				var name string
				if _, err := asn1.UnmarshalWithParams(other.Name.Bytes, &name, "utf8"); err == nil {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

func certificateTime(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }

// A TLSState is immutable.
type TLSState struct {
	Version, CipherSuite uint16 // numeric identifiers (RFC 8446 §4.2.1, §B.4)

	// Server is the certificate of the server, in PEM without its chain; "" if unknown.
	Server string

	// Authorities is the file with the authorities for client certificates; "" if the server did not request a
	// certificate.
	Authorities string

	// Certificates are the client's certificates, the one of the client itself first; nil if the client sent none.
	// Verified reports whether the configured authorities signed these certificates; otherwise Refused is the reason.
	Certificates []*x509.Certificate
	Verified     bool
	Refused      string

	// Variables are the variables of Apache's mod_ssl for applications and programs, such as "SSL_PROTOCOL=TLSv1.3",
	// each terminated by a NUL.
	Variables string
}
