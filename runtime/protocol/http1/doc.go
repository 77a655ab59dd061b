// Package http1 has the parts of a connection of HTTP/1 that need no connection: the body of a request as it arrives,
// heads of responses with the fields that rules change, and how the pieces of a response are framed and counted. It
// does no I/O, except that a large body goes to a file. Package runtime/http1 reads heads and writes them, and
// package runtime has the connections. Its values belong to one event loop. Start reading at Body and Response.
package http1
