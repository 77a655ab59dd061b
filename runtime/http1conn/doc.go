// Package http1conn is the connection of a client that speaks HTTP/1. It turns bytes into exchanges (package exchange), whose Stream it is,
// and parts of responses into bytes, in the order of the requests. Package runtime makes connections (Server.NewClient, NewSubrequest) of
// accepted sockets, and all of it belongs to the event loop.
//
// A connection may begin with a header of the PROXY protocol, TLS or the preface of HTTP/2 (begin.go). Start reading at Conn (conn.go), then
// input.go (bytes to requests and bodies) and output.go (parts to bytes). Idle connections and WebSockets move between processes in
// handover.go.
//
// # Requests of a connection
//
// An exchange exists from the moment its head is parsed. One that cannot begin yet is suspended, and continues where it
// was; the requests behind it are not looked at meanwhile.
//
// Pipelined requests run side by side when all of them are safe methods without a body, up to 32 (RFC 9112 §9.3.2);
// others wait for those before them. Parts that come early are held in their exchange, and responses leave in order.
// A source that may give an answer of any size has at most three requests of a connection (streamed.go). The
// interpreter gets up to 32 in one batch, because most answers are small, and checks before it starts one: while two
// others of that connection run, or more than 256 KiB wait for its client, it gives the request back (OpDeferred),
// and the loop resumes it when its turn comes near. 32 requests for 10 MiB cost 30 MB instead of 330, and 16
// pipelined hellos the same CPU as before, within 3 %.
//
// # Bodies that are streamed
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
package http1conn
