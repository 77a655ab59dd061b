// Package exchange answers requests. An HTTP/1 connection (package http1conn) or an HTTP/2 stream (package http2) makes
// an Exchange of each request. The sites select the mount that answers the request. The Source of the mount sends the
// response in parts, and the connection or stream writes the parts. The interface Stream (stream.go) hides the
// differences between HTTP/1 and HTTP/2. Separate packages implement sources, error pages (Site.Pages), logins
// (Access), and protocols other than HTTP (Carrier).
//
// While earlier responses are incomplete, the Sink of an exchange holds the parts. Otherwise the Sink frames each part,
// and returns the part to its Owner when the bytes are sent. Until the head is sent, a source can pass the exchange to
// a different source. Work that can wait for a disk runs in Exchange.Offload.
//
// Functions and methods must be called on the event loop unless their comments say otherwise. Start reading at Exchange
// (exchange.go), then at Source and Sink (source.go), then at sites.go for hosts, mounts and rules, and finally at
// Request and Part.
//
// # Decisions
//
// A decision of package route can need two results that are not available at once: whether a file exists (NeedsLookup),
// and whether the limits and the login permit the request (NeedsAdmission). While an application loads, the exchanges
// for it wait for new sites (decide.go), and then the decision is made again. Exchanges can also wait for earlier
// responses, for the rest of a body, or for a page that another exchange fetches. A waiting exchange keeps a copy of
// the head and the path, so its head is parsed and routed only once. There are two exceptions, in which parsing again
// costs less than the memory for the parsed fields: heads that arrive while earlier requests are active, and heads of
// requests that Python answers with the name of a file.
//
// # Clients that do not read
//
// A conn.Ledger lists the responses that wait in memory: responses with large parts that are being written or that wait
// for an earlier response (exchange.go). If more than Config.MaxUnsent bytes wait, the server ends responses early
// (Exchange.Cut). A request can wait until its own client has read earlier bytes (Exchange.Delayed), but never waits
// for the client of a different connection. No request starts while more than 8 MiB of finished parts wait for the
// loop, because the ledger does not count parts before the loop has handled them.
//
// # Bodies
//
// A body is collected: small bodies in memory (region.go), and larger bodies in an unlinked file. The clients share a
// limited number of files (body.go). While a body waits for a file, the server does not read the body. After twice
// Config.BodyTimeout, it answers 503. If the mount streams (ASGI), the request is submitted with Request.More, and the
// source gets the rest of the body as it is read (Source.Input). A request that exceeds a limit gets a 4xx response. If
// the response has already begun, the server breaks it off.
//
// The timeout of the client does not run while the server does not read, and the timeout of the handler does not run
// while it waits for the client.
package exchange
