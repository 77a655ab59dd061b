// Package app answers exchanges with handlers: the interpreter, and goroutines that may block (package backend).
//
// A Source submits the request of an exchange to a Handler, which identifies it by a ticket. At the end of each batch
// the Dispatcher polls the interpreter for finished parts (Run); other handlers post their parts to the loop. The
// Dispatcher finds the exchange of each part, and sends the part to its sink. A call is the state of one exchange, from
// Submit until its last part is released.
//
// The package does no I/O and does not know connections. Everything belongs to the event loop, except while an inline
// handler runs: then other goroutines may act for the loop (Dispatcher.state). SendDuringTurns then sends finished
// parts, and Stalled ends exchanges whose handler does not return.
//
// A handler that owes a part for too long is overdue (call.go): the client gets 504, or an aborted response. The
// exchange ends, but the ticket stays in use until the handler has returned the last part.
//
// Serve may be called again for other sites: calls of earlier handlers continue until they end.
//
// A handler may name files, a program or a page of the server that answer instead (source.go).
package app
