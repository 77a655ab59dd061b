package conn

import (
	"net"
	"net/netip"

	"fapws/runtime/http1"
)

// A Peer describes a client: its addresses, TLS and login. A Peer is immutable. The requests of a connection share a
// Peer, unless a trusted proxy describes a different client in each request.
type Peer struct {
	Addr       string // REMOTE_ADDR: an IP address; "" for a unix socket
	Port       string // REMOTE_PORT; "" for a unix socket
	ServerName string // SERVER_NAME: address that accepted the connection
	ServerPort string
	// path of the unix socket that accepted the connection; "" if the connection uses TCP
	Socket string
	// version, cipher suite and certificates; nil without TLS and for requests that a proxy forwarded
	TLS *TLSState
	// host of the request that a trusted proxy received; "" if the proxy did not send one
	Host     string
	User     string // REMOTE_USER; "" without a login
	Login    LoginMethod
	HTTPS    bool // the scheme of the requests is https, not http
	Balances bool // Addr is that of a trusted proxy that did not send the address of its client
}

// Scheme returns the scheme of the client's requests, which is wsgi.url_scheme: "http" or "https".
func (p *Peer) Scheme() string {
	if p.HTTPS {
		return "https"
	}
	return "http"
}

// String returns the client's address and port, such as "192.0.2.7:4711", or only the address if the port is unknown.
func (p *Peer) String() string {
	if p.Addr == "" || p.Port == "" {
		return p.Addr
	}
	return net.JoinHostPort(p.Addr, p.Port)
}

// Account returns the key by which limits count the client. It returns "" if the address is unknown; such a client has
// no limits. p may be nil.
func (p *Peer) Account() string {
	if p == nil || p.Addr == "" || p.Balances {
		return ""
	}
	return Network(p.Addr)
}

// AppendHost appends the requested host and port to dst. AppendHost uses the first source that exists: the host that a
// trusted proxy received, an absolute target, the field Host (RFC 9112 §3.2.2). AppendHost appends nothing for an
// HTTP/1.0 request without a host.
func (p *Peer) AppendHost(dst []byte, r *http1.Request, head []byte) []byte {
	switch {
	case p.Host != "":
		return append(dst, p.Host...)
	case r.Authority.Len > 0:
		return append(dst, r.Authority.In(head)...)
	}
	return append(dst, r.Host.In(head)...)
}

type LoginMethod uint8

const (
	Basic LoginMethod = iota // the client sends a password with each request (RFC 7617)
	Form
)

// String returns the AUTH_TYPE (RFC 3875 §4.1.1); Apache also uses the name "form".
func (l LoginMethod) String() string { return [...]string{"Basic", "form"}[l] }

// Network returns the key by which limits count a client: its IPv4 address, or for IPv6 the /64 network, which usually
// belongs to one user. Network is safe for concurrent use.
func Network(client string) string {
	a, err := netip.ParseAddr(client)
	if err != nil || a.Is4() {
		return client
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

// NetworkOf returns the result of Network for the client's address, or "" if the address is unknown.
func NetworkOf(remote net.Addr) string {
	if a, ok := remote.(*net.TCPAddr); ok {
		return Network(a.IP.String())
	}
	return ""
}

// IsAddress reports whether local and remote are the addresses of a connection that the server knows: both of TCP, or
// both of unix sockets. The limits and the trust of a client depend on its address, so a connection with other addresses
// must be refused.
func IsAddress(local, remote net.Addr) (known bool) {
	switch remote.(type) {
	case *net.TCPAddr:
		_, known = local.(*net.TCPAddr)
	case *net.UnixAddr:
		_, known = local.(*net.UnixAddr)
	}
	return known
}

// AddressText returns the address and the port of a, or "" for a unix socket.
func AddressText(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().String()
	}
	return ""
}

// AddressOf is the inverse of AddressText. It returns nil for a text that AddressText does not return.
func AddressOf(text string) net.Addr {
	if text == "" {
		return &net.UnixAddr{Net: "unix"}
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return nil
}
