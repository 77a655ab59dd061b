// Package http1conn implements HTTP/1 connections of clients. A connection parses requests, makes an exchange of each
// request (package exchange), and writes the responses in the order of the requests. Connections may be used only on
// the event loop.
//
// A connection can begin with a header of the PROXY protocol, with TLS, or with the HTTP/2 preface (begin.go). Start
// reading at Conn (conn.go), then input.go (requests), body.go (their bodies) and output.go (responses).
// handover.go moves idle connections between processes.
//
// # Requests of a connection
//
// An exchange begins when its head is parsed. If the exchange cannot begin yet, it is suspended, and the connection
// parses no further request until the exchange continues.
//
// Up to 32 pipelined requests run in parallel if all of them are safe and have no body (RFC 9112 §9.3.2). All other
// requests wait until earlier requests have ended. Exchanges hold parts until earlier responses are sent. If responses
// can grow to any size, at most three requests of a connection run at once (output.go). The Python interpreter is an
// exception: it gets up to 32 requests in one batch, because most of its responses are small. The interpreter returns a
// request without starting it (OpDeferred) if two other requests of the connection are running, or if more than 256 KiB
// wait for the client. The loop submits the returned request again shortly before its response is the next to be sent.
//
// # Bodies that are streamed
//
// A streamed body is delivered from the read buffer, one piece for each read. The data of several chunks is joined in
// place. If the response ends before the body is complete, the connection reads and discards up to 64 KiB of the body,
// because clients often send a body in a separate packet and want to keep the connection open. If the rest is longer,
// the connection closes and lingers, as after a rejected request.
//
// The loop does not read from the connection while the handler has 64 KiB that it has not used. If a body of known
// length fills the read buffer, the connection reads up to 256 KiB at once, because waking a thread for each full
// buffer would cost more. While reading is paused, the loop notices a reset of the connection immediately. The loop
// notices the end of the input only after the handler has used all earlier bytes.
package http1conn
