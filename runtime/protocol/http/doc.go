// Package http has what exchanges of all versions of HTTP have in common: a request is decided about, its body is collected or
// delivered as it arrives, its source answers it, and the parts of the response wait until the client can take them. A Host
// decides what answers, and package sites is one.
//
// What differs between the versions is behind Carrier, which reads requests, and writes the parts that an Exchange gives it. A
// connection of HTTP/1 (package protocol/http1) carries several exchanges, whose responses have an order; a stream of HTTP/2 carries
// one, whose turn it always is.
//
// All methods must be called on the event loop. A Server is shared by all connections of a loop. Start reading at exchange.go
// (Exchange) and server.go (Carrier).
//
// # Clients that do not read
//
// A Ledger of package conn has the responses that wait in memory: what transfers send, and what waits for an earlier answer, from
// 16 KiB a part on (server.go). Only slow clients count: a response that its socket takes at once costs nothing. If more than
// Config.MaxUnsent waits, responses end (Carrier.Cut). No request waits for what another connection has not read; those of
// the same connection do (Carrier.Deferred). No request is started while the loop has yet to deal with more than 8 MiB of finished
// parts, because the size of an answer is known only afterwards.
//
// # Bodies
//
// A body that is not complete is collected, above 256 KiB in an unlinked file, and only whole requests go on: a slow
// client never holds an application. Files are shared among clients (server.go). A body that waits for one is not read, and gets 503
// after twice Config.BodyTimeout. Where a mount streams (ASGI), the request is submitted with Request.More, and
// the rest is delivered (exchange.Receiver) as it is read. A request that breaks a limit gets its 4xx in place of the
// exchange, or is broken off if the response has begun.
//
// Delivered bytes that OpCredit parts have not given back are counted in the exchange, each piece with 64 bytes for
// its overhead. Above 64 KiB the client has to wait until half of that is back. Time in which we do not read is not counted
// against the client, and time in which the client is waited for not against the handler.
package http
