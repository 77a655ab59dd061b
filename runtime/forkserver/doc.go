// Package forkserver answers each request in a process that is made for it and ends with it (--fork). It is a
// responder of package backend, so each request has a goroutine; package cmd/fapws/plan mounts it where Python would
// be. Start reading at Server and wire.go.
//
// A process that has loaded the application, the fork server, forks; this package has no Python and tells it when.
// For each request it makes a socketpair, sends one end to the fork server, which forks a child that keeps it, writes
// the request to the other end and reads the parts of the response from there. So the child has a socket and nothing
// else of the server: no listener, no connection of another client.
//
//	Server  ──orders──>  fork server (pybridge/forkserver.c)
//	   │                      │ fork
//	   └──request, parts──>  child (pybridge/forkchild.c)
//
// wire.go has the layouts of both sockets. Back-pressure is that of the socket: a child that is ahead of its client
// waits in sendmsg(2). Events and purges of a handler go before the part that follows them, and with workers that
// part waits until the supervisor has numbered the events.
//
// # Why a separate process
//
// Go is idle in the fork server: it has loaded the application, sent its mounts and settings as JSON
// (pybridge.Contents), and stays in C. So a child, which never returns to Go, misses none of Go's threads. In the
// serving process, where Go works, a fork would copy whatever its threads hold at that moment.
//
// # Sleep
//
// With Serving.IdleStop the fork server ends when it has had no children for some time, and the next request has another one
// started (idle.go). Requests wait for it as they do after a crash; in both cases it has to have loaded the same table.
//
// # The end of a child
//
// Children are watched by pidfds and waited for one by one, so children of the application are left to it. When the
// server ends, the control socket closes, and the fork server ends its children (TERM, after two seconds KILL), runs
// the atexit functions of the application and exits. A timeout sends SIGQUIT, on which faulthandler writes the stack,
// whatever the thread does; then it calls the handler before it, with which the process kills itself. A child that
// cannot do that is killed 30 s later.
package forkserver
