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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/otel"
	"fapws/runtime/system"
)

// Only Targets and Log are required.
type Options struct {
	// Targets are the upstreams. Each is "http://host:port", "https://host:port" or "unix:/path/of/socket", optionally
	// followed by a path ("http://host:port/base/", "unix:/path/of/socket:/base/"). The path replaces the prefix of the
	// mount in the request path. If the target has no path, the request path does not change.
	Targets []string

	// CA, TLSName and NoVerify are for https targets. CA is a file of PEM certificates, one of which must have signed
	// the upstream's certificate; "" means the system's certificate authorities. TLSName is the name that the
	// upstream's certificate must contain, and is sent as SNI; "" means the host of the target. With NoVerify, every
	// certificate is accepted, so that the connection is encrypted, but the upstream is not authenticated.
	CA       string `key:"proxy-tls-ca" is:"path" value:"'ca.pem'"`
	TLSName  string `key:"proxy-tls-name" is:"server" value:"'api.example.org'"`
	NoVerify bool   `key:"proxy-tls-verify" is:"not" value:"true"`

	// ClientCert enables the fields of RFC 9440 with the client's certificates, if these were verified. Clients cannot
	// set these fields.
	ClientCert bool `key:"proxy-client-cert" value:"true"`

	// ReplaceHost makes the proxy send the target's host instead of the host that the client requested.
	ReplaceHost bool `key:"proxy-preserve-host" is:"not" value:"true"`

	// Streams makes the proxy forward request bodies as they arrive. It requires exchange.Mount.Streams.
	Streams bool `key:"proxy-request-buffering" is:"not" value:"true"`

	// Connect limits the time for opening a connection, including the TLS handshake; 0 means 5 s.
	Connect time.Duration
	// Timeout limits the wait for the response head, and each pause in the response body; 0 means 60 s.
	Timeout time.Duration

	// TunnelTimeout is how long a tunnel may be idle; 0 means an hour.
	TunnelTimeout time.Duration `key:"proxy-tunnel-timeout" value:"'1h'"`

	// Idle is how long an idle connection is kept, regardless of its age. 0 means that a connection is closed if it is
	// idle for keepIdle or older than keepAge.
	Idle time.Duration `key:"proxy-idle" value:"'20s'"`

	// Health is the target of health checks (ParseHealth): the path that they request from each upstream, with their host
	// if it is a URL; "" means no health checks.
	Health string `key:"proxy-health" value:"'/healthz', 'http://www.example.org/healthz'"`
	// HealthHost is the host of health checks if Health does not name one; "" means the host of the target.
	HealthHost string

	// Sticky makes the proxy send all requests of a client to the same upstream, named in a cookie, while this upstream
	// works.
	Sticky bool `key:"proxy-sticky" value:"true"`

	// Spans gets a span for each request to an upstream; nil means no spans.
	Spans *otel.Exporter

	// Log is called with a line when an upstream fails, cannot be reached, or responds again. Lines about errors of an
	// upstream are limited to one a second. client is the address of the request's client, or "". Log is called on any
	// goroutine.
	Log func(client, line string)
}

type Proxy struct {
	opt       Options
	upstreams []*upstream

	cookie string // name of the cookie for Options.Sticky; "" without this option

	mu sync.Mutex // guards the state of the upstreams

	begin sync.Once       // starts the health checks
	ctx   context.Context // context of the health checks; Close cancels it
	end   context.CancelFunc
}

const (
	maxHead    = 64 << 10 // in bytes
	bufferSize = 32 << 10
)

// New returns a Proxy, without connecting to the upstreams. The error has one line, and is a *CAError if Options.CA is
// invalid.
func New(o Options) (*Proxy, error) {
	o.Connect = cmp.Or(o.Connect, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 60*time.Second)
	o.TunnelTimeout = cmp.Or(o.TunnelTimeout, time.Hour)
	p := &Proxy{opt: o}
	p.ctx, p.end = context.WithCancel(context.Background())
	for i, name := range o.Targets {
		target, err := newTarget(&o, name)
		if err == nil && slices.Contains(o.Targets[:i], name) {
			err = fmt.Errorf("%s is listed twice", name)
		}
		if err != nil {
			return nil, err
		}
		p.upstreams = append(p.upstreams, &upstream{opt: &p.opt, name: name, target: target,
			idle: backend.Idle[*connection]{After: cmp.Or(o.Idle, keepIdle), Most: maxIdle, Quiet: (*connection).quiet,
				Drop: (*connection).close}})
	}
	if o.Sticky {
		p.nameUpstreams()
	}
	return p, nil
}

func (peer *upstream) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, peer.opt.Connect)
	defer cancel()
	var dialer net.Dialer
	under, err := dialer.DialContext(ctx, peer.target.network, peer.target.address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", system.Cause(err))
	}
	c := &connection{Conn: under, under: under, timeout: peer.opt.Timeout}
	peer.watch(c)
	if peer.target.tls == nil {
		return c, nil
	}
	c.secure = conn.NewTLSClient(under, peer.target.tls)
	c.Conn = c.secure.Conn()
	if err := c.secure.Conn().HandshakeContext(ctx); err != nil {
		c.overdue.Stop()
		under.Close()
		return nil, handshakeError(err)
	}
	return c, nil
}

