// Package conn implements connections below their protocols: descriptors, input, output, files sent from disk,
// deadlines and closing. Package conn does not know HTTP: a Protocol receives the bytes that have arrived.
//
// A Set holds the connections of an event loop and their shared memory. Everything must be called on that loop. Start
// reading at Conn and Protocol; package http1conn implements Protocol for HTTP/1.
//
//   - The Protocol receives input as it arrives. Keep stores the rest that it cannot use yet. A paused connection is
//     not read: further input stays in the kernel, whose window stops the client. Pausing needs no system call.
//   - Output that is ready at once is gathered (Conn.Use), for one connection at a time, and written with one system
//     call for each batch of events. Bytes that a socket does not take become a transfer (Queue), and the next
//     response waits until the transfer has ended.
//   - The loop writes a transfer when the socket has room, up to 1 MiB in a turn: bytes with send, files with sendfile.
//     A slow client therefore needs neither another descriptor nor a goroutine.
//
// The system calls of sockets (socket.go) are raw system calls with MSG_DONTWAIT. These system calls never block, so
// Go's scheduler need not know about them.
//
// # Virtual connections
//
// A stream of HTTP/2 may become a connection of another protocol (RFC 8441). It is a Conn with a transport and without
// a socket; Virtual documents the duties of its transport. The output of a virtual connection is gathered for the
// connection that carries it.
//
// # Files
//
// A disk must not block the loop. Before each 2 MiB of a file the loop asks the kernel whether they are in memory
// (preadv2 with RWF_NOWAIT). If not, or if the kernel cannot tell, a goroutine reads the next 256 KiB into the page
// cache, and the loop sends them from there: with sendfile or, over TLS and HTTP/2, in pieces that it reads when there
// is room. A slow client therefore keeps no part of a file in the server's memory. The loop continues to read from the
// connection and notices when the client disconnects.
//
// # Listening
//
// listen.go and listen_socket.go make listening sockets: TCP, unix sockets with their files, inherited sockets, and
// copies that processes share. peer.go and proxyheader.go describe connections before their first request: addresses
// and the header of the PROXY protocol.
//
//   - Workers share one listening socket that the supervisor made, without SO_REUSEPORT: a connection waits in one
//     queue for any worker, even while a worker loads or dies.
//   - The mode of a unix socket is set before bind and its owner before listen: other users can never connect.
//   - Sockets that are passed to other processes stay non-blocking, or the loop of another process could block in
//     accept.
//   - Where the kernel's congestion control is BBR, which paces packets, connections from the same machine get Reno
//     (listen_socket.go). A listener on a loopback address uses Reno from the start. An accepted connection of another
//     listener changes to Reno and keeps a weaker pacing.
//
// # Accepting
//
// An Acceptor (accept.go) accepts connections from listening sockets while the server has room. Connections beyond
// AcceptConfig.MaxClients stay in the queue of the kernel or are rejected with 503. A busy process leaves connections
// to other processes that share the listener (accept_balance.go).
//
// When accept fails because descriptors or memory are missing (EMFILE), the Acceptor retries 20 times a second and
// whenever a connection closes. After five seconds without success it answers waiting clients with 503, one at a time,
// through a reserve descriptor (accept_reserve.go): these clients need not wait for their own timeout.
//
// # TLS
//
// A TLSTransport runs TLS on the event loop with crypto/tls. Package http1conn starts TLS on connections of listeners
// that require it. Start reading at tls_handshake.go, the protocol of a connection during the handshake, and tls.go.
//
// crypto/tls reads from and writes to a net.Conn (wire). A handshake computes for a while and cannot be interrupted. A
// goroutine therefore makes it, with its own descriptor, while the loop does not read from the connection. After the
// handshake the wire belongs to the loop, without a goroutine: a read without input returns a temporary error, and
// crypto/tls keeps the beginning of the record; writes collect records, which are sent with one system call. TLS to an
// upstream changes from a goroutine to the loop in the same way (NewUpstream).
//
// # Handshakes
//
// A goroutine starts when the first record, the ClientHello, is complete. The number of
// goroutines that compute at once is limited, so that the loop and Python have a processor. A goroutine that waits for
// its client gives its turn to another.
//
// TLSServer.Configure limits the handshakes in progress. If further connections wait, a handshake of the address with
// most handshakes is closed: the one that has waited longest for its client, but not within its first second.
//
// A client that speaks plain HTTP gets a response with the https address.
//
// Certificates of clients are verified on the goroutine, during or after the handshake (tls_state.go): a rule for a
// path can refuse a request only when the path is known.
//
// # Memory
//
// Output is encrypted when there is room for it, 32 KiB at a time, and at most twice as much waits in memory. Nothing
// is read while output waits, because crypto/tls may have to answer a read (KeyUpdate).
//
// Input is read into memory of the TLSServer and passed to crypto/tls one record at a time. crypto/tls keeps a buffer
// for each connection that has room for the largest read; a read of several records would make it larger.
//
// # Tunnels
//
// A Tunnel (tunnel.go) passes bytes between a client and an upstream on the event loop, for WebSockets behind a proxy.
// A Tunnel does not know HTTP; package tunnel makes a Tunnel when an upstream has answered 101
// (source/proxy/upgrade.go). Start reading at TunnelEnd, the protocol of both connections.
//
// The upstream is a Conn like the client's connection, with TLS if necessary. A tunnel has a descriptor for each side
// and, while no bytes wait, neither a buffer nor a goroutine. Bytes from one side are written to the other side at
// once. Bytes that the other side has no room for are kept, up to one read, and nothing more is read until they are
// written. A side that reads slowly thus slows down the side that writes.
//
// Each direction ends by itself: after one side has sent its last byte and the other side has received all bytes, the
// other side is shut down for writing. A side whose peer has shut down may be silent for 30 seconds. An upstream that
// closes while the client is sending resets its connection; the client still receives the bytes that the upstream sent
// before.
//
// Tunnels count for --max-clients, but not for the limits of responders. Tunnels stay with their worker at a reload,
// are closed at the end of --graceful-timeout, and have one line in the access log when they end.
package conn
