// Package proxy is a reverse proxy: it forwards requests to an HTTP server, the upstream, and forwards the responses to
// clients. It is a handler on the event loop: an upstream's connection is a conn.Conn, as a client's is. Goroutines only
// look names up, perform TLS handshakes, check the health of upstreams, and use files.
//
// # A request
//
// Proxy.Submit (request.go) copies what it needs of the request, chooses an upstream (Proxy.take, upstream.go), and sends
// the request over an idle connection or a new one. The parts of the response go to the exchange at once
// (exchange.Services.Deliver). Each request has at most one connection, and each connection at most one request.
//
// If the upstream closes a reused connection before the first byte of the response, a request with a safe method is sent
// again. If no connection could be opened, or if the method is idempotent, another upstream may get the request
// (request.lost). A request path with a ".." segment results in a 400, even if routing has resolved the segment.
//
// # A connection
//
//	          the upstream takes            a head that is        the body is complete,
//	           the first bytes              not interim           and nothing follows it
//	opening ------------------> asking --------------> answering ----------------------> idle
//	                            ^ |                                                       |
//	                            | +--101--> upgraded (conn.Tunnel)                        |
//	                            +---------------------------------------------------------+
//	                                              the next request
//
// Every state can be followed by closed: the upstream closes, fails or is too slow, sends what is not HTTP or what nobody
// has asked for, or the client disconnects. The table steps (connection.go) contains these steps, and connection.enter
// takes them. While a connection is asking or answering, the request is being written at the same time. A response may
// come before the request was written; the connection is then not used again.
//
// The head is parsed by http1.UpstreamHead, with the parser of a request's fields and framing; a chunked body by the
// reader of requests' bodies (http1.BodyReader). A response with a Content-Length and a Transfer-Encoding is an error.
//
// # Reuse
//
// A client must never get bytes that an upstream has sent for another one, for example a body after a HEAD. A connection
// is reused only if the request was written completely, the end of the response is certain (delimited), no byte followed
// it, and nothing has arrived before the next request (conn.Conn.Quiet). A HEAD asks the upstream to close. A handshake
// for a WebSocket has a new connection that is never reused, so that a misinterpretation by the upstream affects only this
// connection.
//
// Some upstreams need a process for each connection. If a new connection gets no response for a while, the idle
// connections may occupy all processes, so they are closed, and a connection on which the upstream has answered a later
// request is not kept. An upstream that accepts all connections and answers in order keeps its connections, however slow
// it is.
//
// # Memory
//
// A small part of a response is copied; a large one borrows the buffer into which the loop has read it
// (conn.Set.TakeInput), so that another read needs another buffer. If the client has not taken unackedMax bytes, the
// connection is not read. If the client stays slow, a file stores the rest (spool.go), so that the upstream can end. The
// body of a request is written as it arrives, or is sent from the file that contains it; an upstream that does not read
// stops the client at exchange.InputWindow.
//
// # Timeouts
//
// Options.Connect limits opening a connection, and Options.Timeout the wait for a complete head, which begins again
// whenever the upstream takes bytes of the request. After the head, a response may pause for as long as it likes, unless
// Options.Pause is set.
//
// # Several upstreams
//
// Proxy.take chooses the upstream with the fewest active requests. Each process has its own counts and failures. Health
// checks (checkHealth) begin with the first request, because New is also called to check a configuration.
//
// # TLS to the upstream
//
// A goroutine performs the handshake, and the loop then adopts the connection (conn.TLSServer.Adopt). HTTP/2 is not
// offered. Certificates of authorities are read with the configuration, because they may be unreachable after a chroot. If
// the upstream's certificate is rejected, the host's error log gets one line, and the response is a 502.
//
// # WebSockets
//
// The response to a handshake decides whether the client's next bytes are requests or another protocol. Therefore nothing
// is sent to the upstream before its 101, which must have Upgrade, Connection and the correct Sec-WebSocket-Accept. Any
// other 101 results in a 502. After a different response, the bytes that the client has already sent are its next request.
// Handshakes that violate RFC 6455 are rejected before, and protocols other than websocket are not forwarded.
//
// proxy-tunnel-timeout is one hour by default. The examples of HAProxy also use one hour; nginx uses one minute, which
// disconnects clients that send no pings, and Caddy has no limit. TCP keep-alive detects clients that have vanished.
package proxy
