package conn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFailedHandshakesAreLoggedWithTheirReason(t *testing.T) {
	s := newServer(t, nil)
	config := clientConfig()
	config.RootCAs = x509.NewCertPool()
	if err := tls.Client(s.tcp(), config).Handshake(); err == nil {
		t.Fatal("an unknown certificate was accepted")
	}
	s.until("a line", func() bool { return strings.Contains(s.logged(), "the client has refused it") })
	config = clientConfig()
	config.MaxVersion, config.MinVersion = tls.VersionTLS11, tls.VersionTLS10
	if err := tls.Client(s.tcp(), config).Handshake(); err == nil ||
		!strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	s.until("a line", func() bool {
		return strings.Contains(s.logged(), "client offered only unsupported versions: TLS 1.1, TLS 1.0")
	})
	s.SetConfig(nil)
	if err := tls.Client(s.tcp(), clientConfig()).Handshake(); err == nil {
		t.Error("a handshake without a certificate")
	}
	s.until("a line", func() bool { return strings.Contains(s.logged(), "there is no certificate") })
	for range 2 * mostLines {
		c := s.tcp()
		c.Write([]byte{0x80, 1, 2, 3})
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Fatal(err)
		}
	}
	s.do(func() {
		if s.counts.failed != [reasons]int64{refused: 1, incompatible: 1, other: 1, notTLS: 2 * mostLines} {
			t.Errorf("counted %v", s.counts.failed)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) != mostLines {
		t.Errorf("%d lines: %q", len(s.lines), s.lines)
	}
}

// Even in TLS 1.3, OpenSSL rejects a server's certificate with an unencrypted alert.
func TestPlainAlertOfOpenSSLIsUnderstood(t *testing.T) {
	s := newServer(t, nil)
	c, config := s.tcp(), clientConfig()
	config.VerifyConnection = func(tls.ConnectionState) error {
		_, err := c.Write([]byte{isAlert, 3, 3, 0, 2, 2, 48}) // fatal, unknown_ca (RFC 8446 §6)
		return errors.Join(err, io.ErrClosedPipe)
	}
	if err := tls.Client(c, config).Handshake(); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	s.until("a line", func() bool {
		return strings.Contains(s.logged(), "the client has refused it; perhaps it does not trust the certificate")
	})
	s.do(func() {
		if s.counts.failed != [reasons]int64{refused: 1} {
			t.Errorf("counted %v", s.counts.failed)
		}
	})
}
