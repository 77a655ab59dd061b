package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/otel"
)

// Only Targets and Log are required.
type Options struct {
	// Targets are the upstreams. Each is "http://host:port", "https://host:port" or "unix:/path/of/socket", optionally
	// followed by a path ("http://host:port/base/", "unix:/path/of/socket:/base/"). The path replaces the prefix of the
	// mount in the request path. If the target has no path, the request path does not change.
	Targets []string

	// Door is the socket outside of a door (conn.NewDoor) behind which an application serves requests as if it were
	// mounted here; nil for upstream servers. Targets then has the name of the application for messages.
	Door *os.File

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
	// Timeout limits the wait for the response head after the request was sent, and each wait for the upstream to take the
	// request; negative means no limit, and 0 means 60 s.
	Timeout time.Duration
	// Pause limits each pause in the response body; 0 means no limit.
	Pause time.Duration `key:"proxy-read-timeout" value:"'60s'"`

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

	// Dial opens a connection to the only target, which is then only a name; nil for the usual way. Dial is called on the
	// loop and must not block. It calls done once, on any goroutine, at once or later, with the descriptor of a connected,
	// non-blocking stream socket, which done then owns, or with an error of one line.
	Dial func(done func(fd int, err error))

	// Counts and Space are shared by the proxies of a configuration; nil means that the Proxy has its own ones.
	Counts *Counts
	Space  *backend.Space

	// Spans gets a span for each request to an upstream; nil means no spans.
	Spans *otel.Exporter

	// Log is called with a line when an upstream fails, cannot be reached, or responds again. Lines about errors of an
	// upstream are limited to one a second. client is the address of the request's client, or "". Log is called on any
	// goroutine.
	Log func(client, line string)
}

// A Proxy is an exchange.Handler on the loop. Unless a comment says otherwise, its methods are called on the loop.
type Proxy struct {
	opt       Options
	upstreams []*upstream

	cookie string // name of the cookie for Options.Sticky; "" without this option

	mu sync.Mutex // guards the state of the upstreams

	begin sync.Once       // starts the health checks
	ctx   context.Context // context of the health checks; Close cancels it
	end   context.CancelFunc

	// set by the first request
	started atomic.Pointer[conn.Set]
	conns   *conn.Set
	secure  *conn.TLSServer
	room    *backend.Space
	counts  *Counts

	open map[exchange.Ticket]*request

	introductions map[introduced][]byte // nil unless the target is behind a door

	// reused memory
	head, fields []byte
	parsed       http1.Request
	answer       http1.UpstreamHead
	part         exchange.Part

	ended atomic.Bool // Close was called
}

// New returns a Proxy, without connecting to the upstreams. The error has one line, and is a *CAError if Options.CA is
// invalid.
func New(o Options) (*Proxy, error) {
	o.Connect = cmp.Or(o.Connect, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 60*time.Second)
	o.TunnelTimeout = cmp.Or(o.TunnelTimeout, time.Hour)
	p := &Proxy{opt: o, open: map[exchange.Ticket]*request{}, counts: o.Counts, room: o.Space}
	if p.counts == nil {
		p.counts = new(Counts)
	}
	if p.room == nil {
		p.room = &backend.Space{Log: func(line string) { o.Log("", line) }}
	}
	if p.opt.mounts() {
		p.opt.Dial, p.opt.Timeout = p.opt.knock, -1
	}
	p.ctx, p.end = context.WithCancel(context.Background())
	for i, name := range o.Targets {
		target, err := newTarget(&o, name)
		if err == nil && slices.Contains(o.Targets[:i], name) {
			err = fmt.Errorf("%s is listed twice", name)
		}
		if err != nil {
			return nil, err
		}
		p.upstreams = append(p.upstreams, &upstream{proxy: p, opt: &p.opt, name: name, target: target})
	}
	if o.Sticky {
		p.nameUpstreams()
	}
	return p, nil
}

// start is called with the first request.
func (p *Proxy) start(s *exchange.Services) {
	p.conns, p.secure = s.Conns, s.Secure
	p.started.Store(p.conns)
	if p.opt.Health != "" {
		p.begin.Do(p.checkHealth)
	}
}

// Close closes idle connections, and active connections after their response. Any goroutine may call Close.
func (p *Proxy) Close() error {
	p.end()
	p.ended.Store(true)
	if conns := p.started.Load(); conns != nil {
		conns.Events.Post(func() {
			for _, u := range p.upstreams {
				u.closeIdle(0)
			}
		})
	}
	return nil
}

// complain logs an error of the upstream, but limits the number of lines.
func (u *upstream) complain(client, format string, args ...any) {
	if u.lines.Now() {
		u.log(client, fmt.Sprintf(format, args...))
	}
}

// log logs a line, with the request if client names one.
func (u *upstream) log(client, line string) {
	name := "proxy " + u.name
	if u.opt.mounts() {
		name = u.name
	}
	if a := logfile.AboutOf(client); a.Method != "" {
		line += fmt.Sprintf(" (%.20s %.200s%.500s)", a.Method, a.Host, a.Path)
	}
	u.opt.Log(client, name+": "+line)
}

type target struct {
	network, address string
	// replaces the mount's prefix in the request path; empty to keep the path
	base string
	host string
	tls  *tls.Config // nil without TLS
	// the address, if the loop can connect to it without DNS and TLS; otherwise nil
	ip net.Addr
}

// newTarget parses an element of Options.Targets, and reads Options.CA immediately, because the process may enter a
// chroot later.
func newTarget(o *Options, name string) (t target, err error) {
	if o.mounts() {
		return target{network: "unix", host: "localhost"}, nil
	}
	bad := fmt.Errorf("%q is not one of http://host:port, https://host:port, unix:/path", name)
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		path, base, _ := strings.Cut(path, ":")
		if !strings.HasPrefix(path, "/") || base != "" && !strings.HasPrefix(base, "/") {
			return t, bad
		}
		return target{network: "unix", address: path, base: base, host: "localhost", ip: &net.UnixAddr{Name: path}}, nil
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
		if a, err := netip.ParseAddrPort(t.address); err == nil && a.Addr().Zone() == "" {
			t.ip = net.TCPAddrFromAddrPort(a)
		}
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
	for _, u := range p.upstreams {
		host, _, _ := net.SplitHostPort(u.target.address)
		if _, err := netip.ParseAddr(host); err != nil && u.target.network != "unix" {
			names = append(names, host)
		}
	}
	return names
}
