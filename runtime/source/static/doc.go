// Package static serves the files of a directory tree over HTTP: content types, entity tags and other conditions,
// ranges (RFC 9110 §13 and §14), variants that were compressed before or are compressed here, index pages and
// listings. It knows nothing of connections: it turns a parsed request into the head of a response and the segments
// of its body, which package conn sends.
//
// Files.Hit answers on the event loop, from memory or with a file that is open, if the disk was looked at within the
// last second. Everything else is answered by Files.Open, on a goroutine, which may wait for the disk. Source
// (serve.go) makes an exchange.Source of both. Start reading at Source.Start.
//
//	static.go          Options, and Files that have them
//	serve.go           Source; Request and Response; from a request to the segments of its response
//	cache.go           memory for files, variants and listings; files that stay open
//	lookup.go          the file of a path; its index, its variants; statuses of errors
//	root.go            the document root, opened part by part; symbolic links
//	private.go         files that no client gets: keys, backups, files that the configuration names
//	representation.go  a file in one state and one coding, with its fields; entity tags
//	conditions.go      conditional requests; ranges
//	compress.go        content codings, also for the cache of responses
//	listing.go         the page of a directory
//	fields.go          media types, Cache-Control, fields of errors
//	handed.go          files that a handler names: Staticfile, X-Sendfile, X-Accel-Redirect
//	fixed.go           fixed responses and redirects, without files
//	pages.go           error pages of a site
//
// # Cache
//
// One LRU list for each root, 16 MiB by default (--cache-files-max), holds contents up to 64 KiB, compressed
// variants, listings, and open descriptors, each of which counts as 64 KiB: so both memory and descriptors are
// bounded by one number. A descriptor that is not asked for closes after 5 to 10 seconds, or the disk space of a
// removed file would not come free.
//
// Open files up to 1 MiB are sent by the loop: they are read once when they are opened and once a second when the
// disk is looked at again, so sendfile finds them in memory. fstat before each response shows a file that was changed
// in place (0.2 µs of 19). Keeping 100 KiB in memory and sending it from there cost 22 µs, with a goroutine for each
// file 26; nginx takes 24.
//
// # Compression
//
// A compressed variant is a representation with its own strong ETag. It is made on a goroutine at the first request
// for it; others that want the same one wait for it. While other ones are made for more than a second, clients get the
// original. A variant that is not an eighth smaller, or is larger than a
// quarter of the cache, is remembered as not worth making. A variant on disk goes before one that would have to be
// made.
//
// # Symbolic links
//
// view.walk (root.go) opens a name part by part with O_NOFOLLOW, and reads each link on the way itself, with absolute
// targets counted from the root: so no race can lead outside, or past the policies "no" and "owner". os.Root does not
// follow absolute links, and knows no policy. ./build.sh fuzz paths tries a million paths while links are swapped.
//
// # Measured
//
// Against nginx (./build.sh bench file1k file100k, requests for each second of CPU, on a machine with other work): 1
// KiB 1.3 to 1.6 times, 100 KiB 1.04 to 1.3 (once 1.7), 1 MiB 1.2 to 2 (once 0.7), a listing 12 to 22, gzip on the
// fly 5 (it is kept), .gz on disk 1.3 to 1.5, a 304 0.9 to 1.1, a range 1.0.
//
// # Content codings
//
// compress.go chooses content codings (RFC 9110 §8.4 and §12.5.3) and compresses whole bodies, those of files and of
// cached responses. Compress takes 10 ms for a mebibyte and must not be called on the event loop. At most half of the
// processors compress at the same time.
//
// klauspost/compress adds 0.4 MB to the executable and has zstd, which the standard library does not have. Brotli is
// only served from files on disk: its encoders would add more than that, and are slow.
//
// # Error pages
//
// An error page of a site (Pages) comes from the memory of Files, on the event loop, or is opened beside it. If it
// cannot be read, the server's own page is sent, which package exchange makes. The texts of refusals such as 431 are
// in package http1; which requests are refused is decided there, in package route and in package exchange.
package static
