package runtime

import (
	"bytes"
	"net"
	"net/netip"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// front is what stands between a connection's client and us: a proxy that is
// trusted, a path below which the application is seen. Most connections have
// none, and theirs is nil.
type front struct {
	awaits  bool // a header of the PROXY protocol has to come first
	trusted bool // the fields that proxies add are believed

	root   string         // of the last request: what the application is below
	peer   *exchange.Peer // the client of the last request, if trusted
	key    []byte         // what was said of them, as forwardKey has it
	hidden bool           // root was not in the path of the last request
}

// maxForwardKey bounds what is kept for the case that it is said again.
const maxForwardKey = 1 << 10

// trusts says whether a is a proxy that is believed.
func (cfg *Config) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, network := range cfg.Proxies {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// front decides about a connection from remote.
func (cfg *Config) front(remote net.Addr) *front {
	trusted := cfg.ProxyUnix
	if a, ok := remote.(*net.TCPAddr); ok {
		trusted = cfg.trusts(a.AddrPort().Addr())
	}
	if !trusted && cfg.RootPath == "" {
		return nil
	}
	return &front{trusted: trusted, awaits: trusted && cfg.ProxyProtocol, root: cfg.RootPath}
}

// announced takes the header of the PROXY protocol from the front of what c
// has sent, and returns what follows. ok is false when there is no use in
// going on now.
func (l *loop) announced(c *conn, data []byte) (rest []byte, ok bool) {
	buf := data
	if len(c.in) > 0 {
		l.keep(c, data)
		buf = c.pending()
	}
	h, n, err := parseProxy(buf)
	switch {
	case err == http1.ErrNeedMore:
		if len(c.in) == 0 {
			l.keep(c, data)
		}
		return nil, false
	case err != nil:
		l.s.logf(LevelDebug, "%s is closed: %v: %s", c, err, excerpt(buf[:min(len(buf), maxProxyLine)]))
		l.close(c, "no PROXY header")
		return nil, false
	}
	l.introduce(c, &h)
	if len(c.in) == 0 {
		return data[n:], true
	}
	if c.off += n; c.off >= len(c.in) {
		l.dropInput(c)
	}
	return nil, true
}

// introduce makes c the connection of whom its proxy has announced. Fields
// that come with it are then that client's own, and believed if it is a
// trusted proxy itself.
func (l *loop) introduce(c *conn, h *proxyHeader) {
	c.front.awaits = false
	switch h.kind {
	case proxyLocal:
		return
	case proxyAddresses:
		c.remote, c.local = net.TCPAddrFromAddrPort(h.from), net.TCPAddrFromAddrPort(h.to)
		c.front = l.cfg.front(c.remote)
	case proxyUnix:
		c.remote = &net.UnixAddr{Net: "unix"}
		c.front.trusted = false
	case proxyUnknown:
		c.front.trusted = false
	}
	if c.front != nil {
		c.front.awaits = false
	}
	if l.debug >= 1 {
		l.tracef("%s is announced by its proxy", c)
	}
}

// outward returns the path of the request in l.req, and its resolved form if that
// is another one, as they are seen from outside, and how much of them stands before
// what the application knows. A proxy may have taken that off or not.
func (l *loop) outward(c *conn, head, path, resolved []byte) (outer, outerResolved []byte, root int) {
	f := c.front
	if f.trusted {
		l.believe(c, head)
	}
	f.hidden = false
	if f.root == "" || below(path, f.root) {
		return path, resolved, len(f.root)
	}
	f.hidden = true
	l.outer = append(append(l.outer[:0], f.root...), path...)
	if resolved != nil {
		l.outerResolved = append(append(l.outerResolved[:0], f.root...), resolved...)
		resolved = l.outerResolved
	}
	return l.outer, resolved, len(f.root)
}

// below says whether path is root or something in it.
func below(path []byte, root string) bool {
	n := len(root)
	return len(path) >= n && string(path[:n]) == root && (len(path) == n || path[n] == '/')
}

// inside is the path without root for route; the application's root itself is
// asked for with or without a slash.
func inside(path []byte, root int) []byte {
	if len(path) == root {
		return slash
	}
	return path[root:]
}

var slash = []byte("/")

// believe works out who the client of the request in l.req is. A proxy mostly
// says the same again on a connection, and that costs a comparison.
func (l *loop) believe(c *conn, head []byte) {
	f := c.front
	l.said = l.forwardKey(l.said[:0], head)
	if f.peer != nil && bytes.Equal(l.said, f.key) {
		return
	}
	f.key = append(f.key[:0], l.said...)
	if len(f.key) > maxForwardKey {
		f.key = nil
	}
	lines, host := readForwardKey(l.said)
	o := lines.origin(l.cfg.trusts)
	if o.badName != "" {
		l.s.logf(LevelDebug, "%s: %s is ignored: %s", c, o.badName, excerpt([]byte(o.badVal)))
	}
	f.peer = o.peer(c.who(), host)
	f.root = l.cfg.RootPath
	if o.prefix != "" {
		f.root = o.prefix
	}
}

// forwardKey appends the host and the lines that proxies may have added, each
// with a letter before and a line end behind it.
func (l *loop) forwardKey(key, head []byte) []byte {
	host := l.req.Authority // RFC 9112 §3.2.2: it wins
	if host.Len == 0 {
		host = l.req.Host
	}
	key = append(append(append(key, 'h'), host.In(head)...), '\n')
	for _, f := range l.req.Fields {
		if letter := forwardLetter(f.Name.In(head)); letter != 0 {
			key = append(append(append(key, letter), f.Value.In(head)...), '\n')
		}
	}
	return key
}

func forwardLetter(name []byte) byte {
	const x = "x-forwarded-"
	switch len(name) {
	case len("forwarded"):
		if bytes.EqualFold(name, []byte("forwarded")) {
			return 'f'
		}
	case len(x + "for"), len(x + "host"), len(x + "proto"), len(x + "prefix"):
		if !bytes.EqualFold(name[:len(x)], []byte(x)) {
			return 0
		}
		for _, one := range [...]struct {
			name   string
			letter byte
		}{{"for", 'c'}, {"proto", 's'}, {"host", 'a'}, {"port", 'p'}, {"prefix", 'r'}} {
			if len(one.name) == len(name)-len(x) && bytes.EqualFold(name[len(x):], []byte(one.name)) {
				return one.letter
			}
		}
	}
	return 0
}

// readForwardKey is the opposite of forwardKey.
func readForwardKey(key []byte) (f forwarding, host string) {
	for line := range bytes.Lines(key) {
		value := string(line[1 : len(line)-1])
		switch line[0] {
		case 'h':
			host = value
		case 'f':
			f.forwarded = append(f.forwarded, value)
		case 'c':
			f.client = append(f.client, value)
		case 's':
			f.proto = append(f.proto, value)
		case 'a':
			f.host = append(f.host, value)
		case 'p':
			f.port = append(f.port, value)
		case 'r':
			f.path = append(f.path, value)
		}
	}
	return f, host
}
