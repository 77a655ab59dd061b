// Package http2 implements the protocol of an HTTP/2 connection (RFC 9113): frames become exchanges, and the parts that
// sources send become frames. Each stream carries one exchange, which never waits for another exchange's response.
// golang.org/x/net/http2 parses frames, and its package hpack encodes fields.
//
// All methods must be called on the event loop. The connections of a loop share a Server.
//
// # One form of a request
//
// The fields of a request are rewritten as an HTTP/1 head (head.go), which package runtime/http1 parses with the rules
// and limits of HTTP/1. Sources, environ, CGI, proxies and logs therefore see one kind of request. Input that HTTP/1
// refuses cannot pass as HTTP/2: line ends in values, invalid names, connection-specific fields, two hosts, a wrong
// length. The head of a response is made as for HTTP/1, and its lines become fields (head.go). The HPACK code of these
// fields is the same for all connections, because responses use no dynamic table.
//
// # Output
//
// Heads and control frames are sent at once. The body of a response waits in its stream until the client's windows and
// the socket have room; the exchange holds further parts. Streams that can send take turns of one frame, in the order
// of urgency (RFC 9218). Incremental streams of equal urgency alternate; other streams are sent one after the other. A
// request without a priority is incremental, so that a long response does not block others.
//
// # WebSockets
//
// An extended CONNECT (RFC 8441) is rewritten as an HTTP/1 WebSocket request with a key that the server makes, so all
// code for WebSockets handles it, including programs and upstreams. After it is accepted, the stream is the transport
// of a virtual connection (bytestream.go) for a WebSocket (package live) or a tunnel (package conn). The window of the
// stream opens as the virtual connection is read. END_STREAM ends the virtual connection, and RST_STREAM resets the
// virtual connection. A 2xx response that does not accept a WebSocket would look like an acceptance and becomes a 501.
//
// # Files
//
// Files are read on the loop if they are in memory, and otherwise by a goroutine, up to 256 KiB at a time and with at
// most four goroutines for each connection.
//
// # Input
//
// The window of the connection starts at 64 KiB and grows with use, up to the sum of the windows of its streams and at
// most to Config.ConnectionWindow, minus the bytes in memory (window.go). Above 64 KiB all connections share a limit
// (conn.Shares).
//
// The window of a stream starts at 64 KiB. The first 64 KiB of a collected body stay in memory. A longer body goes to a
// file, with a window of 1 MiB; the window stays closed while the client has its maximum number of files. A body also
// goes to a file if the connection would otherwise hold more than an eighth of its window in memory. The window of a
// streamed body opens when the handler has given credit for half of exchange.InputWindow. The window grows up to
// Config.MaxWindow as long as the handler uses all input. A stream whose handler uses no input occupies at most its
// window in memory, and all streams together at most the window of the connection.
//
// # Hostile clients
//
// A connection has at most Config.MaxStreams exchanges. Exchanges of streams that the client has reset count until
// their handlers have ended (CVE-2023-44487), as do streams that it made the server reset (CVE-2025-8671). Frames that
// cost work without progress (resets, pings, settings, acknowledgments, priorities, empty frames, small window updates)
// take points from a budget (window.go). The budget refills with time and with sent data. A client that exhausts it
// gets GOAWAY with ENHANCE_YOUR_CALM. Header blocks are decoded as they arrive, and only as many bytes are kept as a
// head may have. A larger block gets 431; a much larger block ends the connection. While too many control frames wait
// for a client that does not read, its input is paused.
package http2
