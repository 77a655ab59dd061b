// Package http1conn is the connection of a client that speaks HTTP/1. A connection parses requests, makes an exchange
// of each (package exchange), and writes the responses in the order of the requests. Package runtime creates
// connections from accepted sockets (Server.NewClient, NewSubrequest). Connections belong to the event loop.
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
// of a connection may run if their responses may grow to any size (streamed.go). The interpreter gets up to 32 requests
// in one batch, because most responses are small. The interpreter returns a request (OpDeferred) while two other
// requests of the connection run or more than 256 KiB wait for the client. The loop resumes the returned request
// shortly before its turn.
//
// # Bodies that are streamed
//
// A streamed body is delivered from the read buffer, one piece for each read. Chunks are moved together in place. No
// other exchange of the connection begins before the body is complete. If the last part of the response comes earlier,
// the connection reads and drops up to 64 KiB of the body, because clients often send a body in a separate packet and
// then keep the connection open. If the rest is longer, the connection closes and lingers as after a refusal.
//
// The connection is not read while the handler has more than 64 KiB. When a body of known length fills the read buffer,
// the connection continues to read at once, up to 256 KiB, because waking a thread for each buffer costs more. While
// reading is paused, the loop notices a reset of the connection immediately. The loop notices the end of the input only
// after the handler has used the bytes before it.
package http1conn
