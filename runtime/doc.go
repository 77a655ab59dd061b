// Package runtime is the server: it accepts connections, decides which source answers each of their requests, logs
// them, and stops or hands over. It knows nothing of Python: an application is a Handler of package source/app. The
// packages below it do the work: protocol/http1 has the connections; ARCHITECTURE.md, "Packages", lists all.
//
// A Server has one event loop, which owns the connections. Its exported methods are safe for concurrent use, but must
// not be called on the loop. Everything else belongs to the loop, unless a comment says otherwise. Work that might wait
// for a disk or a password hash runs on goroutines. Package cmd/fapws/worker makes the Server of a process.
// Start reading at server.go, loop.go and host.go.
//
// # Decisions
//
// A connection of HTTP/1 asks its Host (host.go) what answers an exchange. Exchange and client (exchange.go, client.go)
// embed those of package protocol/http1, and add what the server knows: site, rules, log line, trusted proxy. The request
// and the decision so far are in request.go. Two results come from beside the loop, and a Decision asks for them
// (NeedsLookup, NeedsPassword): whether a file exists and whether a password is right. Other exchanges wait for their
// turn, for the rest of a body, or for a page that another one fetches. Each keeps a copy of head and path, and
// continues where it was: the head is
// parsed once and routed once. Two heads are parsed again, because that costs less (0.4 to 1 µs, 3.6 for the fields
// of a browser) than a kilobyte for the parsed fields of each request: one that arrives while others must be answered
// first, and one for which Python names a file. All exchanges that do not wait use one request of the loop, so they
// cost no allocation.
package runtime
