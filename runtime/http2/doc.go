// Package http2 implements HTTP/2 connections (RFC 9113). It makes exchanges from the frames that clients send, and
// frames from the parts that sources send. Each stream carries one exchange, which never waits for the response of a
// different exchange. The package golang.org/x/net/http2 parses frames, and golang.org/x/net/http2/hpack encodes
// fields.
//
// All methods must be called on the event loop.
//
// # One form of a request
//
// The fields of a request are rewritten as an HTTP/1 head (http1.FieldBlock), which package runtime/http1 parses with the
// rules and limits of HTTP/1. Sources, WSGI and ASGI applications, CGI programs, proxies and logs therefore see every request
// in the form of HTTP/1. Requests that are invalid in HTTP/1 are also rejected in HTTP/2, for example requests with
// line ends in values, invalid names, connection-specific fields, two hosts, or a wrong length. The head of a response
// is made as for HTTP/1, and each of its lines becomes a field (http1.FieldOf, head.go). The HPACK code of these fields is the
// same for all connections, because responses use no dynamic table.
//
// # Output
//
// Heads and control frames are sent at once. The next part of a response's body waits in the stream until the client's
// windows and the socket have room; the exchange holds the later parts. Streams that can send take turns of one frame
// each, in the order of their urgency (RFC 9218, priority.go). Incremental streams of equal urgency alternate;
// non-incremental streams are sent one after the other. A request without a priority is incremental, so that a long
// response does not block the client's other responses.
//
// # WebSockets
//
// An extended CONNECT (RFC 8441) is rewritten as an HTTP/1 WebSocket request. The server makes the key of this request,
// and all code for WebSockets handles both kinds of requests in the same way. After the CONNECT is accepted, the stream
// carries a virtual connection (bytestream.go) for a WebSocket (package live) or a tunnel (package conn). Reading from
// the virtual connection opens the window of the stream. END_STREAM ends the virtual connection, and RST_STREAM resets
// it. If a source answers an extended CONNECT with an ordinary 2xx response, the client gets 501 instead, because a 2xx
// would accept the WebSocket.
//
// # Files
//
// The loop reads parts of files that are in memory; a goroutine reads all other parts, up to 256 KiB at a time. Each
// connection has at most four of these goroutines.
//
// # Input
//
// The window of the connection starts at 64 KiB and grows with use (window.go). Its maximum is the sum of the windows
// of its streams or Config.ConnectionWindow, whichever is smaller, minus the bytes in memory. The bytes above 64 KiB
// are counted in a limit that all connections share (conn.Shares).
//
// The window of a stream starts at 64 KiB, and is at least 1 MiB for the rest of a longer collected body. Collected bytes
// do not hold up the connection: exchange.Body counts them for the address of the client, and stores them in a file if
// its share of memory is used up. While a body waits for a file, its window stays closed, and its bytes in memory count
// for the connection. The window of a streamed body opens when the handler has returned half of exchange.InputWindow
// (OpCredit).
//
// A body can only be as fast as its window in each round trip. So the server sends a PING with a large body. If half of
// the window arrives before the acknowledgment of the PING, while the handler takes its input, the window grows up to
// Config.MaxWindow (tuneWindows). Later bodies of the connection get the larger window as soon as their handlers take
// input (catchUp). The streams of a connection share half of the connection's window. A stream whose handler uses no
// input needs memory only up to the size of its window, and all streams of a connection together only up to the size of
// the connection's window.
//
// # Hostile clients
//
// A connection has at most Config.MaxStreams exchanges. This number includes the exchanges of streams that were reset,
// until their handlers have ended. Otherwise a client could start any number of handlers by resetting streams
// (CVE-2023-44487), or by making the server reset them (CVE-2025-8671). Frames that cost work without progress (resets,
// pings, settings, acknowledgments, priorities, empty frames, small window updates) take points from a budget
// (window.go). The budget refills with time and with sent data. A client that exhausts the budget gets GOAWAY with
// ENHANCE_YOUR_CALM. Header blocks are decoded as they arrive, and the decoded bytes are kept only up to the maximum
// size of a head. A request with a larger block gets 431, and a block above a second, higher limit ends the connection.
// If too many control frames wait for a client that does not read, the loop stops reading from the connection.
package http2
