// Package forkserver answers each request in a process that is made for it and ends
// with it (--fork).
//
// A process that has loaded the application, the fork server, forks; this package has
// no Python and tells it when. For each request it makes a socketpair, sends one end to
// the fork server, which forks a child that keeps it, writes the request to the other
// end and reads the parts of the response from there. So the child has a socket and
// nothing else of the server: no listener, no connection of another client.
//
//	Server  ──orders──>  fork server (pybridge/forkserver.c)
//	   │                      │ fork
//	   └──request, parts──>  child (pybridge/forkchild.c)
//
// wire.go has what goes over both sockets. Back-pressure is that of the socket: a child
// that is ahead of its client waits in sendmsg(2).
package forkserver
