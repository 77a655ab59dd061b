// Package proxy is a reverse proxy: it forwards requests to an HTTP server, the upstream, and forwards the responses to
// clients. The proxy is a responder of package backend, so that each request has a goroutine; a WebSocket becomes a
// tunnel on the event loop (conn.Tunnel).
//
// # Connections
//
// Package proxy reads and writes messages with net/http's ReadResponse and Request.Write, but manages its own
// connections. net/http's Transport would reuse a connection before it is known to be empty: if an upstream sends a
// body after a HEAD, a different client would receive the body as its response. Package proxy reuses a connection only
// if its reader is empty at the end of the response (settle), and if its socket has no data, both then and before the
// next request (quiet). Idle connections have neither a goroutine nor a buffer.
//
// If the upstream closes a reused connection before the first byte of the response, a request with a safe method is
// retried. Any other request results in a 502. A request path with a ".." segment results in a 400, even if routing has
// resolved the segment.
//
// # Several upstreams
//
// Proxy.take chooses the upstream with the fewest active requests, and Proxy.try sends a request to an upstream. Each
// process has its own counts and failures. Health checks (checkHealth) begin with the first request, because New is
// also called to check a configuration.
//
// # TLS to the upstream
//
// The connection is a conn.TLSTransport over a blocking connection (Proxy.dial) until a tunnel takes it over. HTTP/2 is
// not offered. Certificates of authorities are read with the configuration, because they may be unreachable after a
// chroot. If the upstream's certificate is rejected, the host's error log gets one line, and the response is a 502.
//
// # WebSockets
//
// The response to a handshake decides whether the client's next bytes are requests or another protocol. Therefore
// nothing is sent to the upstream before its 101, which must have Upgrade, Connection and the correct
// Sec-WebSocket-Accept. Any other 101 results in a 502. After a different response, the bytes that the client has
// already sent are its next request. A handshake uses a new connection that is never reused, so that a
// misinterpretation by the upstream affects only this connection. Handshakes that violate RFC 6455 are rejected here,
// and protocols other than websocket are not forwarded.
//
// proxy-tunnel-timeout is one hour by default. The examples of HAProxy also use one hour; nginx uses one minute, which
// disconnects clients that send no pings, and Caddy has no limit. TCP keep-alive detects clients that have vanished.
// The event loop takes over the connection together with its TLS state (conn.NewUpstream).
package proxy
