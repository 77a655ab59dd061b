// Package bench is the load generator "fapws bench", for HTTP/1.1, HTTP/2 and HTTPS. Responses are read by net/http, and HTTP/2 is that of golang.org/x/net.
//
// Start reading at Run. A generator has the connections. Each connection has a goroutine for each request that it may have at once,
// and a session, which speaks HTTP/1.1 or HTTP/2.
//
// What a latency is:
//
// Without a rate, each connection sends its next request when the response has come: a latency is the time from there
// to the last byte of the next response. A server that stops for a second then delays one request of each connection,
// and the percentiles hide the many that users would have sent meanwhile (coordinated omission).
//
// With a rate, requests are due at fixed times, whatever the server does. A request that is due while all connections
// wait for responses is sent later, but its latency counts from the time when it was due. Requests that were due and
// never sent count at the end, with the time that they have waited. If it is the generator that wakes up too late, the
// server is not charged: the latency counts from the time of sending, and the report says how late the generator was.
//
// A request of HTTP/1.1 is the same bytes each time.
package bench
