// Package coding chooses content codings (RFC 9110 §8.4, §12.5.3) and compresses bodies: files, pages in the cache, and
// responses from handlers.
//
//	accept.go    the codings that a request accepts
//	compress.go  which bodies are worth compressing; whole bodies, bodies in pieces; how many at a time
//
// klauspost/compress provides zstd, which the standard library lacks. The package does not compress with brotli,
// because the maintained Go library is slow, and browsers accept zstd or gzip. Only compressed variants of files on
// disk can have the coding brotli.
package coding
