// Package http1 has the parts of a connection of HTTP/1 that need no connection: the body of a request as it arrives.
// It does no I/O, except that a large body goes to a file. Heads are read and written by package runtime/http1;
// package runtime has the connections. Its values belong to one event loop. Start reading at Body.
package http1
