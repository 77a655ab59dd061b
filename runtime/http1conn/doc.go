// Package http1conn is the connection of a client that speaks HTTP/1. A connection parses requests, makes an exchange
// of each (package exchange), and writes the responses in the order of the requests. Package runtime creates
// connections from accepted sockets (Server.NewClient, NewSubrequest). They belong to the event loop.
//
// A connection may begin with a header of the PROXY protocol, TLS or the preface of HTTP/2 (begin.go). Start reading at
// Conn (conn.go), then input.go (requests and bodies) and output.go (responses). handover.go moves idle connections and
// WebSockets between processes.
//
// # Requests of a connection
//
// An exchange begins when its head is parsed. If the exchange cannot begin yet, it is suspended and continues later.
// The connection parses no further request until then.
//
// Up to 32 pipelined requests run in parallel if all of them are safe and have no body (RFC 9112 §9.3.2). Other
// requests wait for earlier ones. Exchanges keep parts until the responses before them are sent. Up to three requests
// of a connection may run with a source whose responses have no size limit (streamed.go). The interpreter gets up to 32
// requests in one batch, because most answers are small. It returns a request (OpDeferred) while two others of the
// connection run or more than 256 KiB wait for the client. The loop resumes that request shortly before its turn.
//
// # Bodies that are streamed
//
// A streamed body is delivered from the read buffer, one piece for each read. Chunks are moved together in place. No
// other exchange of the connection begins before the body is complete. If the last part of the response comes earlier,
// the connection reads and drops up to 64 KiB of the body, because clients often send a body in a separate packet and
// then keep the connection open. If the rest is longer, the connection closes and lingers as after a refusal.
//
// The connection is not read while the handler has more than 64 KiB. When a body with a length fills the read buffer,
// the connection reads further at once, up to 256 KiB for the handler, because waking a thread costs more. If a paused
// client resets the connection, the loop notices immediately. If the client only shuts down its sending side, the loop
// notices after the handler takes the bytes before the end.
package http1conn
