// Package scgi answers each request in a process that is made for it and ends with it (--fork). Mount is a responder of
// package backend, which package cmd/fapws/plan mounts where Python would be; package cgi makes the variables and reads
// the answers.
//
// The loader, a process that has loaded the application, forks a child for each order of the server, which comes with
// one end of a socketpair and of a pipe. So no other process can reach a child, and a child has nothing else of the
// server: no listener, no connection of another client.
//
//	Loader  ──orders──>  loader (contrib/fapws/_fork.py)
//	   │                      │ fork
//	   └──SCGI, answer──>   child
//
// The request is an SCGI request with a byte behind its body, which the child reads when it has sent its whole response.
// A child that dies before has unread data then, so the kernel reports ECONNRESET and not the end of the response. The
// pipe is the standard error of the child, whose lines are logged with the client.
//
// A response is never a file, a program or another page of the server (cgi.Answer.Plain): the application may be in a
// sandbox, which the server is not in.
//
// The loader starts when the first request needs it, also when it has died, and with Serving.IdleStop it ends when it had
// no children for some time. One that does not fork within stuckAfter is killed. A child that takes too long ends
// by an alarm, upon which faulthandler writes its stacks; if it does not (it was stopped), the loader kills it.
package scgi
