// Package route decides which site and which mount handle a request, with which path and for which client, or why the
// request is refused.
//
// The package does no I/O and keeps no state between requests. If a decision needs a file system lookup or a password
// check, its Outcome says so, and the caller continues it later. The package does not know the sources that handle
// requests: here, a mount is an index. Package exchange calls it on the event loop (exchange/decide.go).
//
//   - All decisions use the canonical path of a request (http1.ResolvePath), so that no other spelling of the path
//     circumvents a mount or its rules. A fuzz test compares every spelling with the canonical one.
//   - Hosts are looked up in nginx's order: the exact name, then "*.suffix" with the longest first, then "prefix.*".
//     A server with one site has no table of hosts.
//   - Settings that apply to every source (fields, addresses, passwords, methods, limits, error pages, logs) are merged
//     with the settings of the site once, when the server starts. An exchange refers to the merged settings by one
//     pointer (exchange/rules.go). A rewritten request keeps its head, because REQUEST_URI shows the original
//     (exchange.Request.Routed).
//   - Redirects and rewrites fill in templates (rewrite.go). A client cannot add a second field through a template, nor
//     change the host that the template names; a fuzz test checks this.
//   - The Forwarded and X-Forwarded-* fields of a trusted proxy are parsed again only if they change. Connections
//     without a trusted proxy or a root path have a nil pointer instead. X-Forwarded-For takes precedence over
//     Forwarded: most proxies set only X-Forwarded-For, and forward the client's Forwarded unchanged.
package route
