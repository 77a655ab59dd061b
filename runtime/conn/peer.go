package conn

import (
	"net"
	"net/netip"

	"fapws/runtime/http1"
)

// Peer is the client, as a handler may describe it to an application. One value does not change; requests of a
// connection share it unless a trusted proxy says otherwise for each of them.
type Peer struct {
	Addr       string    // REMOTE_ADDR: an IP address, "" for a unix socket
	Port       string    // REMOTE_PORT: "" for a unix socket
	ServerName string    // SERVER_NAME: address that accepted the connection
	ServerPort string    // SERVER_PORT
	Socket     string    // path of the unix socket that accepted the connection; "" for others
	Scheme     string    // wsgi.url_scheme; "" is http
	TLS        *TLSState // its version, cipher suite and certificates; nil: the client does not use TLS, or a proxy has passed its request on
	Host       string    // HTTP_HOST as a trusted proxy got it; "": that of the request
	User       string    // REMOTE_USER: the logged-in user; "": none
	Login      Login     // AUTH_TYPE: how User has logged in
}

// String returns the address of the client with its port, "192.0.2.7:4711", as far as they are known.
func (p *Peer) String() string {
	if p.Addr == "" || p.Port == "" {
		return p.Addr
	}
	return net.JoinHostPort(p.Addr, p.Port)
}

// AppendHost appends the host and port that the client has asked for with a request: as a trusted proxy says, in an absolute target, or
// in Host (RFC 9112 §3.2.2). Clients of HTTP/1.0 need not name one.
func (p *Peer) AppendHost(dst []byte, r *http1.Request, head []byte) []byte {
	switch {
	case p.Host != "":
		return append(dst, p.Host...)
	case r.Authority.Len > 0:
		return append(dst, r.Authority.In(head)...)
	}
	return append(dst, r.Host.In(head)...)
}

// Login is a way to log in.
type Login uint8

// The ways to log in.
const (
	Basic Login = iota // by a password with each request (RFC 7617)
	Form               // by a form and a session
)

// String returns the AUTH_TYPE (RFC 3875 §4.1.1; for forms as Apache has it).
func (l Login) String() string { return [...]string{"Basic", "form"}[l] }

// Network returns the name by which a client is counted: its address, or for IPv6 the /64 network, which usually
// belongs to one user. It is safe for concurrent use.
func Network(client string) string {
	a, err := netip.ParseAddr(client)
	switch a = a.Unmap().WithZone(""); {
	case err != nil:
		return client
	case a.Is4():
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
