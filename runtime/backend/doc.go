// Package backend runs responders: sources in Go that may block, such as CGI programs, FastCGI, proxies and SSI pages.
// Responder.Respond is called on a goroutine for each request. Pool.Handler converts a Responder to an
// exchange.Handler.
//
// The Handler posts the parts of a response to the event loop (exchange.Services). Therefore framing, pipelining,
// back-pressure, HEAD requests, disconnects and files sent by the kernel are implemented once, in package exchange, and
// a responder never accesses a connection.
//
// A responder may request another page from the server itself (Request.Sub). The subrequest is sent over a socket pair
// that the server treats as a connection, so it is routed like a client's request, and can reach Python. A subrequest
// does not count toward max-clients, is not logged in the access log, and may begin while the server stops. At most ten
// subrequests are nested.
package backend
