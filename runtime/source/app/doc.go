// Package app passes exchanges to handlers: the interpreter, and goroutines that may block (package backend).
//
// A Source submits the request of an exchange to a Handler, which identifies it by a ticket. At the end of each batch
// the Dispatcher polls the interpreter for finished parts (Run); other handlers post their parts to the loop. The
// Dispatcher finds the exchange of each part, and sends the part to its sink.
//
// The package does no I/O, and all data belongs to the event loop. While an inline handler runs, other goroutines may
// act for the event loop if they hold the mutex Dispatcher.state: SendDuringTurns sends finished parts, and Stalled
// ends exchanges whose handler does not return.
//
// A handler that does not deliver a part in time is overdue (call.go): the client gets a 504 response or an aborted
// response. The exchange ends, but the ticket stays in use until the handler has returned the last part.
//
// A handler may name a file, a program or a page of the server to be sent instead of its own response (source.go).
package app
