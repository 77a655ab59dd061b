// Package compress is a filter that compresses the responses of handlers: applications, upstreams and programs. Files
// and pages of the cache have coded forms of their own.
//
//	filter.go  what happens to a response; whole bodies
//	stream.go  bodies in pieces
//	fields.go  which responses are compressed; their fields
//
// # Which responses
//
// A response is compressed if its type is text or similar, it has 1 KiB or more, or an unknown length, and nothing in
// it forbids that: a coding or a range of its own, no-transform, a digest, or Vary: Accept-Encoding, with which the
// application says that it has chosen the form itself. Event streams never are: idle streams would hold encoders, and
// channels send one copy to all subscribers.
//
// # Guessing secrets
//
// If a page has a secret and text of an attacker, the compressed length shows whether the text occurs in the secret
// (BREACH). Over HTTPS, the response to a request with a cookie, a password or a client certificate is therefore only
// compressed if the browser says that its own site or its user asked for it (Sec-Fetch-Site, Sec-Fetch-User).
//
// # Back-pressure
//
// A part that goes out owns the parts that came in, and releases them. So a handler gets no further ahead of its client
// than without compression. Parts wait in the filter while a goroutine works, and while coded bytes wait for the client.
//
// # Limits
//
// A request never waits for compression: without a free processor turn for a whole body, or with 64 open streams, a
// response goes out as it is. The entity tag of a compressed response is weak, so that clients do not combine ranges of
// different forms; If-Match with it fails.
package compress
