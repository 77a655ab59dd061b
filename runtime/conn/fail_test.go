package conn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func TestFailedHandshakesAreLoggedWithTheirReason(t *testing.T) {
	s := newServer(t, nil)
	config := clientConfig()
	config.RootCAs = x509.NewCertPool()
	err := tls.Client(s.tcp(), config).Handshake()
	checktest.Needf(t, err != nil, "an unknown certificate was accepted")
	s.until("a line", func() bool { return strings.Contains(s.logged(), "the client has refused it") })
	config = clientConfig()
	config.MaxVersion, config.MinVersion = tls.VersionTLS11, tls.VersionTLS10
	err = tls.Client(s.tcp(), config).Handshake()
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "protocol version"), "TLS 1.1: %v", err)
	s.until("a line", func() bool {
		return strings.Contains(s.logged(), "client offered only unsupported versions: TLS 1.1, TLS 1.0")
	})
	s.SetConfig(nil)
	err = tls.Client(s.tcp(), clientConfig()).Handshake()
	checktest.Truef(t, err != nil, "a handshake without a certificate")
	s.until("a line", func() bool { return strings.Contains(s.logged(), "there is no certificate") })
	for range 2 * mostLines {
		c := s.tcp()
		c.Write([]byte{0x80, 1, 2, 3})
		_, err := io.ReadAll(c)
		checktest.Needf(t, err == nil || errors.Is(err, unix.ECONNRESET), "%v", err)
	}
	s.do(func() {
		checktest.Equalf(t, s.counts.failed, [reasons]int64{refused: 1, incompatible: 1, other: 1, notTLS: 2 * mostLines},
			"counted")
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	checktest.Equalf(t, len(s.lines), mostLines, "lines: %q", s.lines)
}

// Even in TLS 1.3, OpenSSL rejects a server's certificate with an unencrypted alert.
func TestPlainAlertOfOpenSSLIsUnderstood(t *testing.T) {
	s := newServer(t, nil)
	c, config := s.tcp(), clientConfig()
	config.VerifyConnection = func(tls.ConnectionState) error {
		_, err := c.Write([]byte{isAlert, 3, 3, 0, 2, 2, 48}) // fatal, unknown_ca (RFC 8446 §6)
		return errors.Join(err, io.ErrClosedPipe)
	}
	err := tls.Client(c, config).Handshake()
	checktest.Needf(t, errors.Is(err, io.ErrClosedPipe), "%v", err)
	s.until("a line", func() bool {
		return strings.Contains(s.logged(), "the client has refused it; perhaps it does not trust the certificate")
	})
	s.do(func() {
		checktest.Equalf(t, s.counts.failed, [reasons]int64{refused: 1}, "counted")
	})
}
