// Package proxy answers requests with the responses of another HTTP server, the upstream: a reverse proxy. It is a
// responder of package backend, so each request has a goroutine; a WebSocket becomes a tunnel on the event loop
// (conn.Tunnel). Start reading at Proxy.Respond and connection.go.
//
// # Connections
//
// It reads and writes with net/http's ReadResponse and Request.Write, but keeps its own connections. net/http's
// Transport uses a connection again before it knows that nothing is left in it: an upstream that sends a body behind
// its answer to HEAD answered other clients' requests with it. Here a connection carries another request only if its
// reader is empty at the end of the response (settle) and its socket has nothing to read (quiet), then and again
// before the next request. After HEAD it always closes, because such a body may arrive late. Idle connections have
// neither a goroutine nor a buffer.
//
// The head of a response has to fit into the reader, 64 KiB. readHead reads Connection there again where net/http may have
// removed it.
//
// A safe request is sent again if a kept connection ends before a byte of the response; others get 502. A request
// path with a ".." segment in any spelling that some server resolves is 400 (climbs), whatever routing has made of
// it.
//
// net/http makes the executable 2 MB larger (12 %); none of it is in memory where no proxy is configured.
//
// # TLS to the upstream
//
// It is a conn.TLSTransport, over a connection that blocks (Proxy.dial) until a tunnel takes that. HTTP/2 is not offered.
// Certificates of authorities are read with the configuration, before a chroot. A certificate that is not accepted is
// one line in the error log of the host, and 502.
//
// # WebSockets
//
// The response to the handshake of the client decides whether its further bytes are requests or another protocol. So
// nothing is sent to the upstream before its 101, which must have Upgrade, Connection and the right
// Sec-WebSocket-Accept; any other 101 is 502. After a different answer, the bytes that the client has sent ahead are
// its next request. Such a handshake uses a new connection, which is never kept: whatever the upstream takes it for,
// it ends there. Handshakes that RFC 6455 does not allow are refused here, and protocols other than websocket are not
// passed on.
//
// proxy-tunnel-timeout is an hour: nginx has a minute, in which clients without pings are lost, Caddy has no limit,
// and the examples of HAProxy have an hour. TCP keep-alive finds clients that have vanished. The event loop takes
// the connection over with its TLS (conn.NewUpstream).
package proxy
