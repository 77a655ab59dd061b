// Package backend runs responders: sources in Go that may block, such as CGI programs, FastCGI, proxies and SSI pages.
// Responder.Respond is called on a separate goroutine for each request. Pool.Handler makes an exchange.Handler from a
// Responder.
//
// The Handler posts the parts of a response to the event loop (exchange.Services). Therefore framing, pipelining,
// back-pressure, HEAD requests, disconnects and files sent by the kernel are implemented once, in package exchange, and
// a responder never accesses a connection.
//
// A responder may request another page from the server itself (Request.Sub). The subrequest is sent over a socket pair
// that the server treats as a connection, so it is routed like a client's request, and can reach Python. The limit
// --max-clients does not include subrequests, and the access log contains no lines for them. A subrequest may begin
// even while the server stops. At most ten subrequests are nested.
package backend
