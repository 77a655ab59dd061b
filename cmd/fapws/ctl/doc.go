// Package ctl is the control socket of a server and its client, the command "fapws ctl": the owner of a server, and
// root, can ask for its state on a unix socket. A server has one such socket, in a directory that only its user can
// enter. It knows no Python and no server: the answers come from functions of package worker or supervisor, which run
// on a goroutine of the socket. Start reading at listen.go.
//
// # The status page
//
// page.go answers below the path of the setting status: a page for people, its figures as JSON, and the metrics
// for Prometheus. It is a responder written in Go, so it answers while Python hangs.
//
// It is for clients on this machine, and for those that have logged in where the host wants a password; see page.go. It
// shows paths, but no query, header, cookie or environment variable.
//
// Viewers are subscribers of StatusChannel, whose events only say that it is time to look again. With a broker there are none, because that
// numbers the events and may be away: the page then looks by itself, after two seconds without an event. Each picture is asked for, so a viewer
// a user after a log-out gets none.
//
// Start reading at page.go. page_body.go makes the HTML, which works without JavaScript, also that of profiles.
//
// # The load generator
//
// "fapws bench" is a load generator for HTTP/1.1, HTTP/2 and HTTPS. Responses are read by net/http, and HTTP/2 is that of golang.org/x/net.
//
// Start reading at RunBench. A generator has the connections. Each connection has a goroutine for each request that it may have at once,
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
package ctl
