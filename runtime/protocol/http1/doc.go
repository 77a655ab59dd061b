// Package http1 is the protocol of a connection that speaks HTTP/1: bytes become exchanges, and the parts that their
// sources send become bytes, in the order of the requests. It has pipelining, bodies, the framing of responses,
// keep-alive, deadlines, back-pressure and the ways in which a connection closes. Package runtime/http1 reads heads and
// writes them; a Host decides what answers an exchange, and package sites is one.
//
// All methods must be called on the event loop. A Server is shared by the connections of a loop. Start reading at conn.go
// (Conn, which implements conn.Protocol), input.go (bytes to exchanges), admit.go (the body, then the source) and
// respond.go (parts to bytes). Body, Response and Heads need no connection.
//
// # Requests of a connection
//
// An Exchange exists from the moment its head is parsed. One that cannot begin yet is suspended, and continues where it
// was; the requests behind it are not looked at meanwhile.
//
// Pipelined requests run side by side when all of them are safe methods without a body, up to 32 (RFC 9112 §9.3.2);
// others wait for those before them. Parts that come early are held in their exchange, and responses leave in order.
// A source that may give an answer of any size has at most three requests of a connection (pipeline.go). The
// interpreter gets up to 32 in one batch, because most answers are small, and checks before it starts one: while two
// others of that connection run, or more than 256 KiB wait for its client, it gives the request back (OpDeferred),
// and the loop resumes it when its turn comes near. 32 requests for 10 MiB cost 30 MB instead of 330, and 16
// pipelined hellos the same CPU as before, within 3 %.
//
// # Clients that do not read
//
// The loop counts, by client address (of IPv6 the /64; the address that a trusted proxy names counts), the bytes that
// transfers send and that wait for an earlier answer, from 16 KiB a part on (unsent.go, and ledger.go of package conn). Only slow
// clients count: a response that its socket takes at once costs nothing. While more than Config.MaxUnsent (64 MiB; an
// eighth of the memory that the process may use, if that is less) waits for an address, its requests are submitted as
// Held and not started before exchange.Pacer.Resume; those that the handler has not started are recalled; and no
// request is started while the loop has yet to deal with more than 8 MiB of finished parts, because the size of an
// answer is known only afterwards. So the excess is one answer, and with threads those of handlers that were running. Clients
// of a unix socket whose address no proxy names are bounded for each connection only.
//
// # Bodies
//
// A body that is not complete is collected, above 256 KiB in an unlinked file, and only whole requests go on: a slow
// client never holds an application. Where a mount streams (ASGI), the request is submitted with Request.More, and
// the rest is delivered (exchange.Receiver) as it is read, from the read buffer: one piece for each read, chunks moved
// together in place. Until its body is whole such an exchange is the only one of its connection. A request that breaks a limit
// gets its 4xx in place of the exchange, or closes the connection if the response has begun. When the last part of
// the response comes first, up to 64 KiB of the body are awaited and thrown away, because clients often send a body
// in another packet than the head and keep their connection; with more to come the connection closes, and lingers as
// after a refusal.
//
// Delivered bytes that OpCredit parts have not given back are counted in the exchange, each piece with 64 bytes for
// its overhead. Above 64 KiB the connection is not read until half of that is back. Of a body with a length that has
// filled the read buffer more is read at once, up to 256 KiB with the bytes that the handler has: waking a thread
// costs more than reading. Time in which we do not read is not counted against the client, and time in which the
// client is waited for not against the handler. A paused client that resets the connection is noticed at once; one
// that only shuts down its side is noticed when the handler has taken the bytes before that. An upload of 1 GiB to an
// ASGI application costs, with a length, 0.4 to 0.6 s of CPU and 13,000 context switches (with 64 KiB at once 0.7 s
// and 43,000; uvicorn with httptools 0.17, in turn with them: 0.4 to 0.5), in chunks 0.7 s (uvicorn 0.6), and 2 MiB
// of memory. One that the application does not take costs 226 KiB.
//
// # Detached sockets
//
// A request for a WebSocket may come with a duplicate of the descriptor, for WSGI libraries
// that speak that protocol themselves (detached.go). The loop does not read meanwhile, but sees a client that
// disconnects. A part with Taken ends the exchange without a response, and the connection lingers, because closing at
// once may destroy the close frame that was sent last. There is no --timeout for them.
package http1
