// Package secure is TLS on the event loop: a conn.Transport over crypto/tls. Package sites begins with it where the
// listener of a connection says so. Start reading at Handshake, which is the protocol of a connection until TLS has
// begun, and Transport, which encrypts from then on. Methods must be called on the loop, unless they say otherwise.
//
// crypto/tls reads from a net.Conn and writes to one. This one (wire) has two lives. During the handshake, which
// computes for a while and cannot be interrupted, it belongs to a goroutine: the loop reads from the socket, and the
// goroutine waits for the bytes. After it everything is on the loop, without a goroutine: reading returns a temporary
// error when nothing has come, upon which crypto/tls keeps the beginning of a record, and writing collects records,
// which leave with one system call.
//
// # Handshakes
//
// A goroutine starts when the first record, the ClientHello, is whole. So a client that sends half of one costs no more
// than one that sends half of a head of HTTP. At most as many goroutines compute as leave a processor to the loop and
// to Python; others wait for their turn. One that computes for long is taken to wait for something else (for a
// certificate of an ACME server), and another one may compute in its place.
//
// As many connections as Configure says may be on their way to TLS (places.go). Further ones stay in the queue of their
// listener, in the kernel; for them, the handshake that waits longest for its client is cut off, and no sooner than a
// second after it began. All of them end with the timeout.
//
// What is no ClientHello gets an answer, too: a request of HTTP is told the address with https.
//
// Certificates of clients are verified on the goroutine, in the handshake or behind it (describe.go): a rule for a path, which refuses
// a request, can only count when the path is known. Why handshakes fail is counted by reason (describe.go).
//
// # Memory
//
// Output is encrypted when there is room for it, 32 KiB at a time, and at most twice as much waits in memory. While
// that waits nothing is read, because reading may have to answer (KeyUpdate). Buffers for output are used again, and an
// idle connection has none.
//
// Input is read into memory of the Server, and given to crypto/tls one record at a time. The buffer that crypto/tls
// keeps for each connection has room for the largest record that has come: 18 KiB behind an upload, and 40 to 50 if it
// were given several at once.
package secure
