// Package accesslog writes one line per request, in Apache's combined format
// with the duration in microseconds at the end, without ever making the
// caller wait for a disk.
package accesslog

import "time"

// Entry is one answered request. Its slices are read during Append only.
type Entry struct {
	Addr        string        // address of the client; empty (a unix socket) is written as "-"
	User        []byte        // who logged in; empty is written as "-"
	Time        time.Time     // when the request arrived
	RequestLine []byte        // as received, without CRLF
	Status      int           // as sent
	BytesSent   int64         // bytes of the body, without framing
	Referer     []byte        // as received
	UserAgent   []byte        // as received
	Duration    time.Duration // from arrival to the last byte handed to the kernel
}
