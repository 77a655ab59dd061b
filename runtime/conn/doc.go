// Package conn implements the connections of the server: descriptors, input, output, files sent from disk, deadlines
// and closing. Package conn does not depend on HTTP: it passes received bytes to a Protocol.
//
// A Set holds the connections of an event loop and their shared memory. Functions and methods must be called on that
// loop unless their comments say otherwise. Start reading at Conn and Protocol; package http1conn implements Protocol
// for HTTP/1.
//
//   - The Protocol receives input as it arrives. Conn.Keep stores the input that the Protocol cannot use yet. The loop
//     does not read from a paused connection: further input stays in the kernel, and the TCP window stops the client.
//     Pausing needs no system call.
//   - Output is gathered in a buffer (Conn.Use), for one connection at a time, and written with one system call for
//     each batch of events. Bytes for which the socket has no room become a transfer (Conn.Queue), and the next
//     response waits until the transfer has ended.
//   - The loop writes a transfer when the socket has room, up to 1 MiB in a turn: bytes with send, files with sendfile.
//     A slow client therefore needs neither another descriptor nor a goroutine.
//
// socket.go reads and writes sockets with raw system calls and MSG_DONTWAIT. These system calls never block, so Go's
// scheduler need not be told about them.
//
// # Virtual connections
//
// A stream of HTTP/2 may become a connection of another protocol (RFC 8441). Such a virtual connection is a Conn with a
// transport and without a socket.
//
// # Files
//
// A disk must not block the loop. Before the loop sends 2 MiB of a file, it asks the kernel whether this part of the
// file is in memory (preadv2 with RWF_NOWAIT). If the part is not in memory, or if the kernel cannot tell, a goroutine
// reads the next 256 KiB into the page cache. The loop sends them from the page cache: with sendfile or, over TLS and
// HTTP/2, in pieces that the loop reads when there is room for them.
//
// # Listening
//
// listen.go and listen_socket.go make listening sockets for TCP and for unix sockets with their files. They also adopt
// inherited sockets and copies that processes share. peer.go describes clients by their addresses, and proxyheader.go
// parses the header of the PROXY protocol.
//
//   - Workers share one listening socket that the supervisor made without SO_REUSEPORT. All connections therefore wait
//     in one queue, and any worker can accept them, even while another worker loads or dies.
//   - The mode of a unix socket is set before bind, and its owner before listen. Therefore users without permission can
//     never connect.
//   - Sockets that are passed to other processes stay non-blocking. Otherwise the loop of such a process could block in
//     accept.
//   - If the kernel's congestion control is BBR, which paces packets, connections from the same machine use Reno
//     instead (listen_socket.go). A listener on a loopback address uses Reno from the start. On other listeners, an
//     accepted connection from the same machine changes to Reno, but keeps some of the pacing of BBR.
//
// # Accepting
//
// An Acceptor (accept.go) accepts connections from listening sockets while the server has room. Connections beyond
// AcceptConfig.MaxClients stay in the queue of the kernel or are rejected with 503. A busy process leaves connections
// to other processes that share the listener (accept_balance.go).
//
// When accept fails because descriptors or memory are missing (EMFILE), the Acceptor retries 20 times a second and
// whenever a connection closes. After five seconds without success, the Acceptor answers waiting clients with 503, so
// that they need not wait for their own timeouts. It answers one client at a time, through a reserve descriptor
// (accept_reserve.go).
//
// # TLS
//
// A TLSTransport runs TLS on the event loop with crypto/tls. Package http1conn starts TLS on connections whose listener
// requires TLS. Start reading at tls_handshake.go, the protocol of a connection during the handshake, and tls.go.
//
// crypto/tls reads from and writes to a net.Conn (wire). A handshake needs much processor time and cannot be
// interrupted. A goroutine with its own descriptor therefore runs the handshake, while the loop does not read from the
// connection. After the handshake, the loop itself uses the wire. If no input is available, a read from the wire
// returns a temporary error, and crypto/tls keeps the incomplete record. The wire collects the records that crypto/tls
// writes, and sends them with one system call. TLS to an upstream changes from a goroutine to the loop in the same way
// (Adopt).
//
// # Handshakes
//
// A handshake's goroutine starts when the first record, the ClientHello, is complete. Only a limited number of these
// goroutines may compute at once, so that processors are left for the loop and Python. This limit does not include
// goroutines that wait for their clients.
//
// TLSServer.Configure limits the handshakes in progress. If further connections wait, the server selects the client
// address with the most handshakes. It closes the handshake of this address that has waited longest for its client, but
// only if this handshake is older than a second.
//
// A client that speaks plain HTTP gets a response with the https address.
//
// The goroutine of the handshake verifies certificates of clients, during or after the handshake (tls_state.go). If
// only some paths require a certificate, an invalid certificate must not fail the handshake, because the path is known
// only with the request.
//
// # Memory
//
// Output is encrypted when there is room for it, 32 KiB at a time, and at most twice as much waits in memory. The loop
// reads no input while output waits, because crypto/tls may have to answer the input (KeyUpdate).
//
// Input is read into memory of the TLSServer and passed to crypto/tls one record at a time. For each connection,
// crypto/tls keeps an input buffer as large as the largest read.
//
// # Tunnels
//
// A Tunnel (tunnel.go) passes bytes between a client and an upstream on the event loop, for WebSockets behind a proxy.
// A Tunnel does not depend on HTTP: package source/proxy creates a Tunnel after an upstream has answered 101
// (source/proxy/response.go). Start reading at TunnelEnd, the protocol of both connections.
//
// The upstream is a Conn like the client's connection, with TLS if necessary. A tunnel has a descriptor for each side
// and, while no bytes wait, neither a buffer nor a goroutine. Bytes from one side are written to the other side at
// once. If the other side has no room, the tunnel keeps the bytes of one read, and reads no more bytes until the kept
// bytes are written. A side that reads slowly thus slows down the side that writes.
//
// Each direction ends separately. After one side has sent its last byte and the other side has received all bytes, the
// tunnel shuts down the other side for writing. After one direction has ended, the tunnel may be silent for 30 seconds.
// If an upstream closes while the client is sending, the kernel resets the connection of the upstream; the client still
// receives the bytes that the upstream sent before.
//
// The limit --max-clients includes tunnels; the limits of responders do not. Tunnels stay with their worker at a
// reload, are closed at the end of --graceful-timeout, and have one line in the access log when they end.
package conn
