// Package compress is a filter that compresses the responses of handlers: applications, upstreams and programs.
// Packages static and cache compress files and cached pages.
//
//	filter.go  what happens to a response; whole bodies
//	stream.go  bodies in pieces
//	fields.go  which responses are compressed; their fields
//
// # Which responses
//
// A response is compressed if its type is text or similar, its length is at least 1 KiB or unknown, and its fields
// permit it. The fields forbid compression if the response has a coding, a range, no-transform, a digest, or Vary:
// Accept-Encoding, because the application has then chosen the form itself. Event streams are not compressed: idle
// streams would keep encoders, and channels send one copy to all subscribers.
//
// # Guessing secrets
//
// If a page contains a secret and text of an attacker, its compressed length reveals whether the text occurs in the
// secret (BREACH). Over HTTPS, the response to a request with a cookie, a password or a client certificate is therefore
// compressed only if the browser reports that the same site or the user caused the request (Sec-Fetch-Site,
// Sec-Fetch-User).
//
// # Back-pressure
//
// A compressed part owns the original parts, and releases them when it is sent, so a handler waits for its client as
// without compression. Parts wait in the filter while a goroutine compresses, and while compressed bytes wait for the
// client.
//
// # Limits
//
// A request never waits for compression: if no turn of coding.Processors is free for a whole body, or 64 streams are
// open, the response is sent uncompressed. The entity tag of a compressed response is weak, so that clients do not
// combine ranges of different forms; therefore If-Match fails.
package compress
