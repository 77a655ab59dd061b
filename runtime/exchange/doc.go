// Package exchange holds the contract between those that carry requests, protocols on the event loop, and those that
// answer them, sources.
//
// A protocol makes an Exchange of each request, routing gives it a Source, and the Source sends the response to the Sink
// of the Exchange, in parts. Handlers, which own applications and have threads of their own, speak in the same requests and
// parts. Protocols, sources, and handlers do not know each other.
package exchange
