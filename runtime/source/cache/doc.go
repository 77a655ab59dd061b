// Package cache keeps responses in memory and decides which may be kept, for how long and for whom (RFC 9111;
// stale-while-revalidate and stale-if-error, RFC 5861). It is a shared cache in front of one's own applications: the
// Cache-Control of a request does not count, so clients cannot make the applications work.
//
// A Store decides and keeps. A Source answers exchanges on the event loop, after hosts, rules and passwords: with a
// page of the store, or by the source that makes the pages of its mount. A missing page is fetched by an exchange of
// the cache's own (Fill): the cache is its client, records the response, and passes it on to the client that has
// asked first. The package does no I/O and knows no connection. Everything belongs to the event loop. Times
// in a Store are nanoseconds since 1970. Start reading at Source.lookup (source.go).
//
//	source.go  Source, which answers an exchange; Rule of a route; pages that a request makes out of date
//	look.go    the key of a request, and what the Store has for it: Verdict
//	store.go   pages within a number of bytes; Pattern and PurgeNow
//	fetch.go   a Fill as the client of the origin; requests that wait for its page
//	fill.go    a Fill as the recorder of a page
//	judge.go   whether and how long a response is kept; what a 304 changes
//	fields.go  the fields of a response that matter to that
//	page.go    a page, its ranges, and its forms in content codings
//
// # Hits
//
// A Store is a map from scheme, host, path, query and the fields of Vary to nodes; the least recently used node is
// evicted first. All bytes count, structures too: a test compares the count with the heap. A hit is one look-up,
// without an allocation or a call of the handler: 4 KiB with 64 connections reach 0.99 (threads) and 0.96 (inline) of
// the requests for each second of CPU of a bare gnet answer, 1.6 of nginx's with proxy_cache. A range is cut out of
// the page as it was made (Page.Range). Its compressed forms have weak tags, so that clients do not put ranges of
// them together.
//
// # Misses
//
// The first request for a page that is missing fetches it (Fill); the others wait. The parts are copied and released
// at once, so a client that reads slowly delays neither the handler nor the others. If it disconnects, the handler
// continues as long as others wait. When a response may not be kept, all waiting requests ask by themselves, and for
// a minute no request waits for that address; but once a second one response is examined again. So uncacheable pages
// are never served one by one, and a page that becomes cacheable is noticed. Waiting requests get a page only if it
// is theirs: the same fields of Vary, and no Cookie unless the page is for all. A page that has begun and does not
// end is waited for five seconds.
//
// # Validation
//
// A page that is not fresh any more is fetched with its own validators (Conditions) in place of the client's. A 304
// makes a new Page with the same body and the fields of both (RFC 9111 §3.2), which is judged like any response
// (Confirm), and all waiting requests get it. No request waits for a page that has to be confirmed for each request
// (no-cache): each has a Fill without a node, and a late one does not replace a newer page. A page that is purged
// meanwhile is sent to the requests before, and not kept. A 304 about another representation, or one that forbids
// keeping, changes no page for others. Page.Instead decides whether an old page is better than an error or no
// response.
//
//   - A page that s-maxage forbids to send stale is sent stale if the same response has stale-while-revalidate or
//     stale-if-error: that is the more precise word, and how frameworks write it.
//   - Responses with an explicit lifetime are kept whatever their status is (RFC 9111 §3).
//   - Not done, deliberately: Cache-Control of requests (§5.2.1), POST responses for GET, storing ranges (§3.3), Age
//     for the time that the handler took (§4.2.3), Accept-Language in another order as the same (servers may take the
//     order for a preference), must-revalidate as a permission to share the response to Authorization (§3.5).
//
// bench/cache-tests.sh FOLDER runs the public suite http-tests/cache-tests: 157 of 160 required and 84 of 105 optimal
// behaviors, 93 with "heuristic" (on the same day varnish had 119 and 45, nginx 99 and 59, Apache 131 and 68). The
// three others keep Set-Cookie, twice, and a Transfer-Encoding that no client could read.
package cache
