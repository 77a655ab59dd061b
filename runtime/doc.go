// Package runtime is the server: it puts event loop, connections, sites, sources and channels together, starts and stops
// them, and hands over. It has no code for a request itself. It knows nothing of Python: an application is a Handler
// of package source/app. The packages below it do the work; ARCHITECTURE.md, "Packages", lists them.
//
// A Server has one event loop, which owns the connections. Its exported methods are safe for concurrent use, but must
// not be called on the loop. Everything else belongs to the loop, unless a comment says otherwise. Work that might wait
// for a disk or a password hash runs on goroutines. Package cmd/fapws/worker makes the Server of a process.
// Start reading at server.go and loop.go. What other packages need of the loop is in accepting.go, sources.go and live.go.
//
// A subrequest has the server answer its own requests: the pages that SSI includes, and the local redirects of
// programs. It asks through a socketpair, whose other end the server serves like any connection. So a subrequest
// passes all rules, and is bounded by the same flow control as others.
//
// A subrequest is made on a separate goroutine (package backend). Start reading at Server.subrequest.
package runtime
