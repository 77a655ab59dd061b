// Package http1 reads and writes HTTP/1.0 and HTTP/1.1 messages (RFC 9112) over byte slices. It does no I/O, starts
// no goroutine, knows no connection, and imports only the standard library. Package exchange calls it on the event
// loop; sources use its fields and dates.
//
// Reading: Request.Parse for a head, ChunkedReader for a chunked body. Writing: Template.AppendHead and
// AppendChunkHeader. No function keeps a slice that it was given, and none but the ones that append to dst and Parse
// (for Fields) allocates. Values may be used by one goroutine at a time. Start reading at Request and parse.go.
//
//   - Limits bounds a head: a request line that is too long is 414, fields that are too long or too many are 431. A
//     head that breaks the rules is a StatusError, which is answered and closes the connection.
//   - Parse judges whole lines only, so its answer does not depend on how the bytes were cut; a fuzz test compares
//     every cut with the whole, and with net/http's reading of the same bytes where both accept. A Resume keeps the
//     arrival of single bytes linear.
//   - target.go has the one path by which everything decides (ResolvePath). Parse notes whether a path is already
//     in that form (Request.Plain), so an ordinary one costs nothing. nginx and Apache decode, resolve and merge as
//     well; Go's ServeMux and werkzeug redirect to the canonical spelling; gunicorn and uvicorn pass every path on
//     undecided.
//
// # Traces
//
// A Tracer (traceparent.go) continues the traces of W3C Trace Context (https://www.w3.org/TR/trace-context/): it gives the head of a
// request a valid field traceparent. From there everything has it that passes fields on: environ and scope, CGI and FastCGI,
// proxies, includes, logs.
//
// It works on bytes, without I/O. Tracer is used by package exchange, Find by logs.
package http1
