// Package route decides which site and which mount handle a request, with which path and for which client, or why the
// request is rejected.
//
// The package does no I/O, and keeps no state between requests except in a Missing. If a decision needs a file system
// lookup or a password check, its Outcome says so, and the caller continues the decision later. The package does not
// depend on the sources that handle requests: it identifies a mount by its index. Package exchange calls this package on
// the event loop (exchange/decide.go).
//
//   - All decisions use the canonical path of a request (http1.ResolvePath), so that no other spelling of the path
//     circumvents a mount or its rules. A fuzz test compares the decisions for different spellings of a path.
//   - Hosts are looked up in the same order as in nginx: first the exact name, then the longest matching "*.suffix",
//     then "prefix.*". A server with one site has no table of hosts.
//   - The settings of a mount that do not depend on its source (fields, addresses, passwords, methods, limits, error
//     pages, logs) are merged with the settings of the site when the server starts. An exchange refers to the merged
//     settings by one pointer (exchange/rules.go). A rewrite changes the path but not the head of a request, because
//     REQUEST_URI contains the original target (exchange.Request.Routed).
//   - Redirects and rewrites fill in templates (rewrite.go). Through a template, a client can neither add a header
//     field nor change the host in the template; a fuzz test checks both.
//   - The Forwarded and X-Forwarded-* fields of a trusted proxy are parsed again only if they differ from the fields of
//     the previous request. Connections without a trusted proxy need no memory for these fields. X-Forwarded-For takes
//     precedence over Forwarded, because most proxies set only X-Forwarded-For, and forward the client's Forwarded
//     field unchanged.
package route
