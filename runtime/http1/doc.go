// Package http1 reads and writes HTTP/1.0 and HTTP/1.1 messages (RFC 9112) in byte slices. The package does no I/O,
// starts no goroutine, does not know connections, and imports only the standard library. Package exchange calls it on
// the event loop; sources use its fields and dates.
//
// To read, use Request.Parse for a head and ChunkedReader for a chunked body. To write, use Template.AppendHead and
// AppendChunkHeader. Functions do not keep slices from their callers. Only functions that append to dst, and Parse for
// Fields, allocate. Values are not safe for concurrent use.
//
//   - Limits limits a head: a request line that is too long results in a 414, and fields that are too long or too many
//     in a 431. A head that violates the rules results in a StatusError; the server sends it and closes the connection.
//   - Parse examines only whole lines, so that its result does not depend on how the bytes were split. A fuzz test
//     compares every split with the whole, and with net/http if both accept the bytes. With a Resume, the cost stays
//     linear even if a head arrives byte by byte.
//   - target.go computes the canonical path that all decisions use (ResolvePath). Parse notes whether a path already is
//     canonical (Request.Plain), so that common paths need no work. nginx and Apache decode, resolve and merge as well;
//     Go's ServeMux and werkzeug redirect to the canonical spelling; gunicorn and uvicorn forward paths unchanged.
//
// # Identities
//
// An Identifier (identity.go) continues traces of W3C Trace Context (https://www.w3.org/TR/trace-context/) and gives
// requests an id: it adds the fields traceparent and x-request-id to the end of the head of a request. The added fields
// then reach everything that receives request fields: environ and scope, CGI and FastCGI, proxies, includes, logs.
//
// The Identifier works on bytes and does no I/O. Package exchange uses Identifier; logs and handlers use OwnIdentity.
package http1
