// Package compress chooses content codings (RFC 9110 §8.4, §12.5.3) and compresses bodies. Its filter, which Compressor
// creates, compresses the responses of handlers: applications, upstreams and programs. Packages static and cache
// compress files and cached pages themselves.
//
//	accept.go  the codings that a request accepts
//	encode.go  which bodies are worth compressing; whole bodies, bodies in pieces; how many at a time
//	filter.go  what happens to a response; whole bodies
//	stream.go  bodies in pieces
//	fields.go  which responses are compressed; their fields
//
// klauspost/compress provides zstd, which the standard library lacks. The package does not compress with brotli,
// because the maintained Go library is slow, and browsers accept zstd or gzip. Only compressed variants of files on
// disk can have the coding brotli.
//
// # Which responses
//
// A response is compressed if its type is text or similar, its length is at least 1 KiB or unknown, and its fields
// permit it. The fields forbid compression if they contain a content coding, a range, no-transform, or a digest. "Vary:
// Accept-Encoding" also forbids it, because the application then chooses the coding itself. Event streams are not
// compressed, because idle streams would occupy encoders, and because channels send the same copy of an event to all
// subscribers.
//
// # Guessing secrets
//
// If a page contains both a secret and text from an attacker, the compressed length reveals whether the text occurs in
// the secret (BREACH). Over HTTPS, the response to a request with a cookie, a password or a client certificate is
// therefore compressed only if the browser reports that the same site or the user caused the request (Sec-Fetch-Site,
// Sec-Fetch-User).
//
// # Back-pressure
//
// A compressed part owns the original parts, and releases them when it is sent, so that a handler waits for its client
// in the same way as without compression. Parts wait in the filter while a goroutine compresses earlier parts, or while
// too many compressed bytes wait for the client.
//
// # Limits
//
// A whole body, or a piece of a stream, waits for a turn of Processors at most 20 ms. Then the body is sent uncompressed,
// and the piece is compressed without a turn, because its stream has begun. While others wait for a turn, compression
// that begins has the fastest level. A body does not wait if the waiting bodies already need too much memory. If 64
// streams are open, further ones are sent uncompressed.
//
// The entity tag of a compressed response is weak, so that clients do not combine ranges of the compressed and the
// uncompressed form. As a consequence, If-Match never matches this tag.
package compress
