// Package compress chooses content codings (RFC 9110 §8.4 and §12.5.3) and compresses whole bodies with them: those
// of files and of cached responses. It knows nothing of connections and caches. Accept and Choose may be called
// anywhere; Compress takes 10 ms for a mebibyte and must not be called on the event loop. At most half of the
// processors compress at the same time.
//
// klauspost/compress adds 0.4 MB to the executable and has zstd, which the standard library has not. Brotli is only
// served from files on disk: its encoders would add more than that, and are slow.
package compress
