// Package certificates reads certificates with their keys, judges them, and makes the crypto/tls configuration that
// chooses one of them for each client.
//
// One process reads: the server itself, or the supervisor of its workers, which may be allowed to read keys that the
// user of the workers is not. Its Reader turns a Want, the files that the settings name, into a Bundle, their contents.
// A process that serves puts the Bundle into a Server, whose configuration new connections have from then on. When
// files change, the Reader makes another Bundle; a file that has become wrong leaves the last good pair in use. A
// Follower notices changes of the files, and package pool brings bundles to workers.
//
// A Reader is used by one goroutine at a time. A Server is safe for concurrent use.
//
//   - Every mistake is one line: file, cause, what to do.
//   - Certificates are judged once, by the Reader. A worker takes a Bundle as it is, so one that has expired while the
//     server ran does not keep a worker from being replaced.
//   - Tickets (RFC 5077, RFC 8446 §2.2) let a client resume its session at any worker, also after a reload or an
//     upgrade: all processes have the same secrets, from the Reader (server.go).
//
// # ACME
//
// Orders (orders.go) gets certificates from a public authority such as Let's Encrypt (RFC 8555), and renews them (--tls
// acme). The protocol is that of golang.org/x/crypto/acme/autocert; its cache is a directory of the state directory, in
// which all processes of a server find certificates, keys and tokens.
//
// Orders, in the process that reads certificates, orders one certificate after the other. The authority then asks
// workers for a token, over HTTP (http-01) or in a TLS handshake (tls-alpn-01, RFC 8737), and they find it in the
// directory: TokenACME and challengeACME. A new certificate is a file that has changed, like any other.
//
// All functions are safe for concurrent use.
//
// # The machine's own authority
//
// authority.go makes certificates for a server that cannot get a public certificate, such as a device on a
// local network (--tls auto).
// It creates an authority for this machine once, and users install the authority in their clients. The authority signs
// a certificate for all names and addresses of the machine. The certificate is renewed when they change or before it
// expires.
//
// A Reader calls maintain, and the server serves the files that it writes like any others. It is safe for several
// processes at once.
//
//   - The authority can only vouch for names of local networks and for those that the machine had when it was made
//     (name constraints, RFC 5280 §4.2.1.10): a thief of its key cannot pass for other sites.
//   - A clock that is obviously wrong, as on a device without a battery, is not believed: certificates are then dated
//     from the time when this program was made, and made again once the clock is right.
package certificates
