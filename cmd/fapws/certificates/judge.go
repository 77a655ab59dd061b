package certificates

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// madeAfter is a time before which this program did not exist: a clock that says less is wrong, as on a device that
// has no battery for it and has just been switched on.
var madeAfter = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// IsWrongClock reports whether now is a time before this program was made.
func IsWrongClock(now time.Time) bool { return now.Before(madeAfter) }

// judge returns an error if every client would refuse the certificate of p.
func (p *Pair) judge(leaf *x509.Certificate, now time.Time) error {
	if err := checkTimes(leaf, now); err != nil {
		return fmt.Errorf("%s: %w", p.Cert, err)
	}
	if len(namesOf(leaf)) == 0 {
		return fmt.Errorf("%s: the certificate is for no host: it has neither a subjectAltName nor a common name; get another one", p.Cert)
	}
	if usages := leaf.ExtKeyUsage; len(usages)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(usages, x509.ExtKeyUsageServerAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		return fmt.Errorf("%s: the certificate is not for a server (extendedKeyUsage without serverAuth)", p.Cert)
	}
	for _, name := range p.Names {
		if !covers(leaf, name) {
			return fmt.Errorf("%s: the certificate does not cover the host %s, only %s; get one that does, or another for this host",
				p.Cert, name, strings.Join(namesOf(leaf), ", "))
		}
	}
	return nil
}

const day = "2006-01-02"

// timeError is the error of a certificate that is good at another time.
type timeError struct{ text string }

func (e *timeError) Error() string { return e.text }

// checkTimes holds now to the certificate's period, unless the clock is obviously wrong. The error is a *timeError.
func checkTimes(leaf *x509.Certificate, now time.Time) error {
	switch {
	case IsWrongClock(now):
		return nil
	case now.After(leaf.NotAfter):
		return &timeError{fmt.Sprintf("the certificate expired on %s; renew it", leaf.NotAfter.UTC().Format(day))}
	case now.Before(leaf.NotBefore):
		return &timeError{fmt.Sprintf("the certificate is not valid before %s, and the clock of this machine says %s; correct the clock, or wait",
			leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))}
	}
	return nil
}

// covers reports whether a certificate is for a name of a host in the configuration. Patterns with an open end cannot be
// compared; they pass.
func covers(leaf *x509.Certificate, name string) bool {
	if strings.HasSuffix(name, ".*") {
		return true
	}
	if slices.ContainsFunc(namesOf(leaf), func(n string) bool { return strings.EqualFold(n, name) }) {
		return true
	}
	if hasOldName(leaf) {
		leaf = &x509.Certificate{DNSNames: namesOf(leaf)} // VerifyHostname ignores common names
	}
	return !strings.HasPrefix(name, "*.") && leaf.VerifyHostname(name) == nil
}

// hasOldName reports whether a certificate has no subjectAltName, so that its common name is the name of its host.
func hasOldName(leaf *x509.Certificate) bool { return len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 }

// namesOf returns the names and addresses that a certificate is for.
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

// parseCAs reads the authorities of client certificates.
func parseCAs(data []byte) (*x509.CertPool, error) {
	chain, err := parseChain(data)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	some := false
	for _, c := range chain {
		if c.IsCA || len(c.AuthorityKeyId) == 0 { // an authority, or old and self-signed
			some = true
		}
		pool.AddCert(c)
	}
	if !some {
		return nil, errors.New("has no certificate of an authority (CA)")
	}
	return pool, nil
}
