package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// clients are the authorities of client certificates, and what they have revoked.
type clients struct {
	authorities *x509.CertPool
	lists       []*x509.RevocationList
	revoked     map[string]bool // by issuer and serial number (keyOf)
}

// keyOf identifies a certificate: a name in DER tells its own length.
func keyOf(issuer []byte, serial *big.Int) string { return string(issuer) + string(serial.Bytes()) }

// parseClients reads a file of authorities, which may have their revocation lists, too (RFC 5280 §5).
func parseClients(data []byte) (*clients, error) {
	pool, err := parseCAs(data)
	if err != nil {
		return nil, err
	}
	c := &clients{authorities: pool, revoked: map[string]bool{}}
	chain, err := parseChain(data)
	if err != nil {
		return nil, err
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return c, nil
		}
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("revocation list %d of the file cannot be read: %s", len(c.lists)+1, strings.TrimPrefix(err.Error(), "x509: "))
		}
		if !signed(list, chain) {
			return nil, fmt.Errorf("revocation list %d of the file is of %s, which is no authority of this file", len(c.lists)+1, list.Issuer)
		}
		for i := range list.RevokedCertificateEntries {
			c.revoked[keyOf(list.RawIssuer, list.RevokedCertificateEntries[i].SerialNumber)] = true
		}
		list.RevokedCertificateEntries = nil
		c.lists = append(c.lists, list)
	}
}

// signed reports whether one of the certificates has signed list.
func signed(list *x509.RevocationList, by []*x509.Certificate) bool {
	for _, c := range by {
		if bytes.Equal(c.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(c) == nil {
			return true
		}
	}
	return false
}

// outdated returns when the first list should have been replaced, zero if none.
func (c *clients) outdated(now time.Time) (since time.Time) {
	for _, list := range c.lists {
		if end := list.NextUpdate; !end.IsZero() && end.Before(now) && (since.IsZero() || end.Before(since)) {
			since = end
		}
	}
	return since
}

var errRevoked = errors.New("the certificate is revoked")

// verify reports why a client that has sent chain, its own certificate first, is not one that the authorities vouch for.
func (c *clients) verify(chain []*x509.Certificate) error {
	between := x509.NewCertPool()
	for _, one := range chain[1:] {
		between.AddCert(one)
	}
	verified, err := chain[0].Verify(x509.VerifyOptions{Roots: c.authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return err
	}
	return c.current(verified)
}

// current returns an error if each of the chains has a certificate that its issuer has revoked.
func (c *clients) current(chains [][]*x509.Certificate) error {
	for _, chain := range chains {
		if !slices.ContainsFunc(chain, func(one *x509.Certificate) bool { return c.revoked[keyOf(one.RawIssuer, one.SerialNumber)] }) {
			return nil
		}
	}
	return errRevoked
}
