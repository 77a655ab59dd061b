// Command request is the load generator of `./build.sh request` and `./build.sh profile`, for HTTP/1.1, HTTP/2 and
// HTTPS. net/http reads the responses; HTTP/2 is implemented by golang.org/x/net. Start reading at Run.
//
// A generator has connections, each with a session for HTTP/1.1 or HTTP/2, and with a goroutine for each concurrent
// request.
//
// The meaning of a latency depends on the options:
//
// Without a rate, each connection sends its next request when the response is complete, and a latency is the time
// between sending and the last byte of the response. A server that stops for a second delays one request of each
// connection, so the percentiles hide the many requests that users would have sent meanwhile (coordinated omission).
//
// With a rate, requests are due at fixed times, independent of the server. A request that is due while all connections
// wait for responses is sent later, but its latency begins when it was due. A request that was due but never sent
// counts with its waiting time at the end. If the generator itself wakes up too late, the latency begins when the
// request is sent, and the report contains the delay of the generator.
package main
