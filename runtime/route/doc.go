// Package route decides where a request goes: which site, which mount of its table, with what path, for which client,
// or why it is refused.
//
// It does no I/O and keeps nothing but scratch memory. If only the disk or a password hash can tell, a Decision asks
// for that (Outcome), and the caller continues it later. The package does not know the sources that answer: a mount
// is an index here. Package exchange calls it on the event loop (exchange/decide.go). Start reading at Table.Decide.
//
//   - All decisions are made on the one canonical path of a request (http1.ResolvePath), so no other spelling of a
//     path gets past a mount or its rules. A fuzz test holds every spelling to the mount of the canonical one.
//   - Hosts are looked up in nginx's order: the exact name, then "*.suffix" with the longest first, then "prefix.*".
//     A server with one site has no table of hosts, so routing costs it nothing.
//   - Settings that hold whatever answers (fields, addresses, passwords, methods, limits, error pages, logs) are
//     merged with those of the site once, when the server starts; an exchange has one pointer to them, nil for most
//     (exchange/rules.go). A request that is rewritten keeps its head, because REQUEST_URI shows the original
//     (exchange.Request.Routed).
//   - Redirects and rewrites fill in templates (rewrite.go). Nothing that a client sends can add a second field, or
//     change the host that a template names; a fuzz test holds them to that.
//   - A trusted proxy's Forwarded and X-Forwarded-* fields are parsed once, as long as they stay the same.
//     Connections without a trusted proxy or a root path pay a nil pointer. X-Forwarded-For counts if it is there,
//     because proxies that set one of both pass on the other as the client made it up.
package route
