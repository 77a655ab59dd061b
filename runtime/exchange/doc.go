// Package exchange answers requests. A connection of HTTP/1 (package http1conn) or a stream of HTTP/2 (package http2) makes an Exchange of
// each request, the sites decide which mount answers it, the Source of the mount sends the response in parts, whenever it has them, and the
// connection or stream writes these. What differs between HTTP/1 and HTTP/2 is behind Stream (stream.go), and what the exchanges of a
// connection share is Client (client.go). Sources are packages above this one, and so is all that a site may also have: pages for errors
// (Pages), users (Access), other protocols for requests that ask for one (Carrier). None of them knows a protocol.
//
// A request passes exchange.go (the steps of an exchange), decide.go (what answers), response.go (the head of the response) and log.go (its
// line in the access log). The Sink of an exchange keeps the parts whose turn has not
// come, frames the others, and gives each back to its Owner when its bytes are not needed any more. So a response is the same thing
// wherever it comes from, and it ends in one place. Until the head is sent, a source may pass an exchange on to another one. What may wait for
// a disk runs through Exchange.Beside.
//
// All of it belongs to the event loop, except for Release of parts (Owner) and what says otherwise. A Server has everything that connections
// share. Start reading at Exchange (exchange.go), Source and Sink (source.go), then sites.go for hosts, mounts and rules, Request and Part.
//
// # Fields
//
// Edits (part.go) look at the fields of responses and change them: the fields that rules set, add and remove. They do no I/O, and values are
// safe for concurrent use once they are made.
//
// # Decisions
//
// The request and the decision so far are in request.go. Two results come from beside the loop, and a Decision of package route
// asks for them (NeedsLookup, NeedsPassword): whether a file exists and whether a password is right. While an application loads,
// exchanges for it wait for other sites (decide.go); a decision of former sites is made again. Other exchanges wait for
// their turn, for the rest of a body, or for a page that another one fetches. Each keeps a copy of head and path, and continues
// where it was: the head is parsed once and routed once. Two heads are parsed again, because that costs less (0.4 to 1 µs, 3.6
// for the fields of a browser) than a kilobyte for the parsed fields of each request: one that arrives while others must be
// answered first, and one for which Python names a file. All exchanges that do not wait use one request of the loop, so they
// cost no allocation.
//
// # Clients that do not read
//
// A Ledger of package conn has the responses that wait in memory: parts of 16 KiB and more, of transfers and behind an
// earlier answer (exchange.go). Only slow clients count: a response that its socket takes at once costs nothing. If more than
// Config.MaxUnsent waits, responses end (Exchange.Cut). No request waits for bytes that another connection has not read; those of
// the same connection do (Exchange.Delayed). No request is started while the loop has yet to deal with more than 8 MiB of finished
// parts, because the size of an answer is known only afterwards.
//
// # Bodies
//
// A body that is not complete is collected, above 256 KiB in an unlinked file, and only whole requests go on: a slow
// client never holds an application. Files are shared among clients (body.go). A body that waits for one is not read, and gets 503
// after twice Config.BodyTimeout. Where a mount streams (ASGI), the request is submitted with Request.More, and
// the rest is delivered (Source.Input) as it is read. A request that breaks a limit gets its 4xx in place of the
// exchange, or is broken off if the response has begun.
//
// Delivered bytes that OpCredit parts have not given back are counted in the exchange, each piece with 64 bytes for
// its overhead. Above 64 KiB the client must wait until the handler has given half back. Time without reading does not
// count against the client, and time spent waiting for the client does not count against the handler.
package exchange
