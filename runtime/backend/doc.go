// Package backend runs responders: sources in Go that may take their time, such as CGI programs, FastCGI, proxies and
// SSI pages. Each request has a goroutine, on which Responder.Respond is called; to the event loop the Handler of a
// Responder is an exchange.Handler, by shape.
//
// It makes parts of a response just as the interpreter does, and has them posted to the loop
// (exchange.Request.Publish). So framing, pipelining, back-pressure, HEAD
// requests, clients that disconnect and files sent by the kernel are dealt with once, in package exchange, and no
// responder touches a connection.
//
// A responder may ask the server itself for another page (Request.Sub). The subrequest runs over a socketpair that
// the server treats as a connection like others: it goes through all of routing, Python included. It does not count
// for max-clients, has no line in the access log, may begin while the server stops, and at most ten are nested.
//
// Start reading at Responder and Handler.
package backend
