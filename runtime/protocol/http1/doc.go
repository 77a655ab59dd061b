// Package http1 is the protocol of a connection that speaks HTTP/1: bytes become exchanges, and the parts that their
// sources send become bytes, in the order of the requests. It has pipelining, bodies, the framing of responses,
// keep-alive, deadlines, back-pressure and the ways in which a connection closes. Package runtime/http1 reads heads and
// writes them; package protocol/http has all that is no business of this version.
//
// All methods must be called on the event loop. A Server is shared by the connections of a loop. Start reading at conn.go
// (Conn, which implements conn.Protocol and http.Carrier), input.go (bytes to exchanges; the body, then the source) and
// respond.go (parts to bytes). Body needs no connection.
//
// # Requests of a connection
//
// An exchange exists from the moment its head is parsed. One that cannot begin yet is suspended, and continues where it
// was; the requests behind it are not looked at meanwhile.
//
// Pipelined requests run side by side when all of them are safe methods without a body, up to 32 (RFC 9112 §9.3.2);
// others wait for those before them. Parts that come early are held in their exchange, and responses leave in order.
// A source that may give an answer of any size has at most three requests of a connection (stream.go). The
// interpreter gets up to 32 in one batch, because most answers are small, and checks before it starts one: while two
// others of that connection run, or more than 256 KiB wait for its client, it gives the request back (OpDeferred),
// and the loop resumes it when its turn comes near. 32 requests for 10 MiB cost 30 MB instead of 330, and 16
// pipelined hellos the same CPU as before, within 3 %.
//
// # Bodies
//
// A body that is streamed is delivered from the read buffer: one piece for each read, chunks moved
// together in place. Until its body is whole such an exchange is the only one of its connection. When the last part of
// the response comes first, up to 64 KiB of the body are awaited and thrown away, because clients often send a body
// in another packet than the head and keep their connection; with more to come the connection closes, and lingers as
// after a refusal.
//
// While the handler has more than 64 KiB the connection is not read. Of a body with a length that has
// filled the read buffer more is read at once, up to 256 KiB with the bytes that the handler has: waking a thread
// costs more than reading. A paused client that resets the connection is noticed at once; one
// that only shuts down its side is noticed when the handler has taken the bytes before that. An upload of 1 GiB to an
// ASGI application costs, with a length, 0.4 to 0.6 s of CPU and 13,000 context switches (with 64 KiB at once 0.7 s
// and 43,000; uvicorn with httptools 0.17, in turn with them: 0.4 to 0.5), in chunks 0.7 s (uvicorn 0.6), and 2 MiB
// of memory. One that the application does not take costs 226 KiB.
//
// # Detached sockets
//
// A request for a WebSocket may come with a duplicate of the descriptor, for WSGI libraries
// that speak that protocol themselves (respond.go). The loop does not read meanwhile, but sees a client that
// disconnects. A part with Taken ends the exchange without a response, and the connection lingers, because closing at
// once may destroy the close frame that was sent last. There is no --timeout for them.
package http1
