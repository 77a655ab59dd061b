// Package conn has connections below the protocols that they speak: descriptors, input that is read or left in the
// kernel, output that waits for room, files that are sent from disk, deadlines, and the ways in which a connection
// ends. It knows nothing of HTTP: a Protocol gets the bytes that have arrived.
//
// A Set is the connections of an event loop, with the memory that they share. Everything here must be called on that
// loop. Start reading at Conn and Protocol; package exchange implements Protocol for HTTP/1.
//
//   - Input is given to the Protocol as it arrives; Keep keeps the rest that it cannot use now. A paused connection
//     is not read: further input stays in the kernel, whose window then stops the client. Pausing needs no system
//     call.
//   - Output that is ready at once is gathered (Conn.Use), for one connection at a time, and leaves with one system
//     call for each batch of events. Bytes that a socket does not take become a transfer (Queue), and the next
//     response waits until it has ended.
//   - A transfer is written by the loop when the socket has room, up to 1 MiB in a turn: bytes with send, files with
//     sendfile. So a slow client needs neither another descriptor nor a goroutine.
//
// The system calls of sockets (socket.go) are raw ones with MSG_DONTWAIT, because they do not wait: Go's scheduler need not
// know about them, which saves a twentieth of their cost. For files it matters more: with ordinary calls each piece woke
// the thread that watches over system calls.
//
// # Virtual connections
//
// A stream of HTTP/2 may become a connection of another protocol (RFC 8441). For that protocol it is a Conn like others, with a transport
// but without a socket: conn.go says what its transport has to do. Its output is gathered for the connection that carries it.
//
// # Files
//
// A disk must not stop the loop. Before each 2 MiB of a file the loop asks the kernel whether they are in memory
// (preadv2 with RWF_NOWAIT). If they are not, or the kernel cannot tell, a goroutine reads the next 256 KiB, which brings
// them into the kernel's memory, and the loop sends them from there: with sendfile or, over TLS and HTTP/2, in pieces that it
// reads when there is room. So nothing of a file is kept for a slow client. The loop reads from the connection meanwhile, so it
// notices a client that disconnects, and its further input is bounded as always. When the connection closes before its transfer
// has ended, because the client has shut down its sending side, the descriptor stays open until then, and the client still gets
// the rest.
//
// Sending files that are in memory on the loop costs the same CPU as goroutines with descriptors of their own did (1
// MiB to 16 or 64 connections: 0.95 to 1.06 times, in interleaved rounds). With nginx a gigabyte for slow readers
// compares at 0.75 to 1 of its requests for each second of CPU (./build.sh bench): both need about 40 µs for a
// mebibyte, of which the kernel's handling of pages is 92 %.
//
// # Listening
//
// listen.go and listen_socket.go make the sockets that clients connect to: TCP, unix sockets with their files, sockets that the
// process was started with, and copies that processes share. peer.go and proxyheader.go describe connections before their first
// request: addresses, whether the kernel paces them, and the header of the PROXY protocol. Packages cmd/fapws/worker and pool make
// their sockets with listen.go.
//
//   - Workers share one listening socket, made by the supervisor, without SO_REUSEPORT: a connection waits in the one
//     queue for any worker, also while a worker loads or dies.
//   - Sockets are made by hand, so the mode of a unix socket is set before bind and its owner before listen: at no
//     moment can others connect.
//   - Sockets that are passed on stay non-blocking, or the loop of another process could hang in accept.
//   - Where the kernel's congestion control is BBR, which spreads packets over time, connections from the same
//     machine get Reno (listen_socket.go). A listener on a loopback address has it from the start; elsewhere an accepted
//     connection changes, and keeps a weaker pacing.
//
// # Accepting
//
// An Acceptor (accept.go) takes connections from listening sockets on the event loop, as long as there is room for them.
//
// A listener is a descriptor of the loop like any other. Acceptor takes up to 64 connections from its queue before
// other descriptors have their turn. Connections beyond AcceptConfig.MaxClients stay in the queue of the kernel, in order, or
// are rejected with 503. A process that is busy leaves connections to others that share the listener (accept_balance.go).
//
// When accept fails for want of descriptors or memory (EMFILE), Acceptor tries again 20 times a second, and as soon
// as a connection closes. After five seconds without success it answers waiting clients with 503, one at a time,
// through a descriptor that it keeps for this purpose (accept_reserve.go): a client that gets an answer need not wait for
// its own timeout.
//
// A new connection for each request takes accept4, recv, send and close, and with threads often epoll_ctl twice.
//
// Package runtime is its AcceptLoop, and counts connections. The methods must be called on the loop, unless their comments
// say otherwise. Start reading at accept.go.
//
// # TLS
//
// A TLSTransport is TLS on the event loop, over crypto/tls. Package http1conn begins with it where the
// listener of a connection says so. Start reading at tls_handshake.go, which is the protocol of a connection until TLS has
// begun, and tls.go, which encrypts from then on. Methods must be called on the loop, unless they say otherwise.
//
// crypto/tls reads from a net.Conn and writes to one (wire). A handshake computes for a while and cannot be interrupted, so a goroutine makes it,
// over a descriptor of its own, for which Go's runtime waits, and the loop does not read from the connection. Behind the handshake the wire is the
// loop's, without a goroutine: reading returns a temporary error when nothing has come; crypto/tls keeps then the beginning of a record, and
// writing collects records, which leave with one system call. TLS to an upstream changes sides in the same way (NewUpstream).
//
// # Handshakes
//
// A goroutine starts when the first record, the ClientHello, is whole. So a client that sends half of one costs no more
// than one that sends half of a head of HTTP. At most as many goroutines compute as leave a processor to the loop and
// to Python; others wait for their turn. One that waits for its client has none.
//
// As many connections as Configure says may be on their way to TLS (tls.go). Further ones stay in the queue of their
// listener, in the kernel; for them, the handshake that waits longest for its client is cut off, and no sooner than a
// second after it began. All of them end with the timeout.
//
// What is no ClientHello gets an answer, too: a request of HTTP is told the address with https.
//
// Certificates of clients are verified on the goroutine, in the handshake or behind it (tls_state.go): a rule for a path, which refuses
// a request, can only count when the path is known. Why handshakes fail is counted by reason (tls_metrics.go).
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
//
// # Tunnels
//
// A Tunnel (tunnel.go) passes bytes between a client and an upstream on the event loop: WebSockets behind a proxy. It knows
// nothing of HTTP; package exchange makes a tunnel when an upstream has answered 101 (exchange/websocket.go,
// source/proxy/upgrade.go). Start reading at TunnelEnd, which is the protocol of both connections.
//
// The upstream is a Conn like that of the client, with TLS if need be: so a tunnel has a descriptor for each side and, while nothing waits,
// neither a buffer nor a goroutine. What has come from one side is written to the other one at once. Bytes for which that
// has no room are kept, up to one read, and nothing more is read until they were written: a side that reads slowly slows
// down the side that writes.
//
// Each direction ends by itself: when one side has sent its last byte, the other one is shut down for writing once it
// has been sent everything. The tunnel is over when both directions are; a side whose peer has shut down has 30
// silent seconds for a farewell. An upstream that closes while the client is sending resets its connection; the bytes
// that it had sent before reach the client first.
//
// Tunnels count for --max-clients, and not for the places of responders. A client that takes nothing for
// --write-timeout ends with RST. Tunnels stay with their worker at a reload, are closed at the end of
// --graceful-timeout, and have one line in the access log, when they end.
//
// # Measured
//
// On a busy machine, in brackets to an upstream with TLS: idle tunnels 2.6 KiB each (11; nginx 1.22: 18), a GiB to the
// client 0.16 s of CPU (0.55), a message of 64 bytes and its echo 5 µs of CPU in 64 tunnels at once (8), and 10 in
// one alone (14). With two goroutines for each tunnel it was 18 KiB (34), 0.22 s (0.66), 8 µs (13) and 12 (20).
// splice(2) would save 0.1 s of CPU for each GiB, and needs a pipe for each direction that waits; messages of
// WebSockets are small, and TLS cannot use it.
package conn
