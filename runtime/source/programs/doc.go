// Package programs forwards requests to programs outside the server: CGI, FastCGI, PHP, and a process for each request
// of a Python application (--fork, over SCGI). Start reading at CGI.
//
//	cgi.go      CGI, and errors of all kinds of programs as responses
//	scripts.go  the file for a path; the meta-variables (environment) of a request
//	answer.go   the head and the body that a program writes
//	process.go  a running program: its output, its standard error, its end
//	places.go   limits of running programs, also for each client
//	spawn.c     the start of a program
//	fastcgi.go  FastCGI: connections and records
//	php.go      processes of php-cgi
//	scgi.go     --fork: a request to a child and its response
//	loader.go   --fork: the process that forks the children
//
// # Starting
//
// Programs, including programs in pages of source/ssi, run without the descriptors and signal settings of the server.
// Programs are started with vfork(2) in C. With os.StartProcess, a program would inherit descriptors that are not
// marked as close-on-exec, and would ignore signals that the server ignores, such as SIGPIPE, which Python ignores.
// Without SIGPIPE, a program continues after the reader of its output has ended.
//
// # CGI
//
// CGI runs a program for each request, with the request body on standard input (CGI/1.1, RFC 3875). The CGI source is a
// responder of package backend, so each request has a goroutine. FastCGI and PHP use the same code to find scripts
// (Scripts), to set the meta-variables (Variables), and to read the response (Forwarder).
//
//   - Scripts walks down the path through os.Root. The first file on the path is the program, and the rest of the path
//     becomes PATH_INFO, so "/picture.jpg/x.php" does not run an uploaded picture as a program.
//   - The body is a file, either the spool itself or a memfd, so no goroutine feeds a pipe, and a program need not read
//     the body.
//   - A program leads a session. The process number stays valid for signals until the process is reaped, so
//     process.await first waits with WNOWAIT. The output of a program is read for at most half a second after its end,
//     because background processes of the program may hold the pipe indefinitely.
//   - Output that may be incomplete is delayed by 20 ms (2 ms with FastCGI), so that short answers have a
//     Content-Length.
//   - A Python handler that returns a CGIApplication forwards its request with the body: as for a Staticfile, the loop
//     submits the exchange to another handler.
//   - A file that the head names (X-Sendfile) is sent after the end of the output, like the file of a handler.
//
// # FastCGI
//
// FastCGI forwards requests to applications that speak FastCGI 1.0, each over its own connection unless Idle is set.
//
// # PHP
//
// PHP runs PHP scripts, with its own permanent processes of php-cgi (FastCGI), or with a process for each request
// (CGI).
//
// php-cgi is started once for each connection, not with its own PHP_FCGI_CHILDREN:
//
//   - The server ends a hanging request by ending its process. The server, not php-cgi, decides when a process ends
//     (PHP_FCGI_MAX_REQUESTS=0), because a process that ended just when it got a POST would force the server to repeat
//     or lose the POST. Processes start on demand and end when they are idle, which suits small machines. The
//     disadvantage is that each process has its own opcache.
//   - The socket of a process is bound in a private directory, connected, and removed before PHP starts, so other
//     processes cannot connect to it. SIGTERM makes php-cgi end after its request; when the server dies, the kernel
//     kills php-cgi.
//   - Each worker has its own processes, so a reload has no state to hand over.
//
// # A process for each request
//
// A Loader handles each request in a separate process (--fork).
//
// The loader is a process that has loaded the application. For each request, the server sends an order to the loader,
// together with one end of a socket pair and one end of each of two pipes, and the loader forks a child. Therefore no
// other process can reach a child, and a child has no other descriptors of the server, such as listeners or connections
// of other clients.
//
//	Loader  ──orders──>  loader (contrib/fapws/_fork.py)
//	   │                      │ fork
//	   └──SCGI, answer──>   child
//
// The request is an SCGI request with an additional byte after its body, which the child reads after it has sent its
// whole response. If a child dies earlier, its socket has unread data, so the kernel reports ECONNRESET instead of the
// end of the response. One pipe is the standard error of the child, whose lines are logged with the client.
//
// A response is never a file, a program or another page of the server (programs.Forwarder.Plain), because the
// application may be in a sandbox, but the server is not.
//
// The loader lives as long as the worker that has started it, and if the loader dies, the worker is replaced. A child
// that takes too long is ended by an alarm, at which faulthandler writes the child's stacks, or is killed by the loader
// if it does not end, for example because it was stopped.
package programs
