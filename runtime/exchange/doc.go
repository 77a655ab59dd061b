// Package exchange answers requests. A connection of HTTP/1 (package http1conn) or a stream of HTTP/2 (package http2)
// makes an Exchange of each request. The sites choose the mount that answers the request. The Source of the mount sends
// the response in parts, and the connection or stream writes the parts. Stream (stream.go) hides the differences
// between HTTP/1 and HTTP/2. Client (client.go) is the state that the exchanges of a connection share. Other packages
// implement sources, pages for errors (Site.Pages), users (Access) and other protocols (Carrier). The other packages do
// not depend on the version of HTTP.
//
// A request passes exchange.go (the steps of an exchange), decide.go (the decision), response.go (the head of the
// response) and log.go (the line in the access log). The Sink of an exchange keeps early parts, frames the other parts,
// and gives each part back to its Owner when the bytes are sent. A source may pass an exchange to another source until
// the head is sent. Work that may wait for a disk runs in Exchange.Offload.
//
// Everything belongs to the event loop, except for Release of parts (Owner) and where a comment says otherwise. A
// Server has the state that connections share. Start reading at Exchange (exchange.go), Source and Sink (source.go),
// then sites.go for hosts, mounts and rules, Request and Part.
//
// # Fields
//
// Edits (part.go) change the fields of responses: rules set, add and remove fields. Edits are safe for concurrent use.
//
// # Decisions
//
// request.go has the request and the decision. A Decision of package route may need two results that take long: whether
// a file exists (NeedsLookup), and whether the limits and the login allow the request (NeedsAdmission). While an
// application loads, exchanges for it wait for other sites (decide.go), and the decision is then made again. Other
// exchanges wait for their turn, for the rest of a body, or for a page that another exchange fetches. A waiting
// exchange keeps a copy of head and path, so its head is parsed and routed only once. Two kinds of head are parsed
// again, which costs less than the memory for the parsed fields: heads that arrive while earlier requests are active,
// and heads of requests for which Python names a file. All exchanges that do not wait share one request structure,
// which saves allocations.
//
// # Clients that do not read
//
// A Ledger of package conn lists the responses that wait in memory: large parts that are being written or that wait for
// an earlier response (exchange.go). Only slow clients have such parts. If more than Config.MaxUnsent bytes wait, the
// server cuts responses off (Exchange.Cut). A request may wait until its own client has read earlier bytes
// (Exchange.Delayed), but never for the client of another connection. No request starts while the loop still has more
// than 8 MiB of finished parts, because the size of a response is unknown at its start.
//
// # Bodies
//
// A body is collected, above 256 KiB in an unlinked file, and only complete requests continue. So a slow client never
// occupies an application. Clients share the files (body.go). A body that waits for a file is not read, and gets 503
// after twice Config.BodyTimeout. If a mount streams (ASGI), the request is submitted with Request.More, and the source
// gets the rest as it is read (Source.Input). A request that exceeds a limit gets a 4xx response, or the response
// breaks off if it has begun.
//
// The exchange counts the bytes that were delivered to the handler and not yet returned by OpCredit parts; each piece
// counts 64 bytes more for its overhead. Above 64 KiB the client must wait until the handler has returned half of them.
// Time without reading does not count against the client, and time spent waiting for the client does not count against
// the handler.
package exchange
