// Package http1 reads and writes HTTP/1.0 and HTTP/1.1 messages (RFC 9112) in byte slices. The package does no I/O,
// starts no goroutine, has no notion of connections, and imports only the standard library.
//
// To read, use Request.Parse for a head and ChunkedReader for a chunked body. To write, use Template.AppendHead and
// AppendChunkHeader. Functions do not keep slices from their callers. Only two kinds of functions allocate memory:
// those that append to dst or to a FieldBlock, and Parse, which fills Request.Fields.
//
//   - Limits contains the limits for a head: a request line that is too long results in a 414, and fields that are too
//     long or too many in a 431. A head that violates the rules results in a StatusError. The server answers with the
//     status of this error and closes the connection.
//   - Parse examines only whole lines, so that its result does not depend on how the received bytes were split. A fuzz
//     test parses the same bytes as a whole and in pieces. It also compares the result with net/http if both accept
//     the bytes. Request.Resume keeps the cost linear even if a head arrives byte by byte.
//   - target.go computes the canonical path that all decisions use (ResolvePath). Parse notes whether a path already is
//     canonical (Request.Plain), so that common paths need no further processing. nginx and Apache also decode paths,
//     resolve dot segments and merge slashes. Go's ServeMux and werkzeug redirect to the canonical path. gunicorn and
//     uvicorn pass paths to applications unchanged.
//   - fieldblock.go is for protocols that send fields instead of lines, such as HTTP/2. A FieldBlock writes the fields of a
//     request as a head for ParseWhole, and FieldOf makes a field of each line of a response.
//
// # Identities
//
// An Identifier (identity.go) continues traces of W3C Trace Context (https://www.w3.org/TR/trace-context/) and gives
// requests an id: it appends the fields traceparent and x-request-id to the head of a request. Everything that receives
// request fields then receives the added fields: WSGI and ASGI applications, CGI and FastCGI programs, upstreams,
// server-side includes and logs.
package http1
