// Package certificates reads certificates with their keys, judges them, and makes the crypto/tls configuration that
// chooses one of them for each client.
//
// One process reads: the server itself, or the supervisor of its workers, which may be allowed to read keys that the
// user of the workers is not. Its Reader turns a Want, the files that the settings name, into a Bundle, their contents.
// A process that serves puts the Bundle into a Server, whose configuration new connections have from then on. When
// files change, the Reader makes another Bundle; a file that has become wrong leaves the last good pair in use.
// Package tlsfiles watches the files, and package pool brings bundles to workers.
//
// A Reader is used by one goroutine at a time. A Server is safe for concurrent use. Start reading at want.go.
//
//   - Every mistake is one line: file, cause, what to do.
//   - Certificates are judged once, by the Reader. A worker takes a Bundle as it is, so one that has expired while the
//     server ran does not keep a worker from being replaced.
//   - Tickets (RFC 5077, RFC 8446 §2.2) let a client resume its session at any worker, also after a reload or an
//     upgrade: all processes derive the same keys from one secret (tickets.go).
package certificates
