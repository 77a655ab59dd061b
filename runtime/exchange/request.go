package exchange

import (
	"crypto/x509"

	"fapws/runtime/http1"
)

// Ticket names one exchange (a request with its response) while it is
// active. The loop chooses it, a small number that indexes a table, and uses
// it again after the Last part of the exchange was released.
type Ticket uint32

// Request is a whole request: the body has arrived, unless More. Slices live until Submit returns; a handler copies
// the bytes that it keeps.
type Request struct {
	Ticket Ticket
	Mount  int            // index of the matched entry in the table of the handler
	Head   []byte         // request line and fields as received; spans of Parsed point into it
	Parsed *http1.Request // valid as long as Head
	Path   []byte         // percent-decoded path, as it is seen from outside
	Root   int            // length of the part that a proxy or Config.RootPath puts before the application: Path[:Root], part of SCRIPT_NAME
	Prefix int            // length of the prefix of the matched entry: Path[:Prefix], Root included
	Script int            // length of SCRIPT_NAME: Path[:Script], PATH_INFO is Path[Script:]
	Body   []byte         // the body, decoded from its framing, when it is in memory
	Spool  int            // descriptor of an unlinked file with the body at offset 0, or -1; the handler closes it, also when Submit refuses
	Size   int64          // bytes in the body
	Traced bool           // the last field of Head is traceparent, which the server has made for this request
	Routed bool           // Path is not that of Head: the server has rewritten it, and perhaps the query
	Depth  int            // 0: of a client; n: of a handler (see Subrequester) that answers one of depth n-1
	Value  any            // of a request with Depth: the value from the handler that made it (Origin.Value)
	Peer   *Peer

	// More says that the body goes on: Body, which may be empty, is its beginning and the rest comes as Input. Size
	// is then the announced length, -1 without one. Only where Mount.Streams of package sites.
	More bool

	// WebSocket says that the client asks for a WebSocket in a way that may be
	// accepted (RFC 6455 §4.2.1), with Head.WebSocket where Mount.WebSocket, with
	// Head.Tunnel where Mount.Tunnels. Elsewhere it is not set.
	WebSocket bool

	// Resumed, if not nil, is that of a WebSocket which another process has accepted: the handler goes on with it as if it had
	// accepted it itself, and says so with Head.WebSocket. Fields and Subprotocol of that do not count.
	Resumed *Resumed

	// Socket, if not 0, is a duplicate of the connection's descriptor, which the
	// handler closes, also when Submit refuses: the client asks for a WebSocket where
	// Mount.DetachSocket, and the application may talk to it by itself (Part.Taken). Nothing is
	// read from the connection before the exchange ends.
	Socket int

	// ErrorLog is the error log of this request: the number that a handler has given an error log
	// (Site.ErrorLogNumber of package sites), 0: that of the server.
	ErrorLog int

	// Pipeline, if not 0, says that answers to requests sent before this one on the same connection
	// are still to be written (RFC 9112 §9.3.2, RFC 9113 §5); all requests with the same number share a
	// connection. A handler that is a Pacer may hold such a request back (OpDeferred).
	Pipeline int

	// Multiplexed says that answers to requests with the same Pipeline do not wait for each other (RFC 9113 §5).
	Multiplexed bool

	Options string // of a program, from the handler that has handed the request over (Head.Program); else ""
}

// Resumed is the state of a WebSocket that another process has had. It lives until Submit returns.
type Resumed struct {
	Subprotocol string
	Data        []byte // of the Last part with OpHandOver
}

// Peer is the client, as the handler may describe it to an application. One value does not change; requests of a
// connection share it unless a trusted proxy says otherwise for each of them.
type Peer struct {
	Addr       string // REMOTE_ADDR: an IP address, "" for a unix socket
	Port       string // REMOTE_PORT: "" for a unix socket
	ServerName string // SERVER_NAME: address that accepted the connection
	ServerPort string // SERVER_PORT
	Scheme     string // wsgi.url_scheme; "" is http
	TLS        *TLS   // what is known of the client by TLS; nil: it does not use that, or a proxy has passed its request on
	Host       string // HTTP_HOST as a trusted proxy got it; "": that of the request
	User       string // REMOTE_USER: the logged-in user; "": none
	Login      Login  // AUTH_TYPE: how User has logged in
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

// TLS is what was agreed on with a client that uses TLS, and what it has shown of itself. One value does not change; clients without a certificate
// share theirs.
type TLS struct {
	Version, CipherSuite uint16 // as on the wire (RFC 8446 §4.2.1, §B.4): tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256

	// Server is the certificate of the server, in PEM without its chain; "": not known.
	Server string

	// Authorities is the name of those whose certificates the client was asked for: a file. "": it was not asked.
	Authorities string

	// Certificates are those of the client, its own first. nil: it has sent none. Verified says that the authorities vouch for them, Refused
	// says why they do not.
	Certificates []*x509.Certificate
	Verified     bool
	Refused      string

	// Variables are those of Apache's mod_ssl, for applications and programs: "SSL_PROTOCOL=TLSv1.3", "SSL_CLIENT_S_DN=CN=..." and
	// so on, each with a NUL behind it.
	Variables string
}
