// Package runtime is the server: it connects event loop, connections, sites, sources and channels, starts and stops
// them, and hands over to another process. The packages below it do the work. Package runtime does not know Python: an
// application is a Handler of package source/app.
//
// A Server has one event loop, which owns the connections. Its exported methods are safe for concurrent use, but must
// not be called on the loop. Everything else belongs to the loop unless a comment says otherwise. Work that may wait
// for a disk or a password hash runs on goroutines. Package cmd/fapws/worker makes the Server of a process. Start
// reading at server.go and loop.go. accepting.go, sources.go and live.go implement the interfaces of other packages to
// the loop.
//
// A subrequest is a request of the server to itself, for pages that SSI includes and for local redirects of programs. A
// goroutine (package backend) sends it on a socketpair, whose other end the server handles like any connection. The
// subrequest therefore passes all rules and has the same flow control. Start reading at Server.subrequest.
package runtime