// Close closes idle connections at once, and active connections after their response.
func (p *Proxy) Close() error {
	p.end()
	for _, up := range p.upstreams {
		up.idle.Close()
	}
	return nil
}

func (p *Proxy) Respond(w *backend.Response, r *backend.Request) {
	if climbs(r.Path[r.Root:]) {
		w.Refuse(400, "the path leads outside its first directory")
		return
	}
	if p.opt.Health != "" {
		p.begin.Do(p.checkHealth)
	}
	w.Spools()
	var err error
	tried, previous, sent := make([]*upstream, 0, maxTries), p.previous(r), 0
	for again := true; again; {
		up, wait := p.take(tried, previous)
		if up == nil && wait > 0 && !isTimeout(err) {
			w.Unavailable("no upstream server is available", wait)
			return
		}
		if up == nil {
			break
		}
		tried = append(tried, up)
		if again, err = p.try(up, previous, &sent, w, r); err == nil {
			return
		}
	}
	if r.Context.Err() == nil && isTimeout(err) {
		w.Refuse(504, "the upstream server did not respond in time")
	} else {
		w.Refuse(502, "invalid or no response from the upstream server")
	}
}

// forward sends a response of the upstream to the client. The head was already read from c, which forward finally
// closes or keeps for other requests.
func (peer *upstream) forward(w *backend.Response, r *backend.Request, response *http.Response, c *connection) {
	defer c.call.End(response.StatusCode, "", nil)
	if r.Upgrade && response.StatusCode == http.StatusSwitchingProtocols {
		peer.tunnel(w, r, response, c)
		c.close()
		return
	}
	if !peer.pass(w, r, response, c) || r.Upgrade {
		c.close()
		return
	}
	again, surplus := c.settle()
	if again && peer.keeps(c) {
		peer.idle.Put(c)
	} else {
		c.close()
	}
	if len(surplus) > 0 {
		peer.complain(r.Client(), "closed the connection: unexpected data after a response: %.80q", surplus)
	}
}

// pass sends the response to the client, and reports whether the response was read from c completely.
func (peer *upstream) pass(w *backend.Response, r *backend.Request, response *http.Response, c *connection) bool {
	if response.StatusCode < 200 || response.StatusCode > 999 {
		peer.complain(r.Client(), "status %d", response.StatusCode)
		w.Refuse(502, "")
		return false
	}
	head, ok := peer.head(w, r, response)
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
			peer.complain(r.Client(), "response aborted: %v", err)
		}
		w.Fail()
	}
	if err == nil && response.Trailer != nil && takesTrailers(r) {
		fields, wrong := trailers(response)
		if wrong != nil {
			peer.complain(r.Client(), "%v", wrong)
		}
		w.Trailers(fields)
	}
	return err == nil
}

func (peer *upstream) head(w *backend.Response, r *backend.Request, response *http.Response) (head exchange.Head,
	ok bool) {
	if head, ok = responseHead(response); !ok {
		peer.complain(r.Client(), "the response has a malformed header field")
		w.Refuse(502, "")
	}
	return head, ok
}

var errPaused = errors.New("idle timeout exceeded")

// The timeout for a pause in the body does not run while copy waits for the client.
func (c *connection) copy(w *backend.Response, response *http.Response) error {
	if response.Body == http.NoBody {
		return nil
	}
	size := int64(bufferSize)
	if n := response.ContentLength; n >= 0 {
		size = min(size, n)
	}
	buf := make([]byte, size)
	for left, kept := response.ContentLength, true; ; {
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
				// The length is unknown: send the buffered piece, because the next piece may take long.
			} else if gone := w.Flush(); gone != nil {
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

// complain logs an error of the upstream peer, but limits the number of lines.
func (peer *upstream) complain(client, format string, args ...any) {
	if peer.lines.Now() {
		peer.log(client, fmt.Sprintf(format, args...))
	}
}

func (peer *upstream) log(client, line string) {
	peer.opt.Log(client, "proxy "+peer.name+": "+line)
}

type target struct {
	network, address string
	// replaces the mount's prefix in the request path; empty to keep the path
	base string
	host string
	tls  *tls.Config // nil without TLS
}

// newTarget parses an element of Options.Targets, and reads Options.CA immediately, because the process may enter a
// chroot later.
func newTarget(o *Options, name string) (t target, err error) {
	bad := fmt.Errorf("%q is not one of http://host:port, https://host:port, unix:/path", name)
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		path, base, _ := strings.Cut(path, ":")
		if !strings.HasPrefix(path, "/") || base != "" && !strings.HasPrefix(base, "/") {
			return t, bad
		}
		return target{network: "unix", address: path, base: base, host: "localhost"}, nil
	}
	u, err := url.Parse(name)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" {
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

type CAError struct{ error }

// Lookup returns the host names of upstreams that must be resolved with DNS.
func (p *Proxy) Lookup() (names []string) {
	for _, up := range p.upstreams {
		host, _, _ := net.SplitHostPort(up.target.address)
		if _, err := netip.ParseAddr(host); err != nil && up.target.network != "unix" {
			names = append(names, host)
		}
	}
	return names
}

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
