// Package php runs PHP scripts, with its own processes of php-cgi, which stay (FastCGI), or with a process for each
// request (CGI). It is a responder of package backend. Start reading at New.
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
// For an index or a front controller, cmd/fapws/site mounts PHP a second time behind the files of the root, which
// fall through for missing paths. static.Options.Programs are names that are run, and so do not exist as files.
//
// With two processes and 16 connections, hello in PHP reached 1.2 times nginx's requests per second with even
// latencies (p99 26 ms; nginx, whose connections hold a process each, 2 s), at twice the CPU of nginx without PHP's:
// wake-ups between the loop, the goroutine and PHP (./build.sh bench php, on a busy machine).
package php
