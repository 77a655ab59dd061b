// Package cgi runs programs that answer requests (CGI/1.1, RFC 3875): a process for each request, with the body on
// its standard input. It is a responder of package backend, so each request has a goroutine. What FastCGI and PHP
// have in common with it is here, too: finding scripts (Scripts), the meta-variables (Variables), and reading the
// answer (Answer). Start reading at CGI.
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
package cgi
