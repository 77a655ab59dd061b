// Package certificates reads certificates with their keys, checks them, and makes the crypto/tls configuration that
// chooses a certificate for each client.
//
// A single process reads the files of certificates and keys: the server itself, or the supervisor, which may be allowed
// to read keys that its workers must not read. A Want lists the files that the settings name, and a KeySet contains the
// contents of these files. A process that serves passes the KeySet to a Server, and new connections then use the
// KeySet. When files change, the Reader makes another KeySet. If a file has become invalid, the last valid pair stays
// in use. A Follower notices changes of the files, and package pool brings key sets to workers.
//
//   - Every mistake is one line: file, cause, what to do.
//   - Only the Reader checks certificates. A worker does not check a KeySet, so a certificate that has expired while
//     the server ran does not prevent the replacement of a worker.
//   - Tickets (RFC 5077, RFC 8446 §2.2) let a client resume its session at any worker, also after a reload or an
//     upgrade: all processes have the same secrets, from the Reader (server.go).
//
// # ACME
//
// Orders (orders.go) gets certificates from a public authority such as Let's Encrypt (RFC 8555), and renews them (--tls
// acme). The package golang.org/x/crypto/acme implements the protocol. All processes of a server find certificates,
// keys and tokens in a directory of the state directory.
//
// Orders, in the process that reads certificates, orders one certificate after the other (order.go). The authority then
// requests a token from the workers, in a TLS handshake (tls-alpn-01, RFC 8737) or over HTTP (http-01). With a hook
// (dns.go), the hook adds a record to the DNS, which the authority looks for (dns-01).
//
// All functions are safe for concurrent use.
//
// # The machine's own authority
//
// authority.go makes certificates for a server that cannot get a public certificate, such as a device on a local
// network (--tls auto). fapws creates an authority for this machine once, and users install the authority in their
// clients. The authority signs a certificate for all names and addresses of the machine. The certificate is renewed
// when they change or before it expires.
//
// A Reader calls maintain, and uses the resulting files like all other files. Several processes may call maintain at
// once.
//
//   - The authority can sign only for names of local networks, and for the names that the machine had when the
//     authority was made (name constraints, RFC 5280 §4.2.1.10). So a thief of its key cannot impersonate other sites.
//   - If the clock is obviously wrong, as on a device without a battery, certificates begin at the time when this
//     program was built. These certificates are made again when the clock is right.
package certificates
