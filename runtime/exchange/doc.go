// Package exchange holds the contract between protocols, which carry requests on the event loop, and sources, which
// answer them. Neither knows the other, nor does either know the handlers that own applications and have threads of
// their own. It imports only packages conn, http1 and logfile.
//
// A protocol makes an Exchange of each request, routing gives it a Source, and the Source sends the response to the
// Sink of the Exchange in parts, whenever it has them. The sink keeps the parts whose turn has not come, frames the
// others, and gives each back to its Owner when its bytes are not needed any more. So a response is the same thing
// wherever it comes from, and it ends in one place. Until the head is sent, a source may pass an exchange on to
// another one. What may wait for a disk runs through Server.Beside.
//
// All of it belongs to the event loop, except for Release of parts (Owner) and the Waker, which any thread may call.
// Start reading at Exchange, Source and Sink (exchange.go), then Request and Part.
//
// # Fields
//
// This part of the package looks at the fields of responses and changes them: the fields that rules set, add and remove. It
// does no I/O, and values are safe for concurrent use once they are made. Package sites applies the rules of a
// mount while it writes a response's head.
package exchange
