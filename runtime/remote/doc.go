// Package remote has an application run in another process than the server, which ends when no request needs it and is started
// again by the next one (--idle-stop). It moves the border between package app and a handler into a socket: Handler is what the
// Dispatcher of the server knows, Service runs a handler, the interpreter, in the process of the application.
//
//	Dispatcher ─> Handler ──requests, input──> Service ─> pybridge.Handler
//	                   <──parts, messages──
//
// So all that is not the application's own stays in the server, with its memory: clients, TLS, files, the cache, logins, subscribers
// of channels, members of WebSocket groups. What the application is told of a client (exchange.Peer) comes in a message of its own,
// which no client can make.
//
// # Messages
//
// The socket is one end of a socketpair, so nothing else can connect to it. A message is a frame with a kind, a ticket and bytes,
// perhaps with descriptors: the spooled body of a request, a file of a response (wire.go, request.go, part.go). Neither side ever
// waits for the other: each has a goroutine that writes (link.go). What waits there is bounded: of a request by
// exchange.InputWindow, of a response by window, as the Handler reports which parts its client has taken.
//
// # Sleep
//
// A request that finds no application waits in Handler while one is started (sleep.go). The application has to describe itself
// as it did at first, because the server has made its mounts of that description. One that dies is started by the next request that
// needs it, with a pause if it has not lived for long; requests that it had get 502, as it may have carried them out.
//
// Start reading at Handler and Service.
package remote
