// Package programs has requests answered by programs that are not part of the server: CGI, FastCGI, PHP, and a process
// for each request of a Python application (--fork, over SCGI). Start reading at CGI.
//
//	cgi.go      CGI, and errors of all kinds of programs as responses
//	scripts.go  which file a path names; the meta-variables (environment) of a request
//	answer.go   the head and the body that a program writes
//	process.go  a program that runs: its output, its standard error, its end
//	gate.go     how many run, of each client
//	spawn.c     its start
//	fastcgi.go  FastCGI: connections and records
//	php.go      processes of php-cgi
//	scgi.go     --fork: a request to a child and its response
//	loader.go   --fork: the process that makes the children
//
// # Starting
//
// Programs, also those that pages of source/ssi start, run without descriptors and signal settings of the server. They
// are started with vfork(2) in C, because os.StartProcess passes on the signals that the server ignores, as Python does
// (a program that ignores SIGPIPE does not end when its reader does), and descriptors that a library forgot to mark. An empty shell script takes 0.9 ms from request to answer, whatever the size of the server.
//
// # CGI
//
// CGI runs programs that answer requests (CGI/1.1, RFC 3875): a process for each request, with the body on
// its standard input. It is a responder of package backend, so each request has a goroutine. What FastCGI and PHP
// have in common with it is here, too: finding scripts (Scripts), the meta-variables (Variables), and reading the
// answer (Answer).
//
//   - Scripts walks down the path through os.Root: a program has to exist before the rest becomes PATH_INFO, so no
//     request makes a program of an uploaded picture.
//   - The body is a file, the spool itself or a memfd: so no goroutine feeds a pipe, and a program need not read it.
//   - A program leads a session. Its process number may be signaled until the process is reaped, so process.await
//     waits with WNOWAIT first. Its output is read for at most half a second after its end, because programs that it
//     left in the background may hold the pipe indefinitely.
//   - Output that may not be complete is kept back for 20 ms (with FastCGI 2 ms), so short answers have a length.
//   - A handler in Python that returns a CGIApplication hands its request over, body included, like a Staticfile; the
//     loop submits the same exchange to another handler.
//   - A file that the head names (X-Sendfile) is sent when the output has ended, like the file of a handler.
//
// # FastCGI
//
// FastCGI has requests answered by applications that speak FastCGI 1.0, each over its own connection unless Idle is set.
// It is a responder of package backend; scripts, variables and answers are those of CGI. A
// connection carries one request at a time.
//
// # PHP
//
// PHP runs PHP scripts, with its own processes of php-cgi, which stay (FastCGI), or with a process for each
// request (CGI). It is a responder of package backend.
//
// php-cgi is started once for each connection, not with its own PHP_FCGI_CHILDREN:
//
//   - A request that hangs is ended by ending its process. No process ends between two requests, a race in which
//     other servers repeat a POST or lose it. Processes start on demand and end when they are idle, which suits small
//     machines. The price: each has its own opcache.
//   - The socket of a process is bound in a private directory, connected, and removed before PHP starts, so no other
//     process can connect to it. SIGTERM makes php-cgi end after its request; when the server dies, the kernel kills
//     it.
//   - Each worker has its own processes, so a reload has no state to hand over.
//
// For an index or a front controller, cmd/fapws/plan mounts PHP a second time behind the files of the root, which
// fall through for missing paths. static.Options.Programs are names that are run, and so do not exist as files.
//
// With two processes and 16 connections, hello in PHP reached 1.2 times nginx's requests per second with even
// latencies (p99 26 ms; nginx, whose connections hold a process each, 2 s), at twice the CPU of nginx without PHP's:
// wake-ups between the loop, the goroutine and PHP (./build.sh bench php, on a busy machine).
//
// # A process for each request
//
// A Loader has each request answered in a process that is made for it and ends with it (--fork). LoaderMount is a responder of
// package backend, which package cmd/fapws/plan mounts where Python would be; variables and answers are those of CGI.
//
// The loader, a process that has loaded the application, forks a child for each order of the server, which comes with
// one end of a socketpair and of two pipes. So no other process can reach a child, and a child has nothing else of the
// server: no listener, no connection of another client.
//
//	Loader  ──orders──>  loader (contrib/fapws/_fork.py)
//	   │                      │ fork
//	   └──SCGI, answer──>   child
//
// The request is an SCGI request with a byte behind its body, which the child reads when it has sent its whole response.
// A child that dies before has unread data then, so the kernel reports ECONNRESET and not the end of the response. One
// pipe is the standard error of the child, whose lines are logged with the client. To the other one the loader writes the number of the
// child, and how it has ended.
//
// A response is never a file, a program or another page of the server (programs.Answer.Plain): the application may be in a
// sandbox, which the server is not in.
//
// The loader lives as long as the process of the server, which is replaced when the loader has died. One that does not fork within
// stuckAfter is killed. A child that takes too long ends by an alarm, at which faulthandler writes its stacks; if it does not (it was stopped), the loader kills it.
package programs
