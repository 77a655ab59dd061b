// Package app answers exchanges by handlers: the interpreter, and goroutines that may take their time (package backend).
//
// A Source submits the request of an exchange to a Handler, which knows it by a ticket. At the end of each batch the event loop has the
// Dispatcher ask the interpreter for finished parts (Run); other handlers have theirs posted to the loop. The Dispatcher finds the exchange
// of each part, and sends the part to the sink of that exchange. A call is the state of one exchange, from Submit until its last part
// is released; calls are used again, so a request costs no allocation.
//
// The package does no I/O and knows no connection. The methods of exchange.Source tell it that an exchange begins, that
// a client sends more of a body, or that nothing more of the response is wanted; it asks by those of exchange.Exchange. All of
// it belongs to the event loop. Only while an inline handler runs, other goroutines stand in for the loop
// (Dispatcher.state): SendDuringTurns sends parts that are finished meanwhile, Stalled answers for a handler that does not
// return.
//
// A handler that owes a part for too long is overdue (call.go): the client gets 504, or a response that breaks
// off. The exchange ends with that; the ticket stays taken until the handler has returned the last part.
//
// Serve may be called again, for other sites: calls of the handlers before go on until they have ended.
//
// A handler may name files, a program or a page of the server that answers in its place (source.go).
//
// Start reading at source.go, dispatcher.go and call.go.
package app
