// Package cache keeps responses in memory and decides which responses may be kept, for how long and for whom (RFC 9111;
// stale-while-revalidate and stale-if-error, RFC 5861). The cache is a shared cache in front of the server's own
// applications: it ignores the Cache-Control of requests, so clients cannot bypass it.
//
// A Store decides which responses to keep, and contains them as pages. A Source responds to exchanges on the event
// loop, after routing, rules and authentication: with a page of the store, or by forwarding the exchange to the origin,
// which is the mount's source without the cache. A missing page is fetched by a separate exchange (Fill), whose client
// is the cache. The cache records the response, and forwards the response to the client that has sent the first
// request. All objects belong to the event loop. Times in a Store are nanoseconds since 1970.
//
//	source.go  Source, which answers an exchange; Rule of a route; pages that a request makes out of date
//	look.go    the key of a request, and the result of its look-up: CacheStatus
//	store.go   pages within a number of bytes; Pattern and PurgeNow
//	fetch.go   a Fill as the client of the origin; requests that wait for its page
//	fill.go    a Fill as the recorder of a page
//	judge.go   whether and how long a response is kept; the changes by a 304
//	fields.go  the fields of a response that matter to the cache
//	page.go    a page, its ranges, and its forms in content codings
//
// # Hits
//
// A Store is a map from scheme, host, path, query and the fields of Vary to nodes; the least recently used node is
// evicted first. A hit is one look-up, without an allocation or a call of the handler. Compressed forms have weak tags,
// so that clients do not combine their ranges.
//
// # Misses
//
// The first request for a missing page fetches it (Fill); other requests wait. If the client that has sent the first
// request disconnects, the handler continues while other requests wait. If a response may not be kept, each waiting
// request is sent to the origin. For the next minute, requests for this page do not wait for each other. Once a second,
// one of them is a new attempt to keep the response, so the cache notices when the page becomes cacheable. A waiting
// request gets a page only if the page suits the request: the fields of Vary are equal, and the request has no Cookie
// unless the page is for all clients. Requests wait at most five seconds for a page that has begun and does not end.
//
// # Validation
//
// A page that is no longer fresh is fetched with its own validators (Conditions) instead of the client's. A 304 makes a
// new Page with the same body and the fields of both responses (RFC 9111 §3.2), and all waiting requests get the new
// Page. Requests do not wait for a page that must be confirmed for each request (no-cache): each request has a Fill
// without a node, and a late Fill does not replace a newer page. A page that is purged during its fetch is sent to the
// requests that already wait for it, but not kept. A 304 about another representation, or a 304 that forbids storing,
// does not change the page for other requests.
//
//   - s-maxage forbids stale pages, except if the same response has stale-while-revalidate or stale-if-error, because
//     these directives are more precise, and frameworks combine them.
//   - Responses with an explicit lifetime are kept regardless of their status (RFC 9111 §3).
//   - Deliberately not implemented: Cache-Control of requests (§5.2.1), POST responses for GET, storing ranges (§3.3),
//     Age for the time of the handler (§4.2.3), equality of Accept-Language in another order (servers may use the order
//     as a preference), must-revalidate as a permission to share the response to Authorization (§3.5).
//
// bench/cache-tests.sh FOLDER runs the public suite http-tests/cache-tests.
package cache
