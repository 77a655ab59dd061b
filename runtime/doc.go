// Package runtime is the server: it connects the event loop, connections, sites, sources and channels, starts and stops
// them, and hands over clients to another process. The packages in the directories below implement these parts. Package
// runtime does not depend on Python: an application is a Handler of package source/app.
//
// A Server has one event loop, which owns the connections. The exported methods of a Server are safe for concurrent
// use, but must not be called on the loop. All other functions must be called on the loop unless their comments say
// otherwise. Work that may block on a disk, or that computes a password hash, runs on separate goroutines. Package
// cmd/fapws/worker makes the Server of a process. Start reading at server.go and loop.go. accepting.go and sources.go
// implement the interfaces through which other packages use the loop.
//
// A subrequest is a request of the server to itself, for pages that SSI includes and for local redirects of programs. A
// goroutine (package backend) sends the subrequest on a socketpair, and the server handles the second end of the
// socketpair like any other connection. Therefore the same rules and the same flow control apply to the subrequest.
// Start reading at Server.subrequest.
package runtime
