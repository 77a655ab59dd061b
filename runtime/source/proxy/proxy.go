package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// Options says where requests go. The zero value of every field but Target
// works.
type Options struct {
	// Target is "http://host:port", "https://host:port", "unix:/path/of/socket", or one of them with a path behind
	// it ("http://host:port/base/", "unix:/path/of/socket:/base/"). Without one the path of a request stays as it
	// is; a path takes the place of the part that the prefix of the mount has matched.
	Target string

	// Of https: CA is a file of certificates (PEM), one of which has to vouch for that of the server; "": those of
	// the system do. It is read by New. TLSName is the name that the certificate has to be for, and that is sent to
	// the server (SNI); "": that of Target. NoVerify takes any certificate: the connection is encrypted, but the
	// server may be any.
	CA       string `key:"proxy-tls-ca" is:"path" value:"'ca.pem'" help:"proxy to https://: file of trusted certificates (PEM); by default those of the system"`
	TLSName  string `key:"proxy-tls-name" is:"server" value:"'api.example.org'" help:"proxy to https://: name in the certificate, also sent as SNI; by default that of the URL"`
	NoVerify bool   `key:"proxy-tls-verify" is:"not" value:"true" help:"proxy to https://: false accepts any certificate"`

	// ClientCert sends the certificates of the client, if they were verified, in the fields of RFC 9440. Clients cannot send these fields.
	ClientCert bool `key:"proxy-client-cert" value:"true" help:"proxy: sends the verified certificate of the client in Client-Cert and Client-Cert-Chain (RFC 9440); these fields of clients are never forwarded"`

	// ReplaceHost sends the host of Target instead of the one that the client
	// asked for.
	ReplaceHost bool `key:"proxy-preserve-host" is:"not" value:"true" help:"proxy: true sends the Host of the client, false that of the URL"`

	Connect time.Duration // for a connection to the server, its TLS handshake with it; 0: 5 s
	Timeout time.Duration // for the head of its response, and for each pause in the body; 0: 60 s

	TunnelTimeout time.Duration `key:"proxy-tunnel-timeout" value:"'1h'" help:"proxy: closes a WebSocket after this time without data; 0: never"`

	// Idle is how long a connection is kept for further requests, however old it is. 0: for keepIdle, up to keepAge.
	Idle time.Duration `key:"proxy-idle" value:"'20s'" help:"proxy: keeps unused connections to the server for this time; by default 100ms, because a server with one thread or process serves nobody else meanwhile"`

	// Log gets a line when the server cannot be reached or breaks off, once a second at most, and with it the client
	// whose request it was, or "". It may be nil, and is called on any goroutine.
	Log func(client, line string)
}

// Proxy is a backend.Responder.
type Proxy struct {
	opt    Options
	target target
	idle   backend.Idle[*connection]

	waiting waiting
	lines   logfile.Seldom
}

const (
	connectDefault = 5 * time.Second
	timeoutDefault = 60 * time.Second
	tunnelDefault  = time.Hour
	maxHead        = 64 << 10 // bytes of the head of a response
	bufferSize     = 32 << 10
)

// New checks o; it connects to nothing. The error is one line, and a *CAError if it is about CA.
func New(o Options) (*Proxy, error) {
	o.Connect = cmp.Or(o.Connect, connectDefault)
	o.Timeout = cmp.Or(o.Timeout, timeoutDefault)
	o.TunnelTimeout = cmp.Or(o.TunnelTimeout, tunnelDefault)
	target, err := newTarget(&o)
	if err != nil {
		return nil, err
	}
	p := &Proxy{opt: o, target: target}
	p.idle = backend.Idle[*connection]{After: cmp.Or(o.Idle, keepIdle), Most: maxIdle, Quiet: (*connection).quiet, Drop: (*connection).close}
	return p, nil
}

// dial connects to the upstream, with TLS if it has that.
func (p *Proxy) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opt.Connect)
	defer cancel()
	var dialer net.Dialer // with keep-alive of TCP
	under, err := dialer.DialContext(ctx, p.target.network, p.target.address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", system.Cause(err))
	}
	c := &connection{Conn: under, under: under, timeout: p.opt.Timeout}
	p.watch(c)
	if p.target.tls == nil {
		return c, nil
	}
	c.secure = conn.NewTLSClient(under, p.target.tls)
	c.Conn = c.secure.Conn()
	if err := c.secure.Conn().HandshakeContext(ctx); err != nil {
		c.overdue.Stop()
		under.Close()
		return nil, handshakeError(err)
	}
	return c, nil
}

// Close closes the connections that wait for requests, and later those in use.
func (p *Proxy) Close() error {
	p.idle.Close()
	return nil
}

