package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"fapws/runtime/system"
)

// target is where requests go.
type target struct {
	network, address string
	base             string      // path that takes the place of the prefix; "": none
	host             string      // for the Host field
	tls              *tls.Config // nil: none
	connect          time.Duration
}

// parseTarget takes Options.Target apart. secure: it is https.
func parseTarget(text string) (t target, name string, secure bool, err error) {
	bad := fmt.Errorf("%q is not one of http://host:port, https://host:port, unix:/path", text)
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path, base, _ := strings.Cut(path, ":")
		if !strings.HasPrefix(path, "/") || base != "" && !strings.HasPrefix(base, "/") {
			return t, "", false, bad
		}
		return target{network: "unix", address: path, base: base, host: "localhost"}, "", false, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return t, "", false, bad
	}
	t = target{network: "tcp", address: u.Host, base: u.Path, host: u.Host}
	if u.Port() == "" {
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		t.address = net.JoinHostPort(u.Hostname(), port)
	}
	return t, u.Hostname(), u.Scheme == "https", nil
}

// newTarget checks the options of o for the upstream. Certificates of authorities are
// read here, as later there may be a chroot around the process.
func newTarget(o *Options) (t target, err error) {
	t, name, secure, err := parseTarget(o.Target)
	t.connect = o.Connect
	if err != nil || !secure {
		return t, err
	}
	t.tls = &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: o.NoVerify,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	if o.TLSName != "" {
		t.tls.ServerName = o.TLSName
	}
	switch {
	case o.NoVerify:
	case o.CA != "":
		t.tls.RootCAs, err = authorities(o.CA)
	default:
		if t.tls.RootCAs, err = x509.SystemCertPool(); err == nil && t.tls.RootCAs.Equal(x509.NewCertPool()) {
			err = errors.New("this system has no CA certificates to verify the server's certificate")
		}
	}
	return t, err
}

// authorities reads certificates from a file in PEM.
func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &CAError{err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &CAError{fmt.Errorf("%s: no PEM certificate found", file)}
	}
	return pool, nil
}

// CAError is an error of New about Options.CA.
type CAError struct{ error }

// Lookup returns the name that has to be looked up for a connection to the server, "" if
// there is none.
func (p *Proxy) Lookup() string {
	host, _, _ := net.SplitHostPort(p.target.address)
	if _, err := netip.ParseAddr(host); err == nil || p.target.network == "unix" {
		return ""
	}
	return host
}

// dial connects to the server, with TLS if it has that.
func (t *target) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.connect)
	defer cancel()
	dialer := net.Dialer{Control: system.ControlDescriptor} // with keep-alive of TCP
	conn, err := dialer.DialContext(ctx, t.network, t.address)
	if err != nil || t.tls == nil {
		return conn, err
	}
	secure := tls.Client(&carrier{Conn: conn}, t.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, handshakeError(err)
	}
	return secure, nil
}

// handshakeError describes a failed handshake in one line.
func handshakeError(err error) error {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("certificate verification failed: %w", certificate.Err)
	case errors.As(err, &record):
		return fmt.Errorf("the server does not speak TLS: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the TLS handshake timed out: %w", err)
	}
	return fmt.Errorf("the TLS handshake failed: %w", err)
}

// plain returns the connection below that of TLS, or conn.
func plain(conn net.Conn) net.Conn {
	if c, ok := conn.(*tls.Conn); ok {
		return c.NetConn().(*carrier).Conn
	}
	return conn
}
