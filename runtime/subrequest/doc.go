// Package subrequest has the server answer its own requests: the pages that SSI includes, and the local redirects of
// programs. A Client asks through a socketpair, whose other end the server serves like any connection. So a subrequest
// passes all rules, and is bounded by the same flow control as others.
//
// A Client belongs to the handler of one request, which asks on a separate goroutine (package backend). Start reading at
// Client.Ask.
package subrequest