// Respond implements backend.Responder.
func (p *Proxy) Respond(w *backend.Response, r *backend.Request) {
	request, ok := p.request(r)
	if !ok {
		w.Refuse(400, "the path leads outside its first directory")
		return
	}
	w.Spools()
	response, c, err := p.roundTrip(w, request, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if r.WebSocket && response.StatusCode == http.StatusSwitchingProtocols {
		p.tunnel(w, r, response, c)
		c.close()
		return
	}
	if !p.pass(w, r, response, c) || r.WebSocket {
		c.close()
		return
	}
	again, surplus := c.settle()
	if again && p.keeps(c) {
		p.idle.Put(c)
	} else {
		c.close()
	}
	if len(surplus) > 0 {
		p.complain(r.Client(), "closed the connection: unexpected data after a response: %.80q", surplus)
	}
}

// pass answers with the response of the upstream, and reports whether its response has been read to the end, from c.
func (p *Proxy) pass(w *backend.Response, r *backend.Request, response *http.Response, c *connection) bool {
	if response.StatusCode < 200 || response.StatusCode > 999 {
		p.complain(r.Client(), "status %d", response.StatusCode)
		w.Refuse(502, "")
		return false
	}
	head, ok := p.head(w, r, response)
	if !ok {
		return false
	}
	if response.Trailer != nil {
		head.Fields = append(head.Fields, announced(r, response)...)
	}
	w.Start(head)
	err := c.copy(w, response)
	if err != nil && !errors.Is(err, backend.ErrGone) {
		if r.Context.Err() == nil {
			p.complain(r.Client(), "response aborted: %v", err)
		}
		w.Fail()
	}
	if err == nil && response.Trailer != nil && takesTrailers(r) {
		fields, wrong := trailers(response)
		if wrong != nil {
			p.complain(r.Client(), "%v", wrong)
		}
		w.Trailers(fields)
	}
	return err == nil
}

// head returns the head of a response, or refuses it.
func (p *Proxy) head(w *backend.Response, r *backend.Request, response *http.Response) (head exchange.Head, ok bool) {
	if head, ok = responseHead(response); !ok {
		p.complain(r.Client(), "the response has a malformed header field")
		w.Refuse(502, "")
	}
	return head, ok
}

var errPaused = errors.New("idle timeout exceeded")

// copy passes the body on as it comes, behind the head. The time that the client takes does not
// count.
func (c *connection) copy(w *backend.Response, response *http.Response) error {
	if response.Body == http.NoBody {
		return nil
	}
	buf := make([]byte, bufferSize)
	for left, kept := response.ContentLength, true; ; { // kept: some bytes that have come were not sent
		if kept && left != 0 && c.pauses() {
			if gone := w.Flush(); gone != nil {
				return gone
			}
		}
		c.awaitInput()
		n, err := response.Body.Read(buf)
		if n > 0 {
			if _, gone := w.Write(buf[:n]); gone != nil {
				return gone
			}
			if kept = left > 0; kept {
				left -= int64(n)
			} else if gone := w.Flush(); gone != nil { // it may be long until more comes
				return gone
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil && isTimeout(err):
			return errPaused
		case err != nil:
			return err
		}
	}
}

// refuse answers for a server that has not.
func (p *Proxy) refuse(w *backend.Response, r *backend.Request, err error) {
	if r.Context.Err() != nil { // the client has left
		w.Refuse(502, "")
		return
	}
	p.complain(r.Client(), "%v", err)
	if isTimeout(err) {
		w.Refuse(504, "the upstream server did not respond in time")
		return
	}
	w.Refuse(502, "invalid or no response from the upstream server")
}

// complain logs a line about the upstream and the client of a request, as backend.Request.Client returns it.
func (p *Proxy) complain(client, format string, args ...any) {
	if p.opt.Log == nil || !p.lines.Now() {
		return
	}
	p.opt.Log(client, "proxy "+p.opt.Target+": "+fmt.Sprintf(format, args...))
}

// target is where requests go.
type target struct {
	network, address string
	base             string      // path that takes the place of the prefix; "": none
	host             string      // for the Host field
	tls              *tls.Config // nil: none
}

// newTarget checks the options of o for the upstream. Certificates of authorities are
// read here, as later there may be a chroot around the process.
func newTarget(o *Options) (t target, err error) {
	bad := fmt.Errorf("%q is not one of http://host:port, https://host:port, unix:/path", o.Target)
	if path, ok := strings.CutPrefix(o.Target, "unix:"); ok {
		path, base, _ := strings.Cut(path, ":")
		if !strings.HasPrefix(path, "/") || base != "" && !strings.HasPrefix(base, "/") {
			return t, bad
		}
		return target{network: "unix", address: path, base: base, host: "localhost"}, nil
	}
	u, err := url.Parse(o.Target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return t, bad
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return t, bad
	}
	t = target{network: "tcp", address: net.JoinHostPort(u.Hostname(), port), base: u.Path, host: u.Host}
	if u.Scheme == "http" {
		return t, nil
	}
	t.tls = &tls.Config{
		ServerName:         cmp.Or(o.TLSName, u.Hostname()),
		InsecureSkipVerify: o.NoVerify,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
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
