// Package http2 is the protocol of a connection that speaks HTTP/2 (RFC 9113): frames become exchanges, and the parts that their
// sources send become frames. Each stream carries one exchange, whose turn it always is. Frames are read by
// golang.org/x/net/http2, and fields coded by its package hpack.
//
// All methods must be called on the event loop. A Server is shared by the connections of a loop. Start reading at conn.go (Conn, which
// implements conn.Protocol), frames.go (frames to streams), stream.go (stream, which implements exchange.Stream) and output.go (parts to
// frames).
//
// # One form of a request
//
// The fields of a request are put into a head of the form of HTTP/1 (head.go), which package runtime/http1 parses by the rules and
// limits that hold there. So sources, environ, CGI, proxies and logs have one kind of request, and nothing that HTTP/1 refuses gets
// past them as HTTP/2: bytes that end a line, names that are no tokens, fields of the connection, two hosts, a length that lies. The
// head of a response takes the same way in the other direction (head.go): the one place that makes heads makes it, and its lines
// become fields. Their code is the same for all connections, which have no table of fields for it.
//
// # Output
//
// Heads and control frames leave at once. The body of a response waits in its stream until the windows of the client and its socket
// have room, and the exchange holds the parts behind it. Streams with something to send have turns of one frame: the lowest urgency
// first (RFC 9218), of equal ones in turn if they are incremental, otherwise one behind the other. A request that says nothing of its
// priority is incremental, so that a long response does not hold up others. A turn of a connection ends after 1 MiB, 512 frames or 64 requests.
//
// Behind a response a stream may go on as a connection of its own: server-sent events of channels (package live).
//
// # WebSockets
//
// An extended CONNECT (RFC 8441) takes the form of a request of HTTP/1 that asks for a WebSocket, with a key of our own, so everything
// that handles those handles it, programs and upstreams too. When it is accepted, the stream is the transport of a virtual connection
// (bytestream.go), which a WebSocket (package live) or a tunnel (package conn) has: they cannot tell it from others. Its window opens as they
// read; END_STREAM is the end of the connection, and RST_STREAM breaks it. A response of 2xx that does not accept a WebSocket would be taken for one
// that does, and becomes a 501. With 1,000 of them on a connection, an idle WebSocket costs 1 KiB more than over HTTP/1, and no descriptor.
//
// # Files
//
// Files are read on the loop if they are in memory, and otherwise by a goroutine, up to 256 KiB at a time and four for each
// connection.
//
// # Input
//
// The window of the connection begins with 64 KiB and grows as it is used, to what its streams may send, up to Config.ConnectionWindow, less what its
// streams have in memory (window.go). Above 64 KiB, it is shared with all connections of the client: see exchange.Shares. The window of a stream
// begins with 64 KiB. The first 64 KiB of a body that is collected stay in memory. A longer one goes to a file, and its window is kept open at 1 MiB
// then; it is not opened while the client has as many files as it may have. Bodies with which the connection would have more than an eighth of its
// window in memory go to a file, too.
// Of a body that is streamed, the window opens again when the handler has given credit for half of exchange.InputWindow; it grows
// up to Config.MaxWindow while the handler takes everything. So a stream whose handler takes nothing costs up to 64 KiB, or the window
// that it has earned, and all of them together no more than the window of the connection.
//
// # Hostile clients
//
// A connection has at most Config.MaxStreams exchanges. Those whose streams the client has reset count until their handlers have
// ended (CVE-2023-44487), as do those of streams that it has made the server reset (CVE-2025-8671). Frames that cost work and bring
// nothing on (resets, pings, settings, acknowledgments, priorities, empty frames, small updates of windows) take from a budget
// (window.go), which time and sent data fill; a client that uses it up gets GOAWAY with ENHANCE_YOUR_CALM. Header blocks are decoded
// as they arrive, and only so many bytes of them are kept as a head may have; a block with more gets 431, and one of many times more
// ends the connection. Control frames for a client that does not read are bounded: it is not read from meanwhile. A window that stays
// closed for the write timeout ends its stream.
package http2
