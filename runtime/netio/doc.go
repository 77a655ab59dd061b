// Package netio has the system calls of connections that do not block: receive, send, sendfile and their vectors. It
// knows no connections; packages conn, tunnel, accept and sse use it, and any goroutine may.
//
// They are raw system calls with MSG_DONTWAIT, because they do not wait: Go's scheduler need not know about them,
// which saves a twentieth of their cost. For files it matters more: with ordinary calls each piece woke the thread
// that watches over system calls.
package netio
